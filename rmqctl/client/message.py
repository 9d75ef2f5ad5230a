"""A message as a producer makes it and what became of it: values and their checks, no I/O.

The rules for keys, tags and properties follow from the wire form, in which control characters separate pairs and a
blank separates keys (`MessageDecoder`, `Message` of 4.5.2); nothing is escaped there, so what can't be carried is
refused here.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypedDict

import msgspec

from rmqctl.client.errors import InvalidArgument
from rmqctl.client.names import check_topic, parse_destination
from rmqnode.protocol.properties import NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, PropertyName

BODY_SIZE_BYTES_MAX: Final = 15 * 1024 * 1024
"""A frame has at most 16 MiB. The broker's own limit, `maxMessageSize`, is 4 MiB unless it is configured."""

PROPERTIES_SIZE_BYTES_MAX: Final = 32_767
"""A record has two bytes for the length of the properties, signed in Java."""

RESERVED_PROPERTIES: Final = frozenset(value for name, value in vars(PropertyName).items() if name.isupper())
"""Property names with a meaning of their own to brokers and clients; users can't set them as plain properties."""


class SendStatus(StrEnum):
    """What the broker had done when it answered. The message is stored in every case."""

    SEND_OK = "SEND_OK"
    """Stored, and flushed or replicated as the broker is configured."""
    FLUSH_DISK_TIMEOUT = "FLUSH_DISK_TIMEOUT"
    """Stored, but not on disk in time (flushDiskType=SYNC_FLUSH)."""
    FLUSH_SLAVE_TIMEOUT = "FLUSH_SLAVE_TIMEOUT"
    """Stored, but no slave confirmed it in time (brokerRole=SYNC_MASTER)."""
    SLAVE_NOT_AVAILABLE = "SLAVE_NOT_AVAILABLE"
    """Stored, but no slave is near enough to confirm it (brokerRole=SYNC_MASTER)."""


class MessageOptions(TypedDict, total=False):
    """Everything of a message but its destination and content; all of it may be left out."""

    key: str
    """One key to find the message by."""
    keys: Sequence[str]
    """Several keys."""
    properties: Mapping[str, str]
    """The user's own."""
    delay_level: int
    """Deliver later: a level of the broker's `messageDelayLevel`, from 1 (1 s, 5 s, 10 s, 30 s, 1 m … by default)."""
    flag: int
    """A number of the application's own."""
    wait_stored: bool
    """False: the broker answers without waiting for disk and slave."""


class Message(msgspec.Struct, frozen=True):
    """One message to be sent.

    `body` is what goes on the wire, 1 byte at least. `properties` are the user's own; keys, tag and delay have fields.
    """

    topic: str
    body: bytes
    tag: str | None = None
    keys: tuple[str, ...] = ()
    properties: Mapping[str, str] = {}
    delay_level: int = 0
    """0 delivers at once; levels are the broker's `messageDelayLevel`."""
    flag: int = 0
    """A number of the application's own, 32 bits, carried unseen."""
    wait_stored: bool = True
    """Whether the broker answers only once disk and slave have it, as far as it is configured to wait."""
    system_properties: Mapping[str, str] = {}
    """Properties with a meaning to brokers and clients, set by clients themselves: no user's business, not checked."""


class SendResult(msgspec.Struct, frozen=True):
    """Where a message was stored. Its members are the JSON of `rmqctl send --json`."""

    status: SendStatus
    message_id: str
    """The unique key that the producer gave the message; a repeated send keeps it."""
    offset_message_id: str
    """The broker's id: its address and the message's physical offset."""
    topic: str
    broker: str
    queue_id: int
    queue_offset: int


