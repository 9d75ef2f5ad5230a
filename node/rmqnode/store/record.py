"""Layout of one commit log record, in one place: head, lengths, blank record, validation while scanning.

Not responsible for properties or hosts as values; clients decode records with `rmqnode.protocol`.

    0 total size i32 | 4 magic u32 | 8 body CRC i32 | 12 queue id i32 | 16 flag i32 | 20 queue offset i64
    28 physical offset i64 | 36 sys flag i32 | 40 born timestamp i64 | 48 born host 8s | 56 store timestamp i64
    64 store host 8s | 72 reconsume times i32 | 76 prepared transaction offset i64 | 84 body length i32
    88 body | i8 topic length, topic | i16 properties length, properties

Source: CommitLog.DefaultAppendMessageCallback#doAppend, CommitLog#checkMessageAndReturnSize (RocketMQ 4.5.2).
"""

import re
from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from rmqnode.store.errors import UnsupportedRecord

RECORD_HEAD: Final = Struct(">iIiiiqqiq8sq8siqi")
RECORD_HEAD_SIZE: Final = 88
assert RECORD_HEAD.size == RECORD_HEAD_SIZE

RECORD_FIXED_SIZE: Final = RECORD_HEAD_SIZE + 1 + 2
"""Bytes of a record without body, topic and properties."""

MESSAGE_MAGIC: Final = 0xDAA320A7
MESSAGE_MAGIC_V2: Final = 0xDAA320AB
BLANK_MAGIC: Final = 0xCBD43194

BLANK_HEAD: Final = Struct(">iI")
BLANK_SIZE_MIN: Final = 8
"""A record is appended only if this much stays free behind it, so that the file can always be closed."""

SIZE_AND_MAGIC: Final = Struct(">iI")
MAGIC_POSITION: Final = 4
PHYSICAL_OFFSET_POSITION: Final = 28
STORE_TIMESTAMP: Final = Struct(">q")
STORE_TIMESTAMP_POSITION: Final = 56

BODY_SIZE: Final = Struct(">i")
BODY_SIZE_POSITION: Final = 84
_unpack_body_size: Final = BODY_SIZE.unpack_from

KEYS_HEAD: Final = Struct(">iI28xi16xq20xi")
"""What the index looks at: total size, magic, sys flag, store timestamp, body length."""
assert KEYS_HEAD.size == RECORD_HEAD_SIZE

_QUEUE_PLACE: Final = Struct(">12xi4xq56xi")
"""Queue id, queue offset, body length."""
assert _QUEUE_PLACE.size == RECORD_HEAD_SIZE

CRC_MASK: Final = 0x7FFFFFFF
PROPERTIES_SIZE_MAX: Final = 32767
TOPIC_SIZE_MAX: Final = 127

SYS_FLAG_TRANSACTION: Final = 0xC
"""Transaction type: none, prepared (0x4), commit (0x8), rollback (0xC)."""
SYS_FLAG_ROLLBACK: Final = 0xC
SYS_FLAG_WITHOUT_QUEUE_OFFSET: Final = 0x4
"""Set for the transaction types prepared (0x4) and rollback (0xC), which get no consume queue unit."""
SYS_FLAG_IPV6: Final = 0x30
"""Born host or store host is IPv6: 12 bytes longer each, unknown to 4.5.2."""


QUEUE_OFFSET_MAX: Final = (1 << 63) // 20 - (1 << 32)
"""No consume queue has a unit behind this queue offset: its place would not fit in 63 bits."""

_MAGIC_PATTERN: Final = re.compile(re.escape(MESSAGE_MAGIC.to_bytes(4, "big")))
_IPV6_EXTRA_SIZE: Final = 12
"""Bytes that a host is longer by when it is IPv6."""


class ScannedRecord(NamedTuple):
    """What dispatch needs to know of a record; `size` is the whole record in bytes."""

    size: int
    queue_id: int
    queue_offset: int
    sys_flag: int
    store_timestamp: int
    topic: bytes
    properties: bytes


def encoded_topic(topic: str) -> bytes:
    """The topic as records carry it: length in one byte, then UTF-8."""
    encoded = topic.encode()
    return bytes((len(encoded),)) + encoded


def is_blank(view: memoryview, position: int) -> bool:
    """Tell whether a blank record closes the file, of which `view` is the whole, at this position.

    It says how long it is: a record whose magic was damaged to look like a blank's does not end a file.
    """
    if position + BLANK_SIZE_MIN > len(view):
        return False
    return bool(SIZE_AND_MAGIC.unpack_from(view, position) == (len(view) - position, BLANK_MAGIC))


def scan_record(
    view: memoryview, position: int, base_offset: int, *, check_crc: bool, is_whole: bool = False
) -> ScannedRecord | None:
    """Validate the record at a position of a log file that begins at `base_offset`; None when there is none.

    Stricter than Apache's scan in two points: the physical offset field must be the record's own place, so that
    bytes left over from elsewhere are never taken for a message, and the queue offset must be one that a queue can
    have. `is_whole` says that every byte of `view` was written, so that zeros at the end of a record are its own, and
    leaves the queue offset to `record_problem`, which names what is wrong.

    Raises:
        UnsupportedRecord: A later version's form; it must not be mistaken for a torn tail and cut. The lengths have to
            add up in that form: a flag alone may be a damaged bit.
    """
    if position + RECORD_FIXED_SIZE > len(view):
        return None
    (size, magic, crc, queue_id, _, queue_offset, physical_offset, sys_flag, _, _, store_timestamp, _, _, _,
     body_size) = RECORD_HEAD.unpack_from(view, position)  # fmt: skip
    if physical_offset != base_offset + position or not RECORD_FIXED_SIZE <= size <= len(view) - position:
        return None
    if magic == MESSAGE_MAGIC_V2 or sys_flag & SYS_FLAG_IPV6:
        _refuse_later_form(view, position, size, magic, sys_flag)
        return None
    if magic != MESSAGE_MAGIC or not (is_whole or 0 <= queue_offset <= QUEUE_OFFSET_MAX):
        return None
    tail = _tail(view, position, size, body_size)
    if tail is None:
        return None
    if not is_whole and _looks_torn(view, position + size, *tail):
        return None
    if check_crc and body_size and not _crc_matches(view, position, body_size, crc):
        return None
    return ScannedRecord(size, queue_id, queue_offset, sys_flag, store_timestamp, *tail)


