"""Appending what a master streams to its slave: raw bytes into the log, a unit for each record that is whole.

The stream cuts records anywhere, so the log may end inside one; dispatch stays behind it until the rest is there.
Blank records and whatever lies behind them are bytes like all others: the logs of master and slave are equal.

What the next record turns out to be decides:

    it is whole and continues its queue       it gets its unit
    its last bytes are not here yet           wait for them, if its head may be that of a record
    its lengths or its place do not fit       damage on the master: pass over it to the next whole record
    it is whole, but no master writes it      refused: replication stops, the log ends in front of it again
    a later version wrote it                  refused as well: the next start could not read the log

Behind damage a record must also have the right CRC and continue its queue, since the bytes of a body may look like
a record. Elsewhere the CRC is not computed: a body that is damaged on the master is copied as it is, and whoever reads
it compares.

Source: DefaultMessageStore#appendToCommitLog, ReputMessageService (RocketMQ 4.5.2). Differs: bytes that do not fit
the file are refused where Apache drops them; damage in the master's log is passed over, as recovery does, where
Apache's slave stops dispatching for good; impossible numbers are refused, where Apache's slave makes files of them.
"""

import logging
import re
from collections.abc import Callable
from mmap import mmap
from struct import Struct
from typing import Final, NoReturn

from rmqnode.protocol.frame import FRAME_SIZE_BYTES_MAX
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
    MESSAGE_MAGIC_V2,
    PHYSICAL_OFFSET_POSITION,
    PROPERTIES_SIZE_MAX,
    RECORD_FIXED_SIZE,
    RECORD_HEAD_SIZE,
    SIZE_AND_MAGIC,
    SYS_FLAG_IPV6,
    SYS_FLAG_WITHOUT_QUEUE_OFFSET,
    TOPIC_SIZE_MAX,
    ScannedRecord,
    scan_record,
)
from rmqnode.store.record_check import STORE_TIMESTAMP_END, continuation_problem, record_problem
from rmqnode.store.tags_code import tags_code_of

logger = logging.getLogger(__name__)

_DISPATCHED_HEAD: Final = Struct(">iI4xi4xqqi16xq20xi")
"""Total size, magic, queue id, queue offset, physical offset, sys flag, store timestamp, body length."""
assert _DISPATCHED_HEAD.size == RECORD_HEAD_SIZE

_NOT_PLAIN: Final = SYS_FLAG_IPV6 | SYS_FLAG_WITHOUT_QUEUE_OFFSET

_unpack_head: Final = _DISPATCHED_HEAD.unpack_from
_unpack_start: Final = Struct(">iI20xqi").unpack_from
"""Total size, magic, physical offset, sys flag."""
_pack_unit_into: Final = UNIT.pack_into

_MAGIC_PATTERN: Final = re.compile(re.escape(MESSAGE_MAGIC.to_bytes(4, "big")))

_NEW_QUEUES_MAX: Final = 64
"""Queues that are made between two turns of the loop: each is a folder and a file, about 0.2 ms."""

_FILLERS_AT_ONCE: Final = 50_000
"""Fillers that are made at once: 1 MB."""

_LATER_VERSION: Final = "it was written by a later version and cannot be stored here"

OnArrived = Callable[[str, int, int, int, bytes], None] | None
"""Called for each dispatched message: topic, queue id, queue offset behind it, tags code, properties. None: nobody
waits for messages."""


