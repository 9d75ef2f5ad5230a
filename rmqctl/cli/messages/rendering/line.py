"""One message as `rmqctl tail` shows it: a line, a block of lines, its bare body, or JSON. No I/O.

Nothing that a stranger put into a message can act on a terminal or break a line: control characters are escapes, a body
that is no UTF-8 is hexadecimal. Only `raw_body` gives bytes as they are.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from rmqctl.cli.messages.rendering.document import body_of, document_of, text_of
from rmqctl.client.start_position import format_time
from rmqnode.plain_text import escape_controls, plain_json
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage
from rmqnode.protocol.properties import PropertyName

_PLAIN: Final = "\x1b[0m"
_TIME: Final = "\x1b[2m"
_PLACE: Final = "\x1b[36m"
_TAG: Final = "\x1b[32m"
_KEYS: Final = "\x1b[33m"
_NOTE: Final = "\x1b[2m"

_DUMP_BYTES: Final = 16
"""Bytes of a binary body in one line of a block."""

_OWN_WORDS: Final = frozenset({PropertyName.TAGS, PropertyName.KEYS, PropertyName.UNIQUE_KEY, PropertyName.WAIT})
"""Properties that a block shows under a name of their own, or that say nothing."""


class Painter:
    """Colours our own words, or leaves them as they are."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def paint(self, code: str, text: str) -> str:
        """Return the text in a colour."""
        return f"{code}{text}{_PLAIN}" if self._colour else text


def json_line(queue: MessageQueue, message: StoredMessage) -> bytes:
    """Return the message as a JSON object on one line."""
    return plain_json(msgspec.json.encode(document_of(queue, message)))


def json_block(queue: MessageQueue, message: StoredMessage) -> bytes:
    """Return the message as an indented JSON object."""
    return msgspec.json.format(json_line(queue, message), indent=2)


def raw_body(queue: MessageQueue, message: StoredMessage) -> bytes:
    """Return the bytes of the body, as they were sent."""
    return body_of(message)[0]


def text_line(queue: MessageQueue, message: StoredMessage, painter: Painter) -> bytes:
    """Return the message as one line: when and where, tag and keys, body."""
    body, problem = body_of(message)
    note = f"<{problem}> " if problem else ""
    return _encode(
        f"{_head_of(queue, message, painter)}  {painter.paint(_NOTE, note) if note else ''}{body_text(body)}"
    )


def text_block(queue: MessageQueue, message: StoredMessage, painter: Painter) -> bytes:
    """Return the message as a line of its own, its properties and the body below: JSON indented, binary as a dump."""
    body, problem = body_of(message)
    lines = [_head_of(queue, message, painter)]
    notes = {"id": message.message_id}
    notes |= {name: value for name, value in message.properties.items() if name not in _OWN_WORDS}
    if problem:
        notes["body"] = problem
    lines += [painter.paint(_NOTE, f"    {escape_controls(f'{name}={value}')}") for name, value in notes.items()]
    lines += [f"  {line}" for line in body_lines(body)]
    return _encode("\n".join(lines))


def body_text(body: bytes) -> str:
    r"""Return a body as one piece of text: control characters as `\n` or `\x1b`, no UTF-8 as `hex:00ff`."""
    text = text_of(body)
    return f"hex:{body.hex()}" if text is None else escape_controls(text)


def body_lines(body: bytes) -> Iterator[str]:
    """Give a body in lines for people: JSON indented, text in its own lines, anything else as a dump."""
    text = text_of(body)
    if text is None:
        for start in range(0, len(body), _DUMP_BYTES):
            part = body[start : start + _DUMP_BYTES]
            shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
            yield f"{start:08x}  {part.hex(' '):<{3 * _DUMP_BYTES - 1}}  {shown}"
        return
    if text[:1] in "{[":
        with suppress(msgspec.DecodeError):
            text = msgspec.json.format(text, indent=2)
    for line in text.split("\n"):
        yield escape_controls(line)


def store_time_of(message: StoredMessage) -> str:
    """Return the store time for people, in local time."""
    try:
        stored_at = datetime.fromtimestamp(message.store_timestamp / 1000)
    except (OverflowError, ValueError, OSError):
        return format_time(message.store_timestamp)
    return stored_at.isoformat(" ", "milliseconds")


def _head_of(queue: MessageQueue, message: StoredMessage, painter: Painter) -> str:
    place = escape_controls(f"{queue.broker_name}:{message.queue_id}@{message.queue_offset}")
    parts = [painter.paint(_TIME, store_time_of(message)), painter.paint(_PLACE, place)]
    if tag := message.properties.get(PropertyName.TAGS):
        parts.append(painter.paint(_TAG, f"[{escape_controls(tag)}]"))
    if keys := message.properties.get(PropertyName.KEYS):
        parts.append(painter.paint(_KEYS, f"keys={escape_controls(','.join(keys.split()))}"))
    return " ".join(parts)


def _encode(text: str) -> bytes:
    return text.encode(sys.stdout.encoding, "backslashreplace")
