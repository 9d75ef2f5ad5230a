"""One message as one line of `rmqctl tail`: for people at a terminal, for a pipe, or as JSON. No I/O."""

import base64
import sys
from datetime import datetime

import msgspec

from rmqctl.cli.escape import escape_bytes, escape_controls
from rmqctl.client.start_position import format_time
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import MalformedMessage, StoredMessage
from rmqnode.protocol.properties import PropertyName

_DIM = "\x1b[2m"
_PLAIN = "\x1b[0m"


class MessageDocument(msgspec.Struct, frozen=True):
    """A message in `rmqctl tail --json`; documented in docs/messages.md."""

    topic: str
    broker: str
    queue_id: int
    queue_offset: int
    message_id: str
    offset_message_id: str
    tag: str | None
    keys: list[str]
    body: str | None
    """The body when it is UTF-8, else null."""
    body_base64: str | None
    """The body's bytes when they are no UTF-8, or can't be decompressed; else null."""
    body_problem: str | None
    """Why the body can't be decompressed; null when it can."""
    properties: dict[str, str]
    """All properties, the system's included."""
    flag: int
    sys_flag: int
    reconsume_times: int
    physical_offset: int
    born_timestamp: int
    born_host: str
    store_timestamp: int
    store_host: str


def json_line(queue: MessageQueue, message: StoredMessage) -> bytes:
    """Return the message as a JSON object."""
    body, problem = _body_of(message)
    text = None if problem else _text_of(body)
    document = MessageDocument(
        topic=message.topic,
        broker=queue.broker_name,
        queue_id=message.queue_id,
        queue_offset=message.queue_offset,
        message_id=message.message_id,
        offset_message_id=message.offset_message_id,
        tag=message.properties.get(PropertyName.TAGS),
        keys=message.properties.get(PropertyName.KEYS, "").split(),
        body=text,
        body_base64=base64.b64encode(body).decode() if text is None else None,
        body_problem=problem,
        properties=message.properties,
        flag=message.flag,
        sys_flag=message.sys_flag,
        reconsume_times=message.reconsume_times,
        physical_offset=message.physical_offset,
        born_timestamp=message.born_timestamp,
        born_host=str(message.born_host),
        store_timestamp=message.store_timestamp,
        store_host=str(message.store_host),
    )
    return msgspec.json.encode(document)


def text_line(queue: MessageQueue, message: StoredMessage) -> bytes:
    """Return the message for a pipe: where and when, tag and keys, then the body's bytes as they are."""
    body, problem = _body_of(message)
    return _head_of(queue, message).encode() + (problem.encode() if problem else body)


def terminal_line(queue: MessageQueue, message: StoredMessage, *, colour: bool = False) -> bytes:
    """Return the message for a terminal: like `text_line`, but nothing in it can act on the terminal."""
    body, problem = _body_of(message)
    head = _head_of(queue, message)
    line = (f"{_DIM}{head}{_PLAIN}" if colour else head) + (problem or escape_bytes(body))
    return line.encode(sys.stdout.encoding, "backslashreplace")


def _head_of(queue: MessageQueue, message: StoredMessage) -> str:
    parts = [_time_of(message), f"{queue.broker_name}:{message.queue_id}@{message.queue_offset}"]
    if tag := message.properties.get(PropertyName.TAGS):
        parts.append(f"[{tag}]")
    if keys := message.properties.get(PropertyName.KEYS):
        parts.append(f"keys={','.join(keys.split())}")
    return escape_controls(" ".join(parts)) + "  "


def _time_of(message: StoredMessage) -> str:
    try:
        stored_at = datetime.fromtimestamp(message.store_timestamp / 1000)
    except (OverflowError, ValueError, OSError):
        return format_time(message.store_timestamp)
    return stored_at.isoformat(" ", "milliseconds")


def _body_of(message: StoredMessage) -> tuple[bytes, str | None]:
    try:
        return message.decompressed_body(), None
    except MalformedMessage as error:
        return message.body, f"<{error}; {len(message.body)} bytes>"


def _text_of(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
