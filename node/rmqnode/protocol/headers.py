"""The custom headers of requests and responses, one struct each.

Source: `org.apache.rocketmq.common.protocol.header` (RocketMQ 4.5.2) and the additions of 4.9.7 and 5.3
that ordinary clients send; a field that only later versions know has a default and says so.
"""

import msgspec

from rmqnode.protocol.header_fields import I32, I64, Header


class NoHeader(Header):
    """For requests and responses without a custom header."""


# --- nameserver ---------------------------------------------------------------------------------------------


class PutKVConfigRequestHeader(Header):
    """Header of PUT_KV_CONFIG (100)."""

    namespace: str
    key: str
    value: str


class GetKVConfigRequestHeader(Header):
    """Header of GET_KV_CONFIG (101)."""

    namespace: str
    key: str


class GetKVConfigResponseHeader(Header):
    """Answer to GET_KV_CONFIG (101)."""

    value: str | None = None


class DeleteKVConfigRequestHeader(Header):
    """Header of DELETE_KV_CONFIG (102)."""

    namespace: str
    key: str


class RegisterBrokerRequestHeader(Header):
    """Header of REGISTER_BROKER (103); `body_crc32` 0 is not checked."""

    broker_name: str
    broker_addr: str
    cluster_name: str
    ha_server_addr: str
    broker_id: I64
    compressed: bool = False
    body_crc32: I32 = 0


class RegisterBrokerResponseHeader(Header):
    """Answer to REGISTER_BROKER (103); both fields only for a slave whose master is registered."""

    ha_server_addr: str | None = None
    master_addr: str | None = None


class UnregisterBrokerRequestHeader(Header):
    """Header of UNREGISTER_BROKER (104)."""

    broker_name: str
    broker_addr: str
    cluster_name: str
    broker_id: I64


class GetRouteInfoRequestHeader(Header):
    """Header of GET_ROUTEINTO_BY_TOPIC (105)."""

    topic: str
    accept_standard_json_only: bool = False
    """Since 4.9.4."""


class WipeWritePermOfBrokerRequestHeader(Header):
    """Header of WIPE_WRITE_PERM_OF_BROKER (205) and ADD_WRITE_PERM_OF_BROKER (327)."""

    broker_name: str


class WipeWritePermOfBrokerResponseHeader(Header):
    """Answer to WIPE_WRITE_PERM_OF_BROKER (205)."""

    wipe_topic_count: I32


class AddWritePermOfBrokerResponseHeader(Header):
    """Answer to ADD_WRITE_PERM_OF_BROKER (327)."""

    add_topic_count: I32


class DeleteTopicInNamesrvRequestHeader(Header):
    """Header of DELETE_TOPIC_IN_NAMESRV (216)."""

    topic: str
    cluster_name: str | None = None
    """Since 4.9: only the brokers of this cluster lose the topic."""


class GetKVListByNamespaceRequestHeader(Header):
    """Header of GET_KVLIST_BY_NAMESPACE (219)."""

    namespace: str


class GetTopicsByClusterRequestHeader(Header):
    """Header of GET_TOPICS_BY_CLUSTER (224)."""

    cluster: str


class QueryDataVersionRequestHeader(Header):
    """Header of QUERY_DATA_VERSION (322)."""

    broker_name: str
    broker_addr: str
    cluster_name: str
    broker_id: I64


class QueryDataVersionResponseHeader(Header):
    """Answer to QUERY_DATA_VERSION (322)."""

    changed: bool


# --- broker: sending ----------------------------------------------------------------------------------------


class SendMessageRequestHeader(Header):
    """Header of SEND_MESSAGE (10)."""

    producer_group: str
    topic: str
    default_topic: str
    default_topic_queue_nums: I32
    queue_id: I32
    sys_flag: I32
    born_timestamp: I64
    flag: I32
    properties: str | None = None
    reconsume_times: I32 | None = None
    unit_mode: bool = False
    batch: bool = False
    max_reconsume_times: I32 | None = None


