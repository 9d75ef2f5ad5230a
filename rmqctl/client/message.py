"""A message as a producer makes it and what became of it: values and their checks, no I/O.

The rules for keys, tags and properties follow from the wire form, in which control characters separate pairs and a
blank separates keys (`MessageDecoder`, `Message` of 4.5.2); nothing is escaped there, so what can't be carried is
refused here.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

from rmqctl.client.errors import InvalidArgument
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.properties import NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, PropertyName

BODY_SIZE_BYTES_MAX: Final = 15 * 1024 * 1024
"""A frame has at most 16 MiB. The broker's own limit, `maxMessageSize`, is 4 MiB unless it is configured."""

RESERVED_PROPERTIES: Final = frozenset(value for name, value in vars(PropertyName).items() if name.isupper())
"""Property names with a meaning of their own to brokers and clients; users can't set them as plain properties."""


class SendStatus(Enum):
    """What the broker had done when it answered. The message is stored in every case."""

    SEND_OK = ResponseCode.SUCCESS
    """Stored, and flushed or replicated as the broker is configured."""
    FLUSH_DISK_TIMEOUT = ResponseCode.FLUSH_DISK_TIMEOUT
    """Stored, but not on disk in time (flushDiskType=SYNC_FLUSH)."""
    FLUSH_SLAVE_TIMEOUT = ResponseCode.FLUSH_SLAVE_TIMEOUT
    """Stored, but no slave confirmed it in time (brokerRole=SYNC_MASTER)."""
    SLAVE_NOT_AVAILABLE = ResponseCode.SLAVE_NOT_AVAILABLE
    """Stored, but no slave is near enough to confirm it (brokerRole=SYNC_MASTER)."""


class Message(msgspec.Struct, frozen=True):
    """One message to be sent.

    `body` is what goes on the wire, 1 byte at least. `properties` are the user's own; keys and tag have fields.
    """

    topic: str
    body: bytes
    tag: str | None = None
    keys: tuple[str, ...] = ()
    properties: Mapping[str, str] = {}


class SendResult(msgspec.Struct, frozen=True):
    """Where a message was stored. Its members are the JSON of `rmqctl send --json`."""

    status: str
    """Name of a `SendStatus`."""
    message_id: str
    """The unique key that the producer gave the message; a repeated send would keep it."""
    offset_message_id: str
    """The broker's id: its address and the message's physical offset."""
    topic: str
    broker: str
    queue_id: int
    queue_offset: int


def check_message(message: Message) -> Message:
    """Return the message if it can be carried as it is.

    Raises:
        InvalidArgument: The body is empty or too large, or a key or property has characters that separate them.
    """
    size = len(message.body)
    if size == 0:
        raise InvalidArgument(
            "the message body is empty", "official clients refuse to send or receive such messages", "give a body"
        )
    if size > BODY_SIZE_BYTES_MAX:
        raise InvalidArgument(
            f"the message body has {size} bytes",
            f"a frame carries at most {BODY_SIZE_BYTES_MAX}, and a broker takes 4 MiB unless maxMessageSize is raised",
            "send less, for instance where the data can be found",
        )
    for key in message.keys:
        if not key or any(character.isspace() for character in key):
            raise InvalidArgument(
                f"message key {key!r} is empty or has a blank",
                "keys are joined by blanks",
                "give several keys one by one",
            )
        _check_text("message key", key)
    for name, value in message.properties.items():
        _check_property(name, value)
    return message


def wire_properties(message: Message, unique_key: str) -> dict[str, str]:
    """Return all properties of the message in the order of the wire, those that a producer adds included."""
    properties = dict(message.properties)
    if message.keys:
        properties[PropertyName.KEYS] = " ".join(message.keys)
    properties[PropertyName.UNIQUE_KEY] = unique_key
    properties[PropertyName.WAIT] = "true"
    if message.tag is not None:
        properties[PropertyName.TAGS] = message.tag
    return properties


def _check_property(name: str, value: str) -> None:
    if name in RESERVED_PROPERTIES:
        raise InvalidArgument(
            f"property {name} is reserved",
            "brokers and clients give it a meaning of their own",
            "use another name; keys and tags are given with --key and TOPIC:TAG",
        )
    if not name or not value:
        raise InvalidArgument(
            f"property {name!r} has {'no value' if name else 'no name'}",
            "RocketMQ 4.5 drops such pairs when it reads them",
            "give a name and a value",
        )
    _check_text("property", name)
    _check_text(f"the value of property {name}", value)


def _check_text(what: str, text: str) -> None:
    if NAME_VALUE_SEPARATOR in text or PROPERTY_SEPARATOR in text:
        raise InvalidArgument(
            f"{what} {text!r} has a control character U+0001 or U+0002",
            "they separate properties on the wire",
            "put such data into the body",
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(
            f"{what} {text!r} is not valid UTF-8", "properties are text", "put binary data into the body"
        ) from None
