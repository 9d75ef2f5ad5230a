"""Appending what a master streams to its slave: raw bytes into the log, a unit for each record that is whole.

The stream cuts records anywhere, so the log may end inside one; dispatch stays behind it until the rest is there.
Blank records and whatever lies behind them are bytes like all others: the logs of master and slave are equal.

Source: DefaultMessageStore#appendToCommitLog, ReputMessageService (RocketMQ 4.5.2). Differs: bytes that do not fit
the file are refused where Apache drops them; damage in the master's log is passed over, as recovery does, where
Apache's slave stops dispatching for good.
"""

import logging
import re
from collections.abc import Callable
from mmap import mmap
from struct import Struct
from typing import Final

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.dispatch import append_unit, queue_of_record
from rmqnode.store.errors import ReplicaMismatch
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.queue_units import UNIT, UNIT_SIZE
from rmqnode.store.record import (
    BLANK_MAGIC,
    BLANK_SIZE_MIN,
    MAGIC_POSITION,
    MESSAGE_MAGIC,
    PHYSICAL_OFFSET_POSITION,
    PROPERTIES_SIZE_MAX,
    RECORD_FIXED_SIZE,
    RECORD_HEAD_SIZE,
    SIZE_AND_MAGIC,
    SYS_FLAG_IPV6,
    SYS_FLAG_WITHOUT_QUEUE_OFFSET,
    scan_record,
)
from rmqnode.store.tags_code import tags_code_of

logger = logging.getLogger(__name__)

_DISPATCHED_HEAD: Final = Struct(">iI4xi4xqqi16xq20xi")
"""Total size, magic, queue id, queue offset, physical offset, sys flag, store timestamp, body length."""
assert _DISPATCHED_HEAD.size == RECORD_HEAD_SIZE

_NOT_PLAIN: Final = SYS_FLAG_IPV6 | SYS_FLAG_WITHOUT_QUEUE_OFFSET

_unpack_head: Final = _DISPATCHED_HEAD.unpack_from
_pack_unit_into: Final = UNIT.pack_into

_MAGIC_PATTERN: Final = re.compile(re.escape(MESSAGE_MAGIC.to_bytes(4, "big")))

OnArrived = Callable[[str, int, int, int, bytes], None] | None
"""Called for each dispatched message: topic, queue id, queue offset behind it, tags code, properties. None: nobody
waits for messages."""