def _refuse_later_form(view: memoryview, position: int, size: int, magic: int, sys_flag: int) -> None:
    """Raise if the lengths of a record add up in a form that only later versions write.

    Source: MessageExtEncoder#calMsgLength (RocketMQ 5.3.3).
    """
    if magic not in (MESSAGE_MAGIC, MESSAGE_MAGIC_V2):
        return
    end = position + size
    topic_size_bytes = 2 if magic == MESSAGE_MAGIC_V2 else 1
    body_size_at = position + BODY_SIZE_POSITION + _IPV6_EXTRA_SIZE * (sys_flag & SYS_FLAG_IPV6).bit_count()
    if body_size_at + BODY_SIZE.size > end:
        return
    topic_at = body_size_at + BODY_SIZE.size + _unpack_body_size(view, body_size_at)[0] + topic_size_bytes
    if not body_size_at + BODY_SIZE.size + topic_size_bytes <= topic_at <= end:
        return
    topic_end = topic_at + int.from_bytes(view[topic_at - topic_size_bytes : topic_at], "big")
    if topic_end + 2 > end or topic_end + 2 + int.from_bytes(view[topic_end : topic_end + 2], "big") != end:
        return
    is_v2 = magic == MESSAGE_MAGIC_V2
    form = "a topic longer than 127 bytes (message version 2)" if is_v2 else "an IPv6 address"
    own_offset = int.from_bytes(view[position + PHYSICAL_OFFSET_POSITION :][:8], "big")
    raise UnsupportedRecord(own_offset, form)


def _tail(view: memoryview, position: int, size: int, body_size: int) -> tuple[bytes, bytes] | None:
    """Topic and properties of a record whose lengths add up to its size."""
    if not 0 <= body_size <= size - RECORD_FIXED_SIZE:
        return None
    topic_at = position + RECORD_HEAD_SIZE + body_size + 1
    topic_end = topic_at + view[topic_at - 1]
    end = position + size
    if topic_end + 2 > end or topic_end - topic_at > TOPIC_SIZE_MAX:
        return None
    properties_size = int.from_bytes(view[topic_end : topic_end + 2], "big", signed=True)
    if properties_size < 0 or topic_end + 2 + properties_size != end:
        return None
    return bytes(view[topic_at:topic_end]), bytes(view[topic_end + 2 : end])


def queue_place(record: memoryview) -> tuple[str, int, int] | None:
    """Topic, queue id and queue offset that a record says of itself; None when its lengths do not fit together."""
    queue_id, queue_offset, body_size = _QUEUE_PLACE.unpack_from(record)
    topic_at = RECORD_HEAD_SIZE + body_size + 1
    if body_size < 0 or topic_at > len(record):
        return None
    topic_end = topic_at + record[topic_at - 1]
    if topic_end + 2 > len(record):
        return None
    return str(record[topic_at:topic_end], "utf-8", "replace"), queue_id, queue_offset


def properties_between(log_file: mmap, begin: int, end: int) -> bytes:
    """Properties of the record between two positions of a log file; empty when its lengths do not fit together.

    Takes the mapping itself: its slices are bytes at once, half as dear as those of a view.
    """
    if end - begin < RECORD_FIXED_SIZE:
        return b""
    (body_size,) = _unpack_body_size(log_file, begin + BODY_SIZE_POSITION)
    topic_at: int = begin + RECORD_HEAD_SIZE + body_size
    if not begin + RECORD_HEAD_SIZE <= topic_at < end:
        return b""
    return log_file[topic_at + 1 + log_file[topic_at] + 2 : end]


def _looks_torn(view: memoryview, end: int, topic: bytes, properties: bytes) -> bool:
    """Whether zeros stand where the last bytes of a record should be.

    The CRC covers the body only, so without this a record that was cut short behind its body would pass.
    """
    if b"\0" in topic:
        return True
    return properties.endswith(b"\0") and not any(view[end : end + SIZE_AND_MAGIC.size])


def _crc_matches(view: memoryview, position: int, body_size: int, crc: int) -> bool:
    body_at = position + RECORD_HEAD_SIZE
    return bool(crc32(view[body_at : body_at + body_size]) & CRC_MASK == crc)


def next_record(view: memoryview, position: int, base_offset: int, limit: int, *, check_crc: bool) -> int:
    """Position of the next good record behind a damaged one; `limit` when there is none below it."""
    for match in _MAGIC_PATTERN.finditer(view, position + 1, limit):
        candidate = match.start() - MAGIC_POSITION
        if candidate > position and scan_record(view, candidate, base_offset, check_crc=check_crc) is not None:
            return candidate
    return limit
