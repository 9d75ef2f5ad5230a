"""The properties of a message: `name 0x01 value 0x02` repeated, in UTF-8.

There is no escaping: names and values can't hold the two separators. The last separator may be missing (writers of
4.9.2 to 5.1 leave it out). Reading follows 4.5.2: a pair counts only if splitting at 0x01 gives two parts, so a
pair with an empty value is lost; of several pairs with one name the last one counts.
Source: `MessageDecoder#messageProperties2String`, `#string2messageProperties`, `MessageConst` (RocketMQ 4.5.2).
"""

from collections.abc import Mapping
from typing import Final

NAME_VALUE_SEPARATOR: Final = "\x01"
PROPERTY_SEPARATOR: Final = "\x02"

_IRREGULAR: Final = NAME_VALUE_SEPARATOR + PROPERTY_SEPARATOR
"""An empty value, which is no pair to Java."""

_NAME_END: Final = NAME_VALUE_SEPARATOR.encode()
_PAIR_END: Final = PROPERTY_SEPARATOR.encode()
_PAIR_END_BYTE: Final = _PAIR_END[0]


class PropertyName:
    """Names of the properties that brokers and clients give a meaning to."""

    KEYS: Final = "KEYS"
    """Keys for look-ups, separated by blanks."""
    TAGS: Final = "TAGS"
    """The one tag of the message."""
    WAIT: Final = "WAIT"
    """`false`: the broker answers without waiting for disk and slave."""
    DELAY: Final = "DELAY"
    """Level of the delay, from 1."""
    RETRY_TOPIC: Final = "RETRY_TOPIC"
    """Topic of a message before its first redelivery."""
    REAL_TOPIC: Final = "REAL_TOPIC"
    """Topic to deliver to, of a delayed or half message."""
    REAL_QUEUE_ID: Final = "REAL_QID"
    """Queue to deliver to, of a delayed or half message."""
    BODY_DAMAGED: Final = "BODY_DAMAGED"
    """`true`, ours only: a copy of a message whose body was damaged; the copy's CRC fits the damaged body."""
    TRANSACTION_PREPARED: Final = "TRAN_MSG"
    """`true`: a half message."""
    PRODUCER_GROUP: Final = "PGROUP"
    """Whom to ask about a half message."""
    MIN_OFFSET: Final = "MIN_OFFSET"
    """Smallest offset of the queue, added by a consumer."""
    MAX_OFFSET: Final = "MAX_OFFSET"
    """Largest offset of the queue, added by a consumer."""
    BUYER_ID: Final = "BUYER_ID"
    """Free for applications."""
    ORIGIN_MESSAGE_ID: Final = "ORIGIN_MESSAGE_ID"
    """Offset message id of the first copy of a redelivered message."""
    TRANSFER_FLAG: Final = "TRANSFER_FLAG"
    """Known by name only."""
    CORRECTION_FLAG: Final = "CORRECTION_FLAG"
    """Known by name only."""
    MQ2_FLAG: Final = "MQ2_FLAG"
    """Known by name only."""
    RECONSUME_TIME: Final = "RECONSUME_TIME"
    """How often the message was consumed, in the consumer's own resend."""
    MAX_RECONSUME_TIMES: Final = "MAX_RECONSUME_TIMES"
    """How often it may be consumed, in the consumer's own resend."""
    MSG_REGION: Final = "MSG_REGION"
    """Region id of the broker."""
    TRACE_SWITCH: Final = "TRACE_ON"
    """Whether clients shall write traces."""
    UNIQUE_KEY: Final = "UNIQ_KEY"
    """Message id given by the producer."""
    CONSUME_START_TIMESTAMP: Final = "CONSUME_START_TIME"
    """Start of consumption in ms, added by a consumer."""
    TRANSACTION_PREPARED_QUEUE_OFFSET: Final = "TRAN_PREPARED_QUEUE_OFFSET"
    """Queue offset of the earlier copy of a half message."""
    TRANSACTION_CHECK_TIMES: Final = "TRANSACTION_CHECK_TIMES"
    """How often the producer was asked about a half message."""
    CHECK_IMMUNITY_TIME_IN_SECONDS: Final = "CHECK_IMMUNITY_TIME_IN_SECONDS"
    """How long the producer is not asked."""
    TIMER_DELAY_SEC: Final = "TIMER_DELAY_SEC"
    """Delay in seconds (5.x)."""
    TIMER_DELAY_MS: Final = "TIMER_DELAY_MS"
    """Delay in ms (5.x)."""
    TIMER_DELIVER_MS: Final = "TIMER_DELIVER_MS"
    """Time of delivery in ms since the epoch (5.x)."""
    START_DELIVER_TIME: Final = "__STARTDELIVERTIME"
    """The same, as clients of ONS write it."""
    REPLY_TO_CLIENT: Final = "REPLY_TO_CLIENT"
    """Client id of who waits for the reply to this message (since 4.6)."""
    PUSH_REPLY_TIME: Final = "PUSH_REPLY_TIME"
    """When a broker handed a reply on, in ms since the epoch (since 4.6)."""
    CLUSTER: Final = "CLUSTER"
    """Cluster of the broker that stored the message (since 4.6; here, of messages that ask for a reply)."""
    INSTANCE_ID: Final = "INSTANCE_ID"
    """Namespace of the producer."""
    MESSAGE_TYPE: Final = "MSG_TYPE"
    """`reply`: answers a request message (since 4.6)."""
    CORRELATION_ID: Final = "CORRELATION_ID"
    """Ties a reply to its request message (since 4.6)."""
    MESSAGE_TTL: Final = "TTL"
    """How long the reply is waited for, in ms (since 4.6)."""
    REPLY_ARRIVE_TIME: Final = "ARRIVE_TIME"
    """When a reply came, in ms since the epoch, added by the client that waited (since 4.6)."""


