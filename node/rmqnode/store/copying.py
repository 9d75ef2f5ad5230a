"""Stored messages once more, in other queues: read in a stretch, appended without being encoded anew.

What a put would do for each, for a fraction of its cost: body, properties and most of the head go over as they are.
Nothing here makes room. Whatever is not in its place or does not fit ends the stretch, and the caller goes on with an
ordinary read and put, which says what is wrong or makes the room.
"""

from collections.abc import Callable, Iterable, Mapping
from mmap import mmap
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.queue_table import QueueKey
from rmqnode.store.queue_units import UNIT, UNIT_SIZE
from rmqnode.store.record import (
    CRC_MASK,
    MESSAGE_MAGIC,
    RECORD_FIXED_SIZE,
    RECORD_HEAD_SIZE,
    SYS_FLAG_WITHOUT_QUEUE_OFFSET,
)

STRETCH_BYTES_MAX: Final = 1024 * 1024
"""A stretch ends before a record that would make it longer; the first one always belongs to it."""

_KEPT: Final = Struct(">4xII4x4s8xqi16s8x12s8xi")
"""Of a head, what is looked at or kept: magic, CRC, flag, physical offset, sys flag, born timestamp and host, store
host and reconsume times, body length."""
_COPIED_HEAD: Final = Struct(">iIIi4sqqi16sq12sqi")
"""The same in its place, with what is new: size, CRC, queue id, offsets, store timestamp, no half message."""
assert _KEPT.size == _COPIED_HEAD.size == RECORD_HEAD_SIZE

_unpack_kept: Final = _KEPT.unpack_from
_pack_head: Final = _COPIED_HEAD.pack
_pack_unit_into: Final = UNIT.pack_into
_iter_units: Final = UNIT.iter_unpack


class StoredMessage(msgspec.Struct, gc=False):
    """A message as the log has it; of the head, pieces that a copy takes over."""

    properties: bytes
    body: bytes
    crc: int
    flag: bytes
    sys_flag: int
    born: bytes
    """Born timestamp, born host."""
    kept: bytes
    """Store host, reconsume times."""


Copy = tuple[StoredMessage, QueueKey, int]
"""A message, the topic and queue id that it goes to, the tags code that it has there."""


def read_stretch(
    log: CommitLog, queue: ConsumeQueue, queue_offset: int, count_max: int, belongs: Callable[[int], bool]
) -> list[StoredMessage]:
    """Read messages of a queue from an offset on, up to the first that is not whole and in its place.

    Args:
        log: Where the messages are.
        queue: The queue.
        queue_offset: First message.
        count_max: Most messages to read.
        belongs: Whether a message with this tags code still belongs to the stretch.
    """
    messages: list[StoredMessage] = []
    size_left = STRETCH_BYTES_MAX
    base_offset = readable_end = 0
    mapping: mmap | None = None
    for physical_offset, size, tags_code in _iter_units(queue.units(queue_offset, count_max) or b""):
        if not belongs(tags_code):
            break
        end = physical_offset + size
        if mapping is None or end > readable_end or physical_offset < base_offset:
            if (window := log.window(physical_offset)) is None:
                break
            view, base_offset, readable_end = window
            assert isinstance(view.obj, mmap)  # its slices are bytes at once, half as dear as those of a view
            mapping = view.obj
        if size < RECORD_FIXED_SIZE or end > readable_end or (messages and size > size_left):
            break
        position, end = physical_offset - base_offset, end - base_offset
        magic, crc, flag, own_offset, sys_flag, born, kept, body_size = _unpack_kept(mapping, position)
        topic_at = position + RECORD_HEAD_SIZE + body_size
        if magic != MESSAGE_MAGIC or own_offset != physical_offset or not position + RECORD_HEAD_SIZE <= topic_at < end:
            break
        body = mapping[position + RECORD_HEAD_SIZE : topic_at]
        properties = mapping[topic_at + 1 + mapping[topic_at] + 2 : end]
        messages.append(StoredMessage(properties, body, crc, flag, sys_flag, born, kept))
        size_left -= size
    return messages


def append_copies(
    log: CommitLog,
    queues: Mapping[QueueKey, ConsumeQueue],
    copies: Iterable[Copy],
    size_max: int,
    clock_ms: Callable[[], int],
) -> int:
    """Append messages under other topics, as `Appender.put` does; return how many went before one that does not fit.

    Args:
        log: The log that they are in and go to.
        queues: Those that exist; a message for another one does not fit.
        copies: What goes where. A copy of a committed transaction does not name its half message.
        size_max: The longest record allowed.
        clock_ms: Asked once, for the store timestamp of all.

    Source: CommitLog#putMessage, ScheduleMessageService#messageTimeup (RocketMQ 4.5.2).
    """
    count = 0
    now = clock_ms()
    for message, key, tags_code in copies:
        queue = queues.get(key)
        if queue is None:
            break
        body, properties, sys_flag = message.body, message.properties, message.sys_flag
        size = queue.record_fixed_size + len(body) + len(properties)
        begin = log.wrote_offset
        end = begin + size
        queue_offset = queue.max_queue_offset
        has_room = end <= log.limit and queue_offset < queue.limit
        if not has_room or size > size_max or sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
            break
        crc = crc32(body) & CRC_MASK
        if crc != message.crc and body:
            break  # damaged: an ordinary put marks the copy
        base = log.base_offset
        log.mapping[begin - base : end - base] = b"".join(
            (
                _pack_head(
                    size, MESSAGE_MAGIC, crc, queue.queue_id, message.flag, queue_offset, begin,
                    sys_flag, message.born, now, message.kept, 0, len(body),
                ),
                body, queue.topic_field, len(properties).to_bytes(2, "big"), properties,
            )
        )  # fmt: skip
        _pack_unit_into(queue.mapping, (queue_offset - queue.base_queue_offset) * UNIT_SIZE, begin, size, tags_code)
        queue.max_queue_offset = queue_offset + 1
        log.last_store_timestamp = now
        # Last, as in a put: a flush in another thread takes this as the promise that everything below is in place.
        log.wrote_offset = end
        count += 1
    return count
