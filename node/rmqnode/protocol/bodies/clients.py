"""Bodies about connected clients: heartbeats, subscriptions, queue locks, lists of connections."""

from enum import StrEnum

from msgspec import field

from rmqnode.protocol.bodies.base import Body, MessageQueue
from rmqnode.protocol.codes import LanguageCode
from rmqnode.protocol.header_fields import I32, I64


class ConsumeType(StrEnum):
    """Who starts a pull; in Java's order."""

    CONSUME_ACTIVELY = "CONSUME_ACTIVELY"
    """The application: a pull consumer."""
    CONSUME_PASSIVELY = "CONSUME_PASSIVELY"
    """The client library: a push consumer."""


class MessageModel(StrEnum):
    """How members of a group share messages; in Java's order."""

    BROADCASTING = "BROADCASTING"
    CLUSTERING = "CLUSTERING"


class ConsumeFromWhere(StrEnum):
    """Where a group without offsets begins; in Java's order."""

    CONSUME_FROM_LAST_OFFSET = "CONSUME_FROM_LAST_OFFSET"
    CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST"
    CONSUME_FROM_MIN_OFFSET = "CONSUME_FROM_MIN_OFFSET"
    CONSUME_FROM_MAX_OFFSET = "CONSUME_FROM_MAX_OFFSET"
    CONSUME_FROM_FIRST_OFFSET = "CONSUME_FROM_FIRST_OFFSET"
    CONSUME_FROM_TIMESTAMP = "CONSUME_FROM_TIMESTAMP"


class SubscriptionData(Body, frozen=True):
    """What a consumer wants of one topic."""

    topic: str = ""
    sub_string: str | None = None
    """`*`, tags joined by `||`, or an expression in the language of `expression_type`."""
    tags_set: list[str] = field(default_factory=list)
    code_set: list[I32] = field(default_factory=list)
    """Java's hash of each tag."""
    sub_version: I64 = 0
    """Time of the last change at the client, ms since the epoch."""
    expression_type: str = "TAG"
    class_filter_mode: bool = False


class ConsumerData(Body, frozen=True):
    """One consumer group of a client."""

    group_name: str = ""
    consume_type: ConsumeType | None = None
    message_model: MessageModel | None = None
    consume_from_where: ConsumeFromWhere | None = None
    subscription_data_set: list[SubscriptionData] = field(default_factory=list)
    unit_mode: bool = False


class ProducerData(Body, frozen=True):
    """One producer group of a client."""

    group_name: str = ""


class HeartbeatData(Body, frozen=True):
    """Body of HEART_BEAT: one client with its groups."""

    client_id: str = field(name="clientID", default="")
    producer_data_set: list[ProducerData] = field(default_factory=list)
    consumer_data_set: list[ConsumerData] = field(default_factory=list)


class CheckClientRequestBody(Body, frozen=True):
    """Body of CHECK_CLIENT_CONFIG: is this subscription legal?"""

    client_id: str = ""
    group: str = ""
    subscription_data: SubscriptionData | None = None


class GetConsumerListByGroupResponseBody(Body, frozen=True):
    """Client ids of the members of a group."""

    consumer_id_list: list[str] = field(default_factory=list)


class LockBatchRequestBody(Body, frozen=True):
    """Body of LOCK_BATCH_MQ: queues that a client wants for itself."""

    consumer_group: str | None = None
    client_id: str | None = None
    mq_set: list[MessageQueue] = field(default_factory=list)


class UnlockBatchRequestBody(LockBatchRequestBody, frozen=True):
    """Body of UNLOCK_BATCH_MQ: queues that a client gives back."""


class LockBatchResponseBody(Body, frozen=True):
    """The queues that the client has locked now."""

    lock_ok_mq_set: list[MessageQueue] = field(name="lockOKMQSet", default_factory=list)


class Connection(Body, frozen=True):
    """One connected client."""

    client_id: str = ""
    client_addr: str = ""
    """`ip:port` as the broker sees it."""
    language: LanguageCode | None = None
    version: I32 = 0


class ProducerConnection(Body, frozen=True):
    """Reply of GET_PRODUCER_CONNECTION_LIST."""

    connection_set: list[Connection] = field(default_factory=list)


class ProducerInfo(Body, frozen=True):
    """One connected producer, as GET_ALL_PRODUCER_INFO names it."""

    client_id: str = ""
    remote_ip: str = field(name="remoteIP", default="")
    """`ip:port` as the broker sees it."""
    language: LanguageCode | None = None
    version: I32 = 0
    last_update_timestamp: I64 = 0
    """Its last heartbeat, ms since the epoch."""


class ProducerTableInfo(Body, frozen=True):
    """Reply of GET_ALL_PRODUCER_INFO (since 4.9): producer group to its members."""

    data: dict[str, list[ProducerInfo]] = field(default_factory=dict)


class ConsumerConnection(Body, frozen=True):
    """Reply of GET_CONSUMER_CONNECTION_LIST."""

    connection_set: list[Connection] = field(default_factory=list)
    subscription_table: dict[str, SubscriptionData] = field(default_factory=dict)
    consume_type: ConsumeType | None = None
    message_model: MessageModel | None = None
    consume_from_where: ConsumeFromWhere | None = None