def make_message(destination: str, content: object, options: MessageOptions) -> Message:
    """Make a message for `topic` or `topic:tag`.

    Args:
        destination: One topic, at most one tag.
        content: Bytes as they are, text as UTF-8, anything else as JSON.
        options: See `MessageOptions`.

    Raises:
        InvalidArgument: The destination is none, or the content is not JSON.
    """
    topic, tag = parse_destination(destination)
    key, several = options.get("key"), options.get("keys", ())
    if isinstance(several, str):
        raise InvalidArgument(f"keys={several!r} is one text", "each of its letters would be a key", "key=…, or a list")
    keys = tuple(several)
    return Message(
        topic=topic,
        body=encode_content(content),
        tag=tag,
        keys=keys if key is None else (key, *keys),
        properties=options.get("properties", {}),
        delay_level=options.get("delay_level", 0),
        flag=options.get("flag", 0),
        wait_stored=options.get("wait_stored", True),
    )


def encode_content(content: object) -> bytes:
    """Return the body for a content: bytes as they are, text in UTF-8, any other value as compact JSON in UTF-8.

    Raises:
        InvalidArgument: The value has no JSON form, or the text none in UTF-8.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    try:
        return content.encode() if isinstance(content, str) else msgspec.json.encode(content)
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgument(
            f"a body can't be made of this {type(content).__name__}",
            str(error),
            "give bytes, text, or a value of dicts, lists, texts, numbers, booleans and None",
        ) from None


def check_message(message: Message, body_size_bytes_max: int = BODY_SIZE_BYTES_MAX) -> Message:
    """Return the message if it can be carried as it is.

    Raises:
        InvalidArgument: The topic's name is illegal, the body is empty or too large, or a key or property has
            characters that separate them.
    """
    check_topic(message.topic)
    size = len(message.body)
    if not 0 < size <= body_size_bytes_max:
        raise _wrong_size(size, body_size_bytes_max)
    for key in message.keys:
        _check_is_text("message key", key)
        if not key or any(character.isspace() for character in key):
            raise InvalidArgument(
                f"message key {key!r} is empty or has a blank",
                "keys are joined by blanks",
                "give several keys one by one",
            )
        _check_text("message key", key)
    for name, value in message.properties.items():
        _check_property(name, value)
    if message.delay_level < 0:
        raise InvalidArgument(f"delay level {message.delay_level} does not exist", cure="levels count from 1")
    if not -(2**31) <= message.flag < 2**31:
        raise InvalidArgument(f"flag {message.flag} does not fit 32 bits")
    return message


def wire_properties(message: Message, unique_key: str) -> dict[str, str]:
    """Return all properties of the message in the order of the wire, those that a producer adds included."""
    properties = dict(message.properties)
    if message.keys:
        properties[PropertyName.KEYS] = " ".join(message.keys)
    properties[PropertyName.UNIQUE_KEY] = unique_key
    properties[PropertyName.WAIT] = "true" if message.wait_stored else "false"
    if message.tag is not None:
        properties[PropertyName.TAGS] = message.tag
    if message.delay_level:
        properties[PropertyName.DELAY] = str(message.delay_level)
    properties |= message.system_properties
    return properties


def check_properties_size(text: str) -> None:
    """Check that properties in their form on the wire fit a message.

    Raises:
        InvalidArgument: They do not.
    """
    size = len(text) if text.isascii() else len(text.encode())
    if size > PROPERTIES_SIZE_BYTES_MAX:
        raise InvalidArgument(
            f"the properties of the message have {size} bytes",
            f"a message carries at most {PROPERTIES_SIZE_BYTES_MAX}, keys, tag and the message id included",
            "put large data into the body",
        )


def _wrong_size(size: int, limit: int) -> InvalidArgument:
    if size == 0:
        return InvalidArgument(
            "the message body is empty", "official clients refuse to send or receive such messages", "give a body"
        )
    return InvalidArgument(
        f"the message body has {size} bytes",
        f"a frame carries at most {BODY_SIZE_BYTES_MAX}, and a broker takes 4 MiB unless maxMessageSize is raised"
        if limit == BODY_SIZE_BYTES_MAX
        else f"this producer sends at most {limit}; a broker takes 4 MiB unless maxMessageSize is raised",
        "send less, for instance where the data can be found",
    )


def _check_property(name: str, value: str) -> None:
    _check_is_text("the name of property", name)
    _check_is_text(f"the value of property {name}", value)
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


def _check_is_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} {value!r} is no text", "keys and properties are text", f"str({value!r})")


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
