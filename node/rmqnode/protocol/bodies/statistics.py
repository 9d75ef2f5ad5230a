"""Bodies about what a broker counted and what its queues hold, for tools and consoles."""

from msgspec import field

from rmqnode.protocol.bodies.base import Body, MessageQueue
from rmqnode.protocol.bodies.clients import SubscriptionData
from rmqnode.protocol.bodies.groups import ConsumeStats
from rmqnode.protocol.header_fields import I32, I64


class BrokerStatsItem(Body, frozen=True):
    """Growth of one counted value over a span."""

    sum: I64 = 0
    tps: float = 0.0
    avgpt: float = 0.0
    """Growth per step, such as messages per pull."""


class BrokerStatsData(Body, frozen=True):
    """Reply of VIEW_BROKER_STATS_DATA."""

    stats_minute: BrokerStatsItem = BrokerStatsItem()
    stats_hour: BrokerStatsItem = BrokerStatsItem()
    stats_day: BrokerStatsItem = BrokerStatsItem()


class ConsumeStatsList(Body, frozen=True):
    """Reply of GET_BROKER_CONSUME_STATS: every group of a broker."""

    consume_stats_list: list[dict[str, list[ConsumeStats]]] = field(default_factory=list)
    """One map for each group: its name to its topics."""
    broker_addr: str | None = None
    total_diff: I64 = 0
    """Messages not consumed, all groups together."""


class QueueTimeSpan(Body, frozen=True):
    """What a queue holds and where a group is in it, in store times (ms since the epoch, -1 for none)."""

    message_queue: MessageQueue = MessageQueue()
    min_time_stamp: I64 = 0
    max_time_stamp: I64 = 0
    consume_time_stamp: I64 = 0
    delay_time: I64 = 0
    """Age of the next message to consume, in ms."""


class QueryConsumeTimeSpanBody(Body, frozen=True):
    """Reply of QUERY_CONSUME_TIME_SPAN."""

    consume_time_span_set: list[QueueTimeSpan] = field(default_factory=list)


class ConsumeQueueData(Body, frozen=True):
    """One unit of a consume queue."""

    physic_offset: I64 = 0
    physic_size: I32 = 0
    tags_code: I64 = 0
    extend_data_json: str | None = None
    bit_map: str | None = None
    eval: bool = False
    """Whether the extended data pass a filter; without any they are not asked."""
    msg: str | None = None


class QueryConsumeQueueResponseBody(Body, frozen=True):
    """Reply of QUERY_CONSUME_QUEUE."""

    subscription_data: SubscriptionData | None = None
    filter_data: str | None = None
    queue_data: list[ConsumeQueueData] | None = None
    max_queue_index: I64 = 0
    min_queue_index: I64 = 0
