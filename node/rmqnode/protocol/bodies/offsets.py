"""Bodies about offsets that are reset, compared, or asked of a client."""

from msgspec import field

from rmqnode.protocol.bodies.base import Body, MessageQueue
from rmqnode.protocol.header_fields import I32, I64


class ResetOffsetBody(Body, frozen=True):
    """Where a group goes on: body of RESET_CONSUMER_CLIENT_OFFSET, reply of INVOKE_BROKER_TO_RESET_OFFSET."""

    offset_table: dict[MessageQueue, I64] = field(default_factory=dict)


class MessageQueueForC(Body, frozen=True):
    """A queue with its offset, for clients whose JSON has no objects as keys."""

    topic: str = ""
    broker_name: str = ""
    queue_id: I32 = 0
    offset: I64 = 0


class ResetOffsetBodyForC(Body, frozen=True):
    """`ResetOffsetBody` when a C++ tool asked."""

    offset_table: list[MessageQueueForC] = field(default_factory=list)


class GetConsumerStatusBody(Body, frozen=True):
    """Where a consumer is (`message_queue_table`, from the client), or all of a group (`consumer_table`)."""

    message_queue_table: dict[MessageQueue, I64] = field(default_factory=dict)
    consumer_table: dict[str, dict[MessageQueue, I64]] = field(default_factory=dict)
    """Client id to its offsets."""


class QueryCorrectionOffsetBody(Body, frozen=True):
    """Reply of QUERY_CORRECTION_OFFSET: queue id to the least offset of any group."""

    correction_offsets: dict[int, I64] = field(default_factory=dict)
