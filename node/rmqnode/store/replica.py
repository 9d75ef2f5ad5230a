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
from typing import Final

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.dispatch import append_unit, queue_of_record
from rmqnode.store.errors import ReplicaMismatch
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.record import (
    BLANK_MAGIC,
    BLANK_SIZE_MIN,
    MAGIC_POSITION,
    MESSAGE_MAGIC,
    PHYSICAL_OFFSET_POSITION,
    RECORD_FIXED_SIZE,
    SIZE_AND_MAGIC,
    scan_record,
)

logger = logging.getLogger(__name__)

_MAGIC_PATTERN: Final = re.compile(re.escape(MESSAGE_MAGIC.to_bytes(4, "big")))

OnArrived = Callable[[str, int, int, int, bytes], None]
"""Called for each dispatched message: topic, queue id, queue offset behind it, tags code, properties."""


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
        end = len(readable)
        while position + SIZE_AND_MAGIC.size <= end:
            size, magic = SIZE_AND_MAGIC.unpack_from(readable, position)
            if magic == BLANK_MAGIC:
                break
            if magic == MESSAGE_MAGIC and size > end - position:
                break
            record = scan_record(readable, position, base_offset, check_crc=False, is_whole=True)
            if record is None:
                following = _next_head(readable, position, base_offset)
                self._report_damage(base_offset + position)
                if following == position:
                    break
                position = following
                continue
            self._is_damaged = False
            queue = queue_of_record(self._table, record)
            if queue is not None:
                physical_offset = base_offset + position
                tags_code = append_unit(self._table, queue, record, physical_offset, self._delay_levels_ms)
                on_arrived(queue.topic, record.queue_id, queue.max_queue_offset, tags_code, record.properties)
            self._log.last_store_timestamp = record.store_timestamp
            position += record.size
            # Now, so that a full disk at the next record does not give this one a second unit.
            self._log.replicated_to = base_offset + position
        return position

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
