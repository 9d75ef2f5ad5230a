"""Names with a meaning of their own. Source: `MixAll`, `TopicValidator`, `ScheduleMessageService` (RocketMQ 4.5.2)."""

from typing import Final

AUTO_CREATE_TOPIC_KEY_TOPIC: Final = "TBW102"
"""Template of topics that are created by sending to them."""

SELF_TEST_TOPIC: Final = "SELF_TEST_TOPIC"
BENCHMARK_TOPIC: Final = "BenchmarkTest"
OFFSET_MOVED_EVENT: Final = "OFFSET_MOVED_EVENT"
SCHEDULE_TOPIC: Final = "SCHEDULE_TOPIC_XXXX"
"""Where delayed messages wait, one queue a level."""

TRANS_HALF_TOPIC: Final = "RMQ_SYS_TRANS_HALF_TOPIC"
"""Where transactional messages wait for their decision."""
TRANS_OP_HALF_TOPIC: Final = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
"""Notes about those that are decided."""
TRANS_CHECK_MAX_TIME_TOPIC: Final = "TRANS_CHECK_MAX_TIME_TOPIC"
"""Those that nobody decided."""
TRANS_GROUP: Final = "CID_RMQ_SYS_TRANS"
"""Its consumer offsets say how far the two are worked off."""

CLOSED_TO_PRODUCERS: Final = frozenset(
    {
        SCHEDULE_TOPIC,
        SELF_TEST_TOPIC,
        OFFSET_MOVED_EVENT,
        TRANS_HALF_TOPIC,
        TRANS_OP_HALF_TOPIC,
        TRANS_CHECK_MAX_TIME_TOPIC,
    }
)
"""Topics that only brokers write to. Source: `TopicValidator` (4.9.7); 4.5.2 lets everybody send there."""

RETRY_GROUP_TOPIC_PREFIX: Final = "%RETRY%"
DLQ_GROUP_TOPIC_PREFIX: Final = "%DLQ%"

SYSTEM_GROUP_PREFIX: Final = "CID_RMQ_SYS_"

UNDELIVERED_TOPIC: Final = f"{DLQ_GROUP_TOPIC_PREFIX}{SYSTEM_GROUP_PREFIX}UNDELIVERED"
"""The broker's own dead letters: delayed messages that it can't put where they belong. Ours alone."""

BUILT_IN_GROUPS: Final = (
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
)
"""Consumer groups that every broker has from its start."""


def is_system_group(group: str) -> bool:
    """Whether a consumer group is there for brokers and tools, so that nobody may change or delete it."""
    return group in BUILT_IN_GROUPS or group == TRANS_GROUP


def reply_topic(cluster: str) -> str:
    """Name of the topic that replies of request-reply messages are sent to."""
    return f"{cluster}_REPLY_TOPIC"


def retry_topic(group: str) -> str:
    """Name of the topic that brings failed messages back to a consumer group."""
    return RETRY_GROUP_TOPIC_PREFIX + group


def dead_letter_topic(group: str) -> str:
    """Name of the topic that keeps messages which a consumer group failed on too often."""
    return DLQ_GROUP_TOPIC_PREFIX + group
