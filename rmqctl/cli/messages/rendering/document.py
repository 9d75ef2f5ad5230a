"""One message as a JSON document: what `rmqctl tail` and `message get` print, and what `rmqctl send` reads back.

Nothing is lost on the way: a body that is no UTF-8 travels as base64, one that is damaged or can't be decompressed as
it is stored, and `properties` has all properties, the system's included. No I/O.
"""

import base64
from typing import Final

import msgspec

from rmqctl.client.compression import decompressed_body
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import MalformedMessage, StoredMessage
from rmqnode.protocol.properties import PropertyName

BODY_DAMAGED: Final = "body damaged: its bytes differ from the CRC that was stored with them"
"""The problem of a body that changed on the broker's disk."""


class MessageDocument(msgspec.Struct, frozen=True):
    """A message in `rmqctl tail --format jsonl`; documented in docs/messages.md."""

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
    """The body's bytes when they are no UTF-8, damaged, or can't be decompressed; else null."""
    body_problem: str | None
    """Why the body can't be given as it was sent: it is damaged, or can't be decompressed; else null."""
    body_damaged: bool
    """Whether the body differs from the CRC in its record; `body_problem` then says so."""
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


def document_of(queue: MessageQueue, message: StoredMessage) -> MessageDocument:
    """Return the document of a message that was read from a queue."""
    body, problem = body_of(message)
    text = None if problem else text_of(body)
    return MessageDocument(
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
        body_damaged=message.has_damaged_body,
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


def body_of(message: StoredMessage) -> tuple[bytes, str | None]:
    """Return the body as it was sent, or as it is stored together with why it is not what was sent."""
    if message.has_damaged_body:
        return message.body, BODY_DAMAGED
    try:
        return decompressed_body(message), None
    except MalformedMessage as error:
        return message.body, str(error)


def text_of(body: bytes) -> str | None:
    """Return a body as text; None when it is no UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
