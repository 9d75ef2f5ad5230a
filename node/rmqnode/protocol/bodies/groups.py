"""Bodies about consumer groups: their configuration, their offsets, how far they are behind."""

from msgspec import field

from rmqnode.protocol.bodies.base import Body, DataVersion, MessageQueue
from rmqnode.protocol.header_fields import I32, I64


class SubscriptionGroupConfig(Body, frozen=True):
    """Configuration of one consumer group on one broker, with Java's defaults."""

    group_name: str = ""
    consume_enable: bool = True
    consume_from_min_enable: bool = True
    consume_broadcast_enable: bool = True
    retry_queue_nums: I32 = 1
    retry_max_times: I32 = 16
    broker_id: I64 = 0
    which_broker_when_consume_slowly: I64 = 1
    notify_consumer_ids_changed_enable: bool = True


class SubscriptionGroupWrapper(Body, frozen=True):
    """All groups of a broker: reply of GET_ALL_SUBSCRIPTIONGROUP_CONFIG, `config/subscriptionGroup.json`."""

    subscription_group_table: dict[str, SubscriptionGroupConfig] = field(default_factory=dict)
    data_version: DataVersion = DataVersion()


class SubscriptionGroupList(Body, frozen=True):
    """Body of UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST (since 5.3)."""

    group_config_list: list[SubscriptionGroupConfig] = field(default_factory=list)


class ConsumerOffsetSerializeWrapper(Body, frozen=True):
    """All consumer offsets of a broker: reply of GET_ALL_CONSUMER_OFFSET, `config/consumerOffset.json`."""

    offset_table: dict[str, dict[int, I64]] = field(default_factory=dict)
    """`topic@group` to queue id to consumer offset."""


class DelayOffsetSerializeWrapper(Body, frozen=True):
    """How far delayed delivery is: reply of GET_ALL_DELAY_OFFSET, `config/delayOffset.json`."""

    offset_table: dict[int, I64] = field(default_factory=dict)
    """Delay level to queue offset in the schedule topic."""


class OffsetWrapper(Body, frozen=True):
    """Where a group is in one queue."""

    broker_offset: I64 = 0
    """Maximum offset of the queue."""
    consumer_offset: I64 = 0
    last_timestamp: I64 = 0
    """Store time of the last message consumed, ms since the epoch."""
    pull_offset: I64 | None = None
    """Since 5.0, else left out: how far the group has pulled; what lies between is on its way."""


class ConsumeStats(Body, frozen=True):
    """Reply of GET_CONSUME_STATS: one group on one broker."""

    offset_table: dict[MessageQueue, OffsetWrapper] = field(default_factory=dict)
    consume_tps: float = 0.0


class GroupList(Body, frozen=True):
    """Names of consumer groups."""

    group_list: list[str] = field(default_factory=list)


class OffsetMovedEvent(Body, frozen=True):
    """Body of the message in OFFSET_MOVED_EVENT that tells of a group sent to another offset."""

    consumer_group: str = ""
    message_queue: MessageQueue = MessageQueue()
    offset_request: I64 = 0
    offset_new: I64 = 0
