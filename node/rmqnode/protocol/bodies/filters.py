"""The body that `config/consumerFilter.json` holds: subscriptions by expression. Source: `ConsumerFilterManager`."""

from msgspec import field

from rmqnode.protocol.bodies.base import Body
from rmqnode.protocol.header_fields import I32, I64


class BloomFilterData(Body, frozen=True):
    """The bits that a subscription has in a bloom filter."""

    bit_num: I32 = 0
    """Size of the filter."""
    bit_pos: list[I32] = field(default_factory=list)


class ConsumerFilterData(Body, frozen=True):
    """One group's subscription of one topic. Times in ms since the epoch."""

    consumer_group: str = ""
    topic: str = ""
    expression: str = ""
    expression_type: str = ""
    born_time: I64 = 0
    """When the broker met this expression first."""
    dead_time: I64 = 0
    """When the group left; 0 while it is there."""
    dead: bool = False
    """Derived from the two times; written, not read."""
    client_version: I64 = 0
    """`subVersion` of the subscription: the client's time of its last change."""
    bloom_filter_data: BloomFilterData | None = None


class FilterDataMapByTopic(Body, frozen=True):
    """The subscriptions of one topic, by group."""

    group_filter_data: dict[str, ConsumerFilterData] = field(default_factory=dict)
    topic: str = ""


class ConsumerFilterWrapper(Body, frozen=True):
    """All subscriptions by expression, by topic."""

    filter_data_by_topic: dict[str, FilterDataMapByTopic] = field(default_factory=dict)