class Replica:
    """The growing end of a slave's log."""

    def __init__(self, log: CommitLog, table: QueueTable, delay_levels_ms: tuple[int, ...]) -> None:
        self._log = log
        self._table = table
        self._delay_levels_ms = delay_levels_ms
        self._is_damaged = False
        log.replicated_to = log.wrote_offset

    def append(self, physical_offset: int, content: bytes | memoryview, on_arrived: OnArrived) -> None:
        """Append bytes of the master's log at the same offset and dispatch what is whole now.

        Raises:
            ReplicaMismatch: They do not continue this log or do not fit its files; nothing was written.
            OSError: The disk is full; the bytes that were written stay, call again with what follows them.
        """
        log = self._log
        if log.wrote_offset == log.min_offset and physical_offset != log.wrote_offset:
            log.begin_at(physical_offset)
            log.replicated_to = physical_offset
        if physical_offset != log.wrote_offset:
            problem = f"the master sent offset {physical_offset}, the log ends at {log.wrote_offset}"
            raise ReplicaMismatch(physical_offset, problem)
        if content:
            log.append_raw(content)
        self._dispatch(on_arrived)

    def _dispatch(self, on_arrived: OnArrived) -> None:
        log = self._log
        assert log.replicated_to is not None
        while (window := log.window(before := log.replicated_to)) is not None:
            view, base_offset, end = window
            readable = view[: end - base_offset]
            position = self._dispatch_file(readable, before - base_offset, base_offset, on_arrived)
            self._check_room(readable, position, len(view), base_offset)
            if self._closes_file(readable, position, len(view), base_offset):
                position = len(view)
            log.replicated_to = base_offset + position
            if log.replicated_to == before or position < len(view):
                return

    def _dispatch_file(self, readable: memoryview, position: int, base_offset: int, on_arrived: OnArrived) -> int:
        """Dispatch whole records; return the position of a blank, of a record that is not whole, or of the end."""
        while True:
            position = self._dispatch_plain(readable, position, base_offset, on_arrived)
            following = self._dispatch_one(readable, position, base_offset, on_arrived)
            if following == position:
                return position
            position = following

    def _dispatch_plain(self, readable: memoryview, position: int, base_offset: int, on_arrived: OnArrived) -> int:
        """Dispatch records that continue a queue which has room, as nearly all do; return the position of another one.

        The hot loop of a slave. Whatever is not as expected is looked at closely by `_dispatch_one`.
        """
        log, queues, delay_levels_ms = self._log, self._table.by_key, self._delay_levels_ms
        mapping = readable.obj
        assert isinstance(mapping, mmap)  # its slices are bytes at once, half as dear as those of a view
        readable_end = len(readable)
        while position + RECORD_FIXED_SIZE <= readable_end:
            size, magic, queue_id, queue_offset, physical_offset, sys_flag, store_timestamp, body_size = _unpack_head(
                mapping, position
            )
            end = position + size
            topic_at = position + RECORD_HEAD_SIZE + body_size
            if (
                magic != MESSAGE_MAGIC
                or end > readable_end
                or physical_offset != base_offset + position
                or sys_flag & _NOT_PLAIN
                or not position + RECORD_HEAD_SIZE <= topic_at < end
            ):
                break
            properties_at = topic_at + 1 + mapping[topic_at] + 2
            properties_size = end - properties_at
            size_field = mapping[properties_at - 2 : properties_at]
            if not 0 <= properties_size <= PROPERTIES_SIZE_MAX or properties_size.to_bytes(2, "big") != size_field:
                break
            topic = mapping[topic_at + 1 : properties_at - 2].decode("utf-8", "replace")
            queue = queues.get((topic, queue_id))
            if queue is None or queue_offset != queue.max_queue_offset or queue_offset >= queue.limit:
                break
            properties = mapping[properties_at:end]
            tags_code = tags_code_of(topic, properties, store_timestamp, delay_levels_ms)
            unit_at = (queue_offset - queue.base_queue_offset) * UNIT_SIZE
            _pack_unit_into(queue.mapping, unit_at, physical_offset, size, tags_code)
            queue.max_queue_offset = queue_offset + 1
            if on_arrived is not None:
                on_arrived(topic, queue_id, queue_offset + 1, tags_code, properties)
            log.last_store_timestamp = store_timestamp
            position = end
            log.replicated_to = base_offset + position
            self._is_damaged = False
        return position

    def _dispatch_one(self, readable: memoryview, position: int, base_offset: int, on_arrived: OnArrived) -> int:
        """Dispatch one record of any kind, or pass over damage; return where to go on, `position` to wait for more."""
        if position + SIZE_AND_MAGIC.size > len(readable):
            return position
        size, magic = SIZE_AND_MAGIC.unpack_from(readable, position)
        if magic == BLANK_MAGIC or (magic == MESSAGE_MAGIC and size > len(readable) - position):
            return position
        record = scan_record(readable, position, base_offset, check_crc=False, is_whole=True)
        if record is None:
            self._report_damage(base_offset + position)
            return _next_head(readable, position, base_offset)
        self._is_damaged = False
        queue = queue_of_record(self._table, record)
        if queue is not None:
            physical_offset = base_offset + position
            tags_code = append_unit(self._table, queue, record, physical_offset, self._delay_levels_ms)
            if on_arrived is not None:
                on_arrived(queue.topic, record.queue_id, queue.max_queue_offset, tags_code, record.properties)
        self._log.last_store_timestamp = record.store_timestamp
        # Now, so that a full disk at the next record does not give this one a second unit.
        self._log.replicated_to = base_offset + position + record.size
        return position + record.size

    def _check_room(self, readable: memoryview, position: int, file_size: int, base_offset: int) -> None:
        """Refuse a record that can't end in our file: the master's files are longer."""
        if position + SIZE_AND_MAGIC.size > len(readable):
            return
        size, magic = SIZE_AND_MAGIC.unpack_from(readable, position)
        if magic == MESSAGE_MAGIC and position + size > file_size:
            problem = f"a record of {size} bytes crosses the end of our file of {file_size} (mappedFileSizeCommitLog)"
            raise ReplicaMismatch(base_offset + position, problem)

    def _closes_file(self, readable: memoryview, position: int, file_size: int, base_offset: int) -> bool:
        """Whether a blank record ends the file here.

        Raises:
            ReplicaMismatch: It ends the master's file, but not ours.
        """
        if position + BLANK_SIZE_MIN > len(readable):
            return False
        size, magic = SIZE_AND_MAGIC.unpack_from(readable, position)
        if magic != BLANK_MAGIC:
            return False
        if position + size != file_size:
            problem = f"its file ends after {position + size} bytes, ours has {file_size} (mappedFileSizeCommitLog)"
            raise ReplicaMismatch(base_offset + position, problem)
        return True

    def _report_damage(self, physical_offset: int) -> None:
        if not self._is_damaged:
            logger.error("damaged bytes in the replicated log passed over physical_offset=%d", physical_offset)
        self._is_damaged = True


def _next_head(readable: memoryview, position: int, base_offset: int) -> int:
    """Position of the next head of a record behind damage, or from where to look once there is more."""
    for match in _MAGIC_PATTERN.finditer(readable, position + MAGIC_POSITION + 1):
        candidate = match.start() - MAGIC_POSITION
        if candidate + RECORD_FIXED_SIZE > len(readable):
            return candidate
        at = candidate + PHYSICAL_OFFSET_POSITION
        if int.from_bytes(readable[at : at + 8], "big") == base_offset + candidate:
            return candidate
    return max(position, len(readable) - SIZE_AND_MAGIC.size + 1)