class SendMessageRequestHeaderV2(Header):
    """Header of SEND_MESSAGE_V2 (310) and SEND_BATCH_MESSAGE (320): letters on the wire, words here."""

    producer_group: str = msgspec.field(name="a")
    topic: str = msgspec.field(name="b")
    default_topic: str = msgspec.field(name="c")
    default_topic_queue_nums: I32 = msgspec.field(name="d")
    queue_id: I32 = msgspec.field(name="e")
    sys_flag: I32 = msgspec.field(name="f")
    born_timestamp: I64 = msgspec.field(name="g")
    flag: I32 = msgspec.field(name="h")
    properties: str | None = msgspec.field(name="i", default=None)
    reconsume_times: I32 | None = msgspec.field(name="j", default=None)
    unit_mode: bool = msgspec.field(name="k", default=False)
    max_reconsume_times: I32 | None = msgspec.field(name="l", default=None)
    batch: bool = msgspec.field(name="m", default=False)


class SendMessageResponseHeader(Header, kw_only=True):
    """Answer to all sends; region and trace switch are read by clients without a check."""

    msg_id: str | None = None
    queue_id: I32 | None = None
    queue_offset: I64 | None = None
    msg_region: str = msgspec.field(name="MSG_REGION")
    trace_on: bool = msgspec.field(name="TRACE_ON")


class EndTransactionRequestHeader(Header, kw_only=True):
    """Header of END_TRANSACTION (37): 8 commits, 12 rolls back, 0 does not know."""

    producer_group: str
    tran_state_table_offset: I64
    """Queue offset of the half message."""
    commit_log_offset: I64
    """Physical offset of the half message."""
    commit_or_rollback: I32
    from_transaction_check: bool = False
    msg_id: str | None = None
    transaction_id: str | None = None


class CheckTransactionStateRequestHeader(Header, kw_only=True):
    """Header of CHECK_TRANSACTION_STATE (39), broker to client; offsets as of END_TRANSACTION."""

    tran_state_table_offset: I64
    commit_log_offset: I64
    msg_id: str | None = None
    transaction_id: str | None = None
    offset_msg_id: str | None = None


class ResumeCheckHalfMessageRequestHeader(Header):
    """Header of RESUME_CHECK_HALF_MESSAGE (323): an offset message id."""

    msg_id: str | None = None


class ReplyMessageRequestHeader(Header, kw_only=True):
    """Header of PUSH_REPLY_MESSAGE_TO_CLIENT (326), broker to client; hosts are `ip:port`."""

    producer_group: str
    topic: str
    default_topic: str
    default_topic_queue_nums: I32
    queue_id: I32
    sys_flag: I32
    born_timestamp: I64
    flag: I32
    properties: str | None = None
    reconsume_times: I32 | None = None
    unit_mode: bool = False
    born_host: str
    store_host: str
    store_timestamp: I64


class ConsumerSendMsgBackRequestHeader(Header):
    """Header of CONSUMER_SEND_MSG_BACK (36); `offset` is the physical offset of the message."""

    offset: I64
    group: str
    delay_level: I32
    origin_msg_id: str | None = None
    origin_topic: str | None = None
    unit_mode: bool = False
    max_reconsume_times: I32 | None = None


# --- broker: pulling and offsets ----------------------------------------------------------------------------


class PullMessageRequestHeader(Header, kw_only=True):
    """Header of PULL_MESSAGE (11) and LITE_PULL_MESSAGE (361)."""

    consumer_group: str
    topic: str
    queue_id: I32
    queue_offset: I64
    max_msg_nums: I32
    sys_flag: I32
    commit_offset: I64
    suspend_timeout_millis: I64
    subscription: str | None = None
    sub_version: I64
    expression_type: str | None = None


class PullMessageResponseHeader(Header):
    """Answer to PULL_MESSAGE (11)."""

    suggest_which_broker_id: I64
    next_begin_offset: I64
    min_offset: I64
    max_offset: I64


class QueryConsumerOffsetRequestHeader(Header):
    """Header of QUERY_CONSUMER_OFFSET (14)."""

    consumer_group: str
    topic: str
    queue_id: I32
    set_zero_if_not_found: bool = True
    """Since 5.0: false asks for QUERY_NOT_FOUND where older brokers answer 0."""


class QueryConsumerOffsetResponseHeader(Header):
    """Answer to QUERY_CONSUMER_OFFSET (14)."""

    offset: I64


