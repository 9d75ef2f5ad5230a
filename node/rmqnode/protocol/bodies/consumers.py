"""Bodies about one running consumer: what it answers to brokers that ask for an administrator, and what it is told."""

from enum import StrEnum

from msgspec import field

from rmqnode.protocol.bodies.base import Body, MessageQueue
from rmqnode.protocol.bodies.clients import SubscriptionData
from rmqnode.protocol.header_fields import I32, I64


class ProcessQueueInfo(Body, frozen=True):
    """What a consumer holds of one queue; times are ms since the epoch."""

    commit_offset: I64 = 0
    cached_msg_min_offset: I64 = 0
    cached_msg_max_offset: I64 = 0
    cached_msg_count: I32 = 0
    cached_msg_size_in_mi_b: I32 = field(name="cachedMsgSizeInMiB", default=0)
    transaction_msg_min_offset: I64 = 0
    transaction_msg_max_offset: I64 = 0
    transaction_msg_count: I32 = 0
    """Messages that an orderly consumer is at work on."""
    locked: bool = False
    try_unlock_times: I64 = 0
    last_lock_timestamp: I64 = 0
    droped: bool = False
    last_pull_timestamp: I64 = 0
    last_consume_timestamp: I64 = 0


class ConsumeStatus(Body, frozen=True):
    """Rates of one topic over the last minute; times in ms."""

    pull_rt: float = field(name="pullRT", default=0.0)
    pull_tps: float = field(name="pullTPS", default=0.0)
    consume_rt: float = field(name="consumeRT", default=0.0)
    consume_ok_tps: float = field(name="consumeOKTPS", default=0.0)
    consume_failed_tps: float = field(name="consumeFailedTPS", default=0.0)
    consume_failed_msgs: I64 = 0
    """In the last hour."""


class ConsumerRunningInfo(Body, frozen=True):
    """Answer to GET_CONSUMER_RUNNING_INFO."""

    properties: dict[str, str] = field(default_factory=dict)
    subscription_set: list[SubscriptionData] = field(default_factory=list)
    mq_table: dict[MessageQueue, ProcessQueueInfo] = field(default_factory=dict)
    status_table: dict[str, ConsumeStatus] = field(default_factory=dict)
    jstack: str | None = None


class DirectConsumption(StrEnum):
    """What became of a message that was consumed directly (Java: `CMResult`); in Java's order."""

    CR_SUCCESS = "CR_SUCCESS"
    CR_LATER = "CR_LATER"
    CR_ROLLBACK = "CR_ROLLBACK"
    CR_COMMIT = "CR_COMMIT"
    CR_THROW_EXCEPTION = "CR_THROW_EXCEPTION"
    CR_RETURN_NULL = "CR_RETURN_NULL"


class ConsumeMessageDirectlyResult(Body, frozen=True):
    """Answer to CONSUME_MESSAGE_DIRECTLY."""

    order: bool = False
    auto_commit: bool = True
    consume_result: DirectConsumption | None = None
    remark: str | None = None
    spent_time_mills: I64 = 0