def encode_properties(properties: Mapping[str, str]) -> str:
    """Write properties in the order of the mapping, with the last separator.

    Raises:
        ValueError: A name or value holds a separator.
    """
    text = "".join(f"{name}\x01{value}\x02" for name, value in properties.items())
    if text.count(NAME_VALUE_SEPARATOR) + text.count(PROPERTY_SEPARATOR) != 2 * len(properties):
        raise ValueError("names and values of properties can't hold the characters 0x01 and 0x02")
    return text


def decode_properties(text: str) -> dict[str, str]:
    """Read properties; what is no pair is left out."""
    if _IRREGULAR not in text and text.endswith(PROPERTY_SEPARATOR):
        try:
            return dict([pair.split(NAME_VALUE_SEPARATOR) for pair in text[:-1].split(PROPERTY_SEPARATOR)])
        except ValueError:
            pass  # not everything is a pair
    properties: dict[str, str] = {}
    for pair in text.split(PROPERTY_SEPARATOR):
        name, _, value = pair.partition(NAME_VALUE_SEPARATOR)
        if NAME_VALUE_SEPARATOR in value:
            # Java's split forgets empty parts at the end.
            value = value.rstrip(NAME_VALUE_SEPARATOR)
        if value and NAME_VALUE_SEPARATOR not in value:
            properties[name] = value
    return properties


def append_property(text: str, name: str, value: str) -> str:
    """Add one pair at the end, with the separator that may be missing before it."""
    separator = "" if not text or text.endswith(PROPERTY_SEPARATOR) else PROPERTY_SEPARATOR
    return f"{text}{separator}{name}\x01{value}\x02"


def find_property(data: bytes, name: str) -> bytes | None:
    """Return the value that `decode_properties` would give to a name, without reading the other pairs."""
    pair_start = name.encode() + _NAME_END
    found = data.rfind(pair_start)
    while found >= 0:
        if found == 0 or data[found - 1] == _PAIR_END_BYTE:
            value_start = found + len(pair_start)
            value_end = data.find(_PAIR_END, value_start)
            value = data[value_start : len(data) if value_end < 0 else value_end].rstrip(_NAME_END)
            if value and _NAME_END not in value:
                return value
        found = data.rfind(pair_start, 0, found + len(pair_start) - 1)
    return None
