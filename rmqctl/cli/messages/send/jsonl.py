"""Messages as JSON, one a line: what `rmqctl tail --format jsonl` prints becomes the same message again. No I/O.

A line has `body` (a text, or any JSON value) or `body_base64`, and if it likes `tag`, `keys`, `properties`, `flag`,
`delay_level` and `order_key`; other members, such as the place where the message was read, are passed over.
"""

import base64
import binascii
from typing import Final

import msgspec

from rmqctl.client.message import RESERVED_PROPERTIES, Message
from rmqctl.documents import decode_json
from rmqctl.errors import UsageError
from rmqnode.protocol.properties import NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, PropertyName

_LEFT_OUT: Final = frozenset({PropertyName.TRANSACTION_PREPARED, PropertyName.MIN_OFFSET, PropertyName.MAX_OFFSET})
"""They would make a half message of it, or were added on reading."""


class _Line(msgspec.Struct, frozen=True):
    body: msgspec.Raw = msgspec.Raw(b"null")
    body_base64: str | None = None
    body_problem: str | None = None
    tag: str | None = None
    keys: list[str] | None = None
    properties: dict[str, str] = {}
    flag: int = 0
    delay_level: int = 0
    order_key: str | None = None


class Written(msgspec.Struct, frozen=True):
    """A message that was written down, and the key that orders it."""

    message: Message
    order_key: str | None = None


def read_line(line: bytes, topic: str, source: str) -> Written:
    """Return the message that a line means.

    Args:
        line: One JSON object.
        topic: Where it goes; the topic in the line is where it came from.
        source: Where it was read, for the error.

    Raises:
        UsageError: It is no message.
    """
    try:
        read = decode_json(line, type=_Line)
        body = _body_of(read)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise UsageError(
            f"{source} is no message", str(error), 'a line is an object as {"body": "hello", "tag": "paid"}'
        ) from None
    system = {name: value for name, value in read.properties.items() if name in RESERVED_PROPERTIES - _LEFT_OUT}
    for name, value in system.items():
        if NAME_VALUE_SEPARATOR in value or PROPERTY_SEPARATOR in value or not value:
            raise UsageError(f"{source} has a property {name} that can't be carried: {value!r}")
    # What was changed on the way counts; what was not keeps its exact form, such as blanks between keys.
    keys = tuple(read.keys or ())
    if keys and keys != tuple(system.get(PropertyName.KEYS, "").split()):
        system.pop(PropertyName.KEYS, None)
    else:
        keys = ()
    if read.tag is not None:
        system.pop(PropertyName.TAGS, None)
    message = Message(
        topic=topic,
        body=body,
        tag=read.tag,
        keys=keys,
        properties={name: value for name, value in read.properties.items() if name not in RESERVED_PROPERTIES},
        delay_level=read.delay_level,
        flag=read.flag,
        system_properties=system,
    )
    return Written(message, read.order_key)


def _body_of(read: _Line) -> bytes:
    if read.body_problem is not None:
        raise ValueError(f"its body could not be read where it came from: {read.body_problem}")
    written = bytes(read.body)
    if read.body_base64 is not None:
        if written != b"null":
            raise ValueError("it has both body and body_base64")
        return base64.b64decode(read.body_base64, validate=True)
    if written == b"null":
        raise ValueError("it has neither body nor body_base64")
    return decode_json(written, type=str).encode() if written.startswith(b'"') else written
