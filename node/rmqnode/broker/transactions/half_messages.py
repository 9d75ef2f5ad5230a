"""The forms of a transactional message: prepared, copied for a check-back, committed, given up; and the decision.

Bytes only; nothing is stored here. Properties are never taken away: consumers of a committed message see those of
its transaction too.
Source: `TransactionalMessageBridge`, `EndTransactionProcessor#endMessageTransaction`,
`DefaultTransactionalMessageCheckListener#toMessageExtBrokerInner` (RocketMQ 4.5.2). Differs: copies keep the
producer's flag and a compressed body as it is (4.5.2 stores it inflated and still marked as compressed); all of them
name the first half message (TRAN_PREPARED_QUEUE_OFFSET), in 4.5.2 only those that were not asked about.
"""

from typing import Final

from rmqnode.broker import system_topics
from rmqnode.broker.messages import Message, copy_of, with_destination
from rmqnode.broker.transactions.decision import Decision
from rmqnode.protocol.java_text import parse_int, parse_long
from rmqnode.protocol.message import StoredMessage, SysFlag
from rmqnode.protocol.properties import PropertyName, decode_properties, encode_properties

QUEUE_ID: Final = 0
"""Half messages and decisions have one queue each."""

_DECIDED_PROPERTIES: Final = encode_properties({PropertyName.TAGS: "d", PropertyName.WAIT: "true"}).encode()

_TRANSACTION_BITS: Final = int(SysFlag.TRANSACTION_ROLLBACK)
_COMMIT: Final = int(SysFlag.TRANSACTION_COMMIT)

Identity = tuple[int, str | None, int]
"""What all copies of one half message share: queue offset of the first, unique key, born timestamp.

The offset alone would do, but a producer may forward a message with its old properties; the other two alone would not,
as producers may send one message object from many threads.
"""

GROWTH_MAX: Final = (
    len(f"{PropertyName.TRANSACTION_PREPARED_QUEUE_OFFSET}\x01{2**63}\x02")
    + len(f"{PropertyName.TRANSACTION_CHECK_TIMES}\x01{2**31}\x02")
    + len(f"{PropertyName.WAIT}\x01false\x02")
    + 1
)
"""Bytes by which the properties of a half message grow at most in its copies; one for a missing separator."""

_DIGITS_SURE: Final = 18
"""A number of so many digits is a long."""

_OF_COPIES: Final = (PropertyName.TRANSACTION_PREPARED_QUEUE_OFFSET, PropertyName.TRANSACTION_CHECK_TIMES)


def prepared(message: Message) -> Message:
    """Turn what a producer sent into the half message that waits for its decision."""
    if any(name.encode() in message.properties for name in _OF_COPIES):
        properties = decode_properties(message.properties.decode("utf-8", "replace"))
        own = {name: value for name, value in properties.items() if name not in _OF_COPIES}
        message.properties = encode_properties(own).encode()
    message.properties = with_destination(message.properties, message.topic, message.queue_id)
    message.topic = system_topics.TRANS_HALF_TOPIC
    message.queue_id = QUEUE_ID
    message.sys_flag &= ~_TRANSACTION_BITS
    return message


def copy_for_check(half: StoredMessage) -> Message:
    """Copy a half message to the end of its queue, with one more check-back counted."""
    times = str((check_times(half) or 0) + 1)
    properties = {PropertyName.TRANSACTION_PREPARED_QUEUE_OFFSET: str(half.queue_offset), **half.properties}
    return copy_of(half, half.topic, QUEUE_ID, properties | {PropertyName.TRANSACTION_CHECK_TIMES: times})


def copy_for_later(half: StoredMessage) -> Message:
    """Copy a half message, which asks not to be checked yet, out of the way of those behind it."""
    properties = {PropertyName.TRANSACTION_PREPARED_QUEUE_OFFSET: str(half.queue_offset), **half.properties}
    return copy_of(half, half.topic, QUEUE_ID, properties | {PropertyName.WAIT: "false"})


def copy_for_new_checks(message: StoredMessage) -> Message:
    """Make a message that was given up a half message again, with no check-backs counted."""
    properties = {**message.properties, PropertyName.TRANSACTION_CHECK_TIMES: "0"}
    return copy_of(message, system_topics.TRANS_HALF_TOPIC, QUEUE_ID, properties)


def given_up(half: StoredMessage) -> Message:
    """Copy a half message to where those go that nobody decided."""
    return copy_of(half, system_topics.TRANS_CHECK_MAX_TIME_TOPIC, QUEUE_ID, half.properties)


def committed(half: StoredMessage) -> Message | None:
    """Make the message that consumers get; None when the half message does not say where to."""
    topic = half.properties.get(PropertyName.REAL_TOPIC)
    queue_id = parse_int(half.properties.get(PropertyName.REAL_QUEUE_ID, ""))
    if not topic or queue_id is None or queue_id < 0:
        return None
    message = copy_of(half, topic, queue_id, half.properties)
    message.sys_flag = message.sys_flag & ~_TRANSACTION_BITS | _COMMIT
    message.prepared_transaction_offset = half.physical_offset
    return message


def decided(half_queue_offset: int, decision: Decision) -> Message:
    """Make the note that a half message needs no check-back any more, and which way it was decided."""
    return Message(
        topic=system_topics.TRANS_OP_HALF_TOPIC,
        queue_id=QUEUE_ID,
        flag=decision.kind,
        sys_flag=0,
        born_timestamp=decision.at_ms,
        born_host=decision.by,
        body=b"%d" % half_queue_offset,
        properties=_DECIDED_PROPERTIES,
    )


def offsets_of_decisions(body: bytes) -> list[int]:
    """Read the queue offsets of half messages in a note; 5.x joins those of several with commas."""
    if body.isdigit() and len(body) <= _DIGITS_SURE:
        return [int(body)]  # all that brokers of 4.5.2 and we write; a start reads thousands
    offsets = (parse_long(part.strip()) for part in body.decode("utf-8", "replace").split(","))
    return [offset for offset in offsets if offset is not None and offset >= 0]


def identity_of(half: StoredMessage) -> Identity:
    """What all copies of a half message share."""
    first = parse_long(half.properties.get(PropertyName.TRANSACTION_PREPARED_QUEUE_OFFSET, ""))
    offset = half.queue_offset if first is None else first
    return offset, half.properties.get(PropertyName.UNIQUE_KEY), half.born_timestamp


def check_times(half: StoredMessage) -> int | None:
    """How many check-backs a half message has had; None before the first."""
    text = half.properties.get(PropertyName.TRANSACTION_CHECK_TIMES)
    return None if text is None else parse_int(text) or 0


def is_copy(half: StoredMessage) -> bool:
    """Whether this says that an earlier half message was the first of its transaction; Apache's copies may not."""
    return PropertyName.TRANSACTION_PREPARED_QUEUE_OFFSET in half.properties