class Replica:
    """The growing end of a slave's log."""

    def __init__(
        self, log: CommitLog, table: QueueTable, delay_levels_ms: tuple[int, ...], message_size_bytes_max: int
    ) -> None:
        self._log = log
        self._table = table
        self._delay_levels_ms = delay_levels_ms
        # A master may allow longer messages than this slave does, but no request is longer than a frame.
        body_size_max = max(message_size_bytes_max, FRAME_SIZE_BYTES_MAX)
        self._record_size_max = RECORD_FIXED_SIZE + body_size_max + TOPIC_SIZE_MAX + PROPERTIES_SIZE_MAX
        self._damage_begin: int | None = None
        """Physical offset of damage behind which no whole record was found yet."""
        self._new_queues_left = 0
        self.has_more = False
        """Whether whole records are left without a unit, for `dispatch` to go on with: there were many new queues."""
        log.replicated_to = log.wrote_offset

    @property
    def damage_begin(self) -> int | None:
        """Physical offset of damage in the master's log behind which no whole record was found yet."""
        return self._damage_begin

    def append(self, physical_offset: int, content: bytes | memoryview, on_arrived: OnArrived) -> None:
        """Append bytes of the master's log at the same offset and dispatch what is whole now.

        Raises:
            ReplicaMismatch: They do not continue this log or do not fit its files; nothing was written. Or they
                complete what no master writes; the log ends in front of that now.
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
        self.dispatch(on_arrived)

    def dispatch(self, on_arrived: OnArrived) -> None:
        """Give whole records their units; `has_more` says whether to call again.

        Raises:
            ReplicaMismatch, OSError: As `append`.
        """
        log = self._log
        assert log.replicated_to is not None
        self._new_queues_left = _NEW_QUEUES_MAX
        self.has_more = False
        while (window := log.window(before := log.replicated_to)) is not None:
            view, base_offset, end = window
            readable = view[: end - base_offset]
            position = self._dispatch_file(readable, before - base_offset, base_offset, len(view), on_arrived)
            if not self.has_more and self._closes_file(readable, position, len(view), base_offset):
                position = len(view)
            log.replicated_to = base_offset + position
            if log.replicated_to == before or position < len(view):
                return

    def _dispatch_file(
        self, readable: memoryview, position: int, base_offset: int, file_size: int, on_arrived: OnArrived
    ) -> int:
        """Dispatch whole records; return the position of a blank, of a record that is not whole, or of the end."""
        while not self.has_more:
            if self._damage_begin is None:
                position = self._dispatch_plain(readable, position, base_offset, on_arrived)
            following = self._dispatch_one(readable, position, base_offset, file_size, on_arrived)
            if following == position:
                break
            position = following
        return position

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
                or not 0 <= store_timestamp < STORE_TIMESTAMP_END
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
        return position

    def _dispatch_one(
        self, readable: memoryview, position: int, base_offset: int, file_size: int, on_arrived: OnArrived
    ) -> int:
        """Dispatch one record of any kind, or pass over damage; return where to go on, `position` to wait for more."""
        is_damaged = self._damage_begin is not None
        if self._is_to_be_waited_for(readable, position, base_offset, file_size):
            return position
        record = scan_record(readable, position, base_offset, check_crc=is_damaged, is_whole=True)
        queue = None if record is None else queue_of_record(self._table, record)
        physical_offset = base_offset + position
        problem = None if record is None else record_problem(record)
        if problem is None and queue is not None and record is not None:
            problem = continuation_problem(queue, record.queue_offset, physical_offset)
        if record is None or (is_damaged and (problem is not None or self._is_older(record))):
            if self._damage_begin is None:
                logger.error("damaged bytes in the replicated log, looking for the next record at=%d", physical_offset)
                self._damage_begin = physical_offset
            return _next_head(readable, position, base_offset, file_size)
        if problem is not None:
            what = f"the master sent a record at physical offset {physical_offset} that cannot be right: {problem}"
            self._refuse(physical_offset, f"{what}; nothing behind it is copied")
        if queue is not None:
            if not queue.max_queue_offset:
                if not self._new_queues_left:
                    self.has_more = True
                    return position
                self._new_queues_left -= 1
            while record.queue_offset > queue.max_queue_offset > 0:
                # Messages between are damaged: offsets of readers stay those of the records.
                fillers_end = min(record.queue_offset, queue.max_queue_offset + _FILLERS_AT_ONCE)
                queue.fill_to(fillers_end, max(1, queue.end_physical_offset()))
            tags_code = append_unit(self._table, queue, record, physical_offset, self._delay_levels_ms)
            if on_arrived is not None:
                on_arrived(queue.topic, record.queue_id, queue.max_queue_offset, tags_code, record.properties)
        if self._damage_begin is not None:
            logger.error(
                "the replicated log goes on behind damage begin=%d end=%d", self._damage_begin, physical_offset
            )
            self._damage_begin = None
        self._log.last_store_timestamp = record.store_timestamp
        # Now, so that a full disk at the next record does not give this one a second unit.
        self._log.replicated_to = physical_offset + record.size
        return position + record.size

    def _is_older(self, record: ScannedRecord) -> bool:
        return record.store_timestamp < self._log.last_store_timestamp

    def _is_to_be_waited_for(self, readable: memoryview, position: int, base_offset: int, file_size: int) -> bool:
        """Whether a blank, a record or its head begins here that is not whole yet.

        Raises:
            ReplicaMismatch: A record that this store can't hold, as early as that can be seen: the next start might
                have to read what is here of it.
        """
        is_last_piece = len(readable) == file_size
        head = bytes(readable[position : position + RECORD_HEAD_SIZE])
        if len(head) < SIZE_AND_MAGIC.size:
            return not head or not is_last_piece
        size, magic, own_offset, sys_flag = _unpack_start(head.ljust(RECORD_HEAD_SIZE, b"\0"), 0)
        if magic == BLANK_MAGIC and self._damage_begin is None:
            return True
        if magic not in (MESSAGE_MAGIC, MESSAGE_MAGIC_V2):
            return False
        if len(head) < PHYSICAL_OFFSET_POSITION + 8:
            return not is_last_piece
        physical_offset = base_offset + position
        if own_offset != physical_offset or not RECORD_FIXED_SIZE <= size <= self._record_size_max:
            return False
        if magic == MESSAGE_MAGIC_V2 or sys_flag & SYS_FLAG_IPV6:
            form = "a topic longer than 127 bytes" if magic == MESSAGE_MAGIC_V2 else "an IPv6 address"
            problem = f"the master sent a record with {form} at physical offset {physical_offset}: {_LATER_VERSION}"
            self._refuse(physical_offset, problem)
        if position + size > file_size:
            if self._damage_begin is not None:
                return False
            problem = f"a record of {size} bytes crosses the end of our file of {file_size} (mappedFileSizeCommitLog)"
            self._refuse(physical_offset, problem)
        return bool(position + size > len(readable))

    def _refuse(self, physical_offset: int, problem: str) -> NoReturn:
        self._log.take_back(physical_offset)
        self._log.replicated_to = physical_offset
        raise ReplicaMismatch(physical_offset, problem)

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
            self._refuse(base_offset + position, problem)
        return True


def _next_head(readable: memoryview, position: int, base_offset: int, file_size: int) -> int:
    """Position of the next head of a record behind damage, or from where to look once there is more."""
    for match in _MAGIC_PATTERN.finditer(readable, position + MAGIC_POSITION + 1):
        candidate = match.start() - MAGIC_POSITION
        if candidate + RECORD_FIXED_SIZE > len(readable):
            return candidate
        at = candidate + PHYSICAL_OFFSET_POSITION
        if int.from_bytes(readable[at : at + 8], "big") == base_offset + candidate:
            return candidate
    if len(readable) == file_size:
        return file_size
    return max(position, len(readable) - SIZE_AND_MAGIC.size + 1)