class UpdateConsumerOffsetRequestHeader(Header):
    """Header of UPDATE_CONSUMER_OFFSET (15)."""

    consumer_group: str
    topic: str
    queue_id: I32
    commit_offset: I64


class UpdateConsumerOffsetResponseHeader(Header):
    """Answer to UPDATE_CONSUMER_OFFSET (15): no fields, an empty map on the wire."""


class SearchOffsetRequestHeader(Header):
    """Header of SEARCH_OFFSET_BY_TIMESTAMP (29)."""

    topic: str
    queue_id: I32
    timestamp: I64


class QueueRequestHeader(Header):
    """Header of GET_MAX_OFFSET (30), GET_MIN_OFFSET (31) and GET_EARLIEST_MSG_STORETIME (32)."""

    topic: str
    queue_id: I32


class OffsetResponseHeader(Header):
    """Answer to SEARCH_OFFSET_BY_TIMESTAMP (29), GET_MAX_OFFSET (30) and GET_MIN_OFFSET (31)."""

    offset: I64


class GetEarliestMsgStoretimeResponseHeader(Header):
    """Answer to GET_EARLIEST_MSG_STORETIME (32): milliseconds, -1 for an empty queue."""

    timestamp: I64


class QueryMessageRequestHeader(Header):
    """Header of QUERY_MESSAGE (12); times are store times in milliseconds."""

    topic: str
    key: str
    max_num: I32
    begin_timestamp: I64
    end_timestamp: I64
    is_unique_key: str | None = msgspec.field(name="_UNIQUE_KEY_QUERY", default=None)
    """`true`: the key is a unique key; an entry of its own, not part of Java's header class."""


class QueryMessageResponseHeader(Header):
    """Answer to QUERY_MESSAGE (12): how far the index reaches."""

    index_last_update_timestamp: I64
    index_last_update_phyoffset: I64


class ViewMessageRequestHeader(Header):
    """Header of VIEW_MESSAGE_BY_ID (33): a physical offset."""

    offset: I64


# --- broker: clients ----------------------------------------------------------------------------------------


class UnregisterClientRequestHeader(Header):
    """Header of UNREGISTER_CLIENT (35)."""

    client_id: str = msgspec.field(name="clientID")
    producer_group: str | None = None
    consumer_group: str | None = None


class UnregisterClientResponseHeader(Header):
    """Answer to UNREGISTER_CLIENT (35): no fields, an empty map on the wire."""


class GetConsumerListByGroupRequestHeader(Header):
    """Header of GET_CONSUMER_LIST_BY_GROUP (38) and GET_CONSUMER_CONNECTION_LIST (203)."""

    consumer_group: str


class NotifyConsumerIdsChangedRequestHeader(Header):
    """Header of NOTIFY_CONSUMER_IDS_CHANGED (40), broker to client."""

    consumer_group: str


class GetProducerConnectionListRequestHeader(Header):
    """Header of GET_PRODUCER_CONNECTION_LIST (204)."""

    producer_group: str


# --- broker: administration ---------------------------------------------------------------------------------


class CreateTopicRequestHeader(Header, kw_only=True):
    """Header of UPDATE_AND_CREATE_TOPIC (17)."""

    topic: str
    default_topic: str | None = None
    read_queue_nums: I32
    write_queue_nums: I32
    perm: I32
    topic_filter_type: str | None = None
    topic_sys_flag: I32 | None = None
    order: bool = False


class GetAllTopicConfigResponseHeader(Header):
    """Answer to GET_ALL_TOPIC_CONFIG (21): no fields, an empty map on the wire."""


class TopicRequestHeader(Header):
    """Header of 215, 202, 300 and 351: delete a topic, its statistics, its consumers, its configuration."""

    topic: str


class DeleteSubscriptionGroupRequestHeader(Header):
    """Header of DELETE_SUBSCRIPTIONGROUP (207)."""

    group_name: str
    remove_offset: bool = False
    """Since 4.9: the offsets of the group go too."""
    clean_offset: bool = False
    """Since 5.0, the same."""


class GetConsumeStatsRequestHeader(Header):
    """Header of GET_CONSUME_STATS (208)."""

    consumer_group: str
    topic: str | None = None
