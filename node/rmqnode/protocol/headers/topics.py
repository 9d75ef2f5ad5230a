"""Headers about topics and groups of a broker, one struct each."""

from rmqnode.protocol.header_fields import I32, Header


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
