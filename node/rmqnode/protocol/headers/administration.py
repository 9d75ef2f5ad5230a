"""Custom headers of what administration tools and consoles ask a broker for, beyond topics and groups.

Source: `org.apache.rocketmq.common.protocol.header` (RocketMQ 4.5.2) with the additions of 4.9.7 and 5.3.
"""

from rmqnode.protocol.header_fields import I32, I64, Header

# --- what is relayed to clients -----------------------------------------------------------------------------------


class ResetOffsetRequestHeader(Header):
    """Header of INVOKE_BROKER_TO_RESET_OFFSET (222) and, to a client, RESET_CONSUMER_CLIENT_OFFSET (220)."""

    topic: str
    group: str
    timestamp: I64
    """Store time in milliseconds; -1 for the end of the queue."""
    is_force: bool = False
    """Also forward; otherwise offsets only go back."""
    queue_id: I32 = -1
    """Since 5.0: one queue only; -1 for all."""
    offset: I64 | None = None
    """Since 5.0: to this offset of that queue."""


class GetConsumerStatusRequestHeader(Header):
    """Header of INVOKE_BROKER_TO_GET_CONSUMER_STATUS (223) and, to a client, GET_CONSUMER_STATUS_FROM_CLIENT (221)."""

    topic: str
    group: str
    client_addr: str | None = None
    """A client id; without it all members of the group are asked."""


class GetConsumerRunningInfoRequestHeader(Header):
    """Header of GET_CONSUMER_RUNNING_INFO (307), to a broker and on to the client."""

    consumer_group: str
    client_id: str
    jstack_enable: bool = False


class ConsumeMessageDirectlyRequestHeader(Header):
    """Header of CONSUME_MESSAGE_DIRECTLY (309), to a broker and on to the client."""

    consumer_group: str
    client_id: str | None = None
    msg_id: str | None = None
    """Offset message id."""
    broker_name: str | None = None
    """Set by the broker."""
    topic: str | None = None
    topic_sys_flag: I32 | None = None
    group_sys_flag: I32 | None = None
    """The last three since 5.0."""


# --- offsets and statistics ---------------------------------------------------------------------------------------


class CloneGroupOffsetRequestHeader(Header):
    """Header of CLONE_GROUP_OFFSET (314)."""

    src_group: str
    dest_group: str
    topic: str | None = None
    """Without it all topics that the source group has offsets for."""
    offline: bool = False
    """Also topics that the source group, being online, does not subscribe any more."""


class QueryCorrectionOffsetRequestHeader(Header):
    """Header of QUERY_CORRECTION_OFFSET (308)."""

    compare_group: str
    topic: str
    filter_groups: str | None = None
    """Groups that do not count, separated by commas."""


class QueryConsumeTimeSpanRequestHeader(Header):
    """Header of QUERY_CONSUME_TIME_SPAN (303)."""

    topic: str
    group: str


class QueryConsumeQueueRequestHeader(Header):
    """Header of QUERY_CONSUME_QUEUE (321)."""

    topic: str
    queue_id: I32
    index: I64
    """Queue offset of the first unit."""
    count: I32
    consumer_group: str | None = None


class ViewBrokerStatsDataRequestHeader(Header):
    """Header of VIEW_BROKER_STATS_DATA (315)."""

    stats_name: str
    """`TOPIC_PUT_NUMS`, `GROUP_GET_NUMS` …"""
    stats_key: str
    """A topic, `topic@group`, or the name of the cluster."""


class GetConsumeStatsInBrokerRequestHeader(Header):
    """Header of GET_BROKER_CONSUME_STATS (317)."""

    is_order: bool = False
    """Only ordered topics."""


# --- configuration and access control -----------------------------------------------------------------------------


class GetBrokerConfigResponseHeader(Header):
    """Answer to GET_BROKER_CONFIG (26): version of the configuration, as JSON."""

    version: str


class CreateAccessConfigRequestHeader(Header):
    """Header of UPDATE_AND_CREATE_ACL_CONFIG (50), as far as the answer names it."""

    access_key: str


class DeleteAccessConfigRequestHeader(Header):
    """Header of DELETE_ACL_CONFIG (51)."""

    access_key: str


class UpdateGlobalWhiteAddrsConfigRequestHeader(Header):
    """Header of UPDATE_GLOBAL_WHITE_ADDRS_CONFIG (53)."""

    global_white_addrs: str
