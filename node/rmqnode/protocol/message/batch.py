"""Body of SEND_BATCH_MESSAGE: several messages of one topic, back to back.

    total size i32 · magic i32 = 0 · CRC i32 = 0 · flag i32 · body length i32, body · properties length i16, properties

The broker stores each part as an ordinary message. Source: `MessageDecoder#encodeMessage` (RocketMQ 4.5.2).
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from rmqnode.protocol.message.errors import MalformedMessage

_HEAD: Final = struct.Struct(">iiiii")
_PROPERTIES_LENGTH: Final = struct.Struct(">h")
_PART_SIZE_MIN: Final = _HEAD.size + _PROPERTIES_LENGTH.size
assert _PART_SIZE_MIN == 22


class BatchPart(msgspec.Struct, frozen=True, gc=False):
    """One message of a batch; topic, queue and the rest are those of the request."""

    flag: int
    body: bytes
    properties: bytes
    """Properties string in UTF-8, at most 32 767 bytes."""


def encode_batch(parts: Iterable[BatchPart]) -> bytes:
    """Write the parts in order.

    Raises:
        ValueError: The properties of a part are above 32 767 bytes, or its flag has more than 32 bits.
    """
    return b"".join(map(_encode_part, parts))


def _encode_part(part: BatchPart) -> bytes:
    size = _PART_SIZE_MIN + len(part.body) + len(part.properties)
    try:
        head = _HEAD.pack(size, 0, 0, part.flag, len(part.body))
        properties_length = _PROPERTIES_LENGTH.pack(len(part.properties))
    except struct.error as error:
        raise ValueError(f"a part of a batch can't be written: {error}") from None
    return b"".join((head, part.body, properties_length, part.properties))


def decode_batch(data: bytes | bytearray | memoryview) -> list[BatchPart]:
    """Read all parts; nothing makes an empty list.

    Raises:
        MalformedMessage: A length contradicts another one or the size of the data.
    """
    return list(iter_batch(data))


def iter_batch(data: bytes | bytearray | memoryview) -> Iterator[BatchPart]:
    """Yield the parts in order.

    Raises:
        MalformedMessage: As `decode_batch`, once it gets there.
    """
    position = 0
    while position < len(data):
        size, part = _decode_part(data, position)
        yield part
        position += size


def _decode_part(data: bytes | bytearray | memoryview, position: int) -> tuple[int, BatchPart]:
    left = len(data) - position
    if left < _PART_SIZE_MIN:
        raise MalformedMessage(f"{left} bytes left behind the last part of a batch")
    size, _, _, flag, body_length = _HEAD.unpack_from(data, position)
    if not _PART_SIZE_MIN <= size <= left or not 0 <= body_length <= size - _PART_SIZE_MIN:
        raise MalformedMessage(f"a part of {size} bytes with a body of {body_length} where a batch has {left} left")
    body_start = position + _HEAD.size
    body_end = body_start + body_length
    (properties_length,) = _PROPERTIES_LENGTH.unpack_from(data, body_end)
    if properties_length != size - _PART_SIZE_MIN - body_length:
        raise MalformedMessage(f"properties of {properties_length} bytes do not fill a part of {size} bytes")
    properties_start = body_end + _PROPERTIES_LENGTH.size
    body = bytes(data[body_start:body_end])
    return size, BatchPart(flag, body, bytes(data[properties_start : position + size]))
