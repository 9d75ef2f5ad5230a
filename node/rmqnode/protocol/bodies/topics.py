"""Bodies about topics: their configuration, lists of names, how far their queues reach."""

from enum import IntFlag, StrEnum

from msgspec import field

from rmqnode.protocol.bodies.base import Body, DataVersion, MessageQueue
from rmqnode.protocol.header_fields import I32, I64


class Permission(IntFlag):
    """Bits of `perm` of a topic."""

    INHERIT = 1
    """The topic is a template: topics that are created by the first send copy it."""
    WRITE = 2
    READ = 4
    PRIORITY = 8
    """Known by name only, nobody uses it."""


class TopicFilterType(StrEnum):
    """How many tags a message of a topic has; in Java's order."""

    SINGLE_TAG = "SINGLE_TAG"
    MULTI_TAG = "MULTI_TAG"


class TopicConfig(Body, frozen=True):
    """Configuration of one topic on one broker, with Java's defaults."""

    topic_name: str = ""
    read_queue_nums: I32 = 16
    write_queue_nums: I32 = 16
    perm: I32 = int(Permission.READ | Permission.WRITE)
    """Bits of `Permission`."""
    topic_filter_type: TopicFilterType = TopicFilterType.SINGLE_TAG
    topic_sys_flag: I32 = 0
    """1: the topic belongs to a unit, 2: consumers of units subscribe it."""
    order: bool = False


class TopicConfigSerializeWrapper(Body, frozen=True):
    """All topics of a broker: reply of GET_ALL_TOPIC_CONFIG, part of a registration, `config/topics.json`."""

    topic_config_table: dict[str, TopicConfig] = field(default_factory=dict)
    data_version: DataVersion = DataVersion()


class CreateTopicListRequestBody(Body, frozen=True):
    """Body of UPDATE_AND_CREATE_TOPIC_LIST (since 5.3)."""

    topic_config_list: list[TopicConfig] = field(default_factory=list)


class TopicList(Body, frozen=True):
    """Names of topics."""

    topic_list: list[str] = field(default_factory=list)
    broker_addr: str | None = None
    """Some broker of the cluster, in the system topics of a nameserver only."""


class TopicOffset(Body, frozen=True):
    """How far one queue reaches."""

    min_offset: I64 = 0
    max_offset: I64 = 0
    last_update_timestamp: I64 = 0
    """Store time of the last message, ms since the epoch; 0 when there is none."""


class TopicStatsTable(Body, frozen=True):
    """Reply of GET_TOPIC_STATS_INFO: all queues of a topic on one broker."""

    offset_table: dict[MessageQueue, TopicOffset] = field(default_factory=dict)
