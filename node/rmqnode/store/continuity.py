"""Which records behind damage count as stored: those that go on where the log before it ended.

A record is bytes that agree with each other. That is not enough behind damage: Apache's broker ends the log at the
first bad record, writes on from there, and leaves the old records behind its new end as they were; and the body of a
message may hold bytes that look like a record.

    the log is                      a record behind damage counts when
    --------------------------------------------------------------------------------------------------------------
    ours since the last zeroing     its unit points to it; or no other unit covers its first byte, and it lies below
                                    an offset that was known to be whole, or continues its queue, or begins it anew
    perhaps another engine's        it was not stored before the last whole record in front of the damage, and it
                                    continues its queue; and its unit points to it, or no other unit covers it

"Continues its queue": its queue offset is not below the one that the next message of the queue would get, and no
further above it than records fit in between. Records of a transaction that have no unit continue nothing. The clock
counts only where another engine may have written since our last zeroing. When it was set back there just before the
damage, the messages up to the old time are passed over with the damage.

Without any damage, what Apache's broker gave up may follow its last record directly: all messages of a topic often have
one size. Then time goes back at that place, and all old records of the file are from the pause in which that broker was
started: later than the record in front of the pause, earlier than all behind it. A clock that was set back looks so
only if all that was stored since fits into one pause of the file. In front of the first record there is no pause. Where
one record stands behind it, its time may be what is damaged: then it has to be born after the old ones, too.
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.queue_units import BLANK_UNIT_SIZE_FIELD
from rmqnode.store.record import MESSAGE_MAGIC, RECORD_FIXED_SIZE, SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord

PAUSE_MS_MIN: Final = 500
"""A Java broker takes longer than this from its start to its first message."""

_TIME_LOOKS_MAX: Final = 16
"""Places where time goes back that are looked at closely: 2 s each, of a file of a GiB."""

_LOOK_UPS_MAX: Final = 50_000
"""Look-ups for a unit that covers a record, over all queues and all damage of one start: about 2 s."""

_TIMES: Final = Struct(">iI20xq20xq")
"""Total size, magic, physical offset, store timestamp."""

_BORN_TIMESTAMP: Final = Struct(">40xq")

Reached = Callable[[ScannedRecord], tuple[int, int] | None]
"""How far the queue of a record has got in front of the damage: the queue offset that its next message gets, and the
physical offset where its last one ends. None when it has no messages there."""


class Continuity:
    """Decides about the records behind damage in one log.

    Args:
        table: Queues whose files know units, from whenever they are.
        reached: See there.
        is_ours: Our engine zeroed behind the end of this log, and no other engine was started since.
        complete_to: Physical offset below which our engine knows the log to be whole; 0 when nothing is known.
    """

    def __init__(self, table: QueueTable, reached: Reached, *, is_ours: bool, complete_to: int) -> None:
        self._table = table
        self._reached = reached
        self._is_ours = is_ours
        self._complete_to = complete_to
        self._look_ups_left = _LOOK_UPS_MAX
        self._time_looks_left = _TIME_LOOKS_MAX
        self.last_store_timestamp = 0
        """Of the last whole record in front of the damage, in milliseconds; set by who walks."""
        self.damaged_from = 0
        """Physical offset where the damage begins; set by who walks."""

    def is_given_up(self, log: CommitLog, record: ScannedRecord, physical_offset: int) -> bool:
        """Whether a record that follows a whole one directly, but was stored before it, is behind another engine's end.

        Only to be asked where time goes back; walks the file.
        """
        if self._is_ours or not self._time_looks_left:
            return False
        self._time_looks_left -= 1
        window = log.window(physical_offset)
        assert window is not None
        view, base_offset, _ = window
        begin = physical_offset - base_offset
        old = [timestamp for _, timestamp in times_of_records(view, begin, len(view), base_offset)]
        before = self._time_before(log, base_offset)
        pause_end, last = None, 0
        for position, timestamp in times_of_records(view, 0, begin, base_offset):
            if pause_end is not None and timestamp <= max(old):
                return False
            is_pause = 0 < before <= min(old) and max(old) < timestamp and timestamp - before >= PAUSE_MS_MIN
            if pause_end is None and is_pause:
                pause_end = position
            before, last = timestamp, position
        if pause_end is None:
            return False
        (born_timestamp,) = _BORN_TIMESTAMP.unpack_from(view, pause_end)
        return pause_end != last or bool(max(old) < born_timestamp)

    def _time_before(self, log: CommitLog, base_offset: int) -> int:
        """Store timestamp of the last record below the begin of a file, as far as queues know it; else 0."""
        known = (queue.last_unit_below(base_offset)[0] for queue in self._table.by_key.values())
        return max(log.store_timestamp(max(known, default=-1)), 0)

    def passed_over(self, record: ScannedRecord, physical_offset: int) -> int:
        """Decide about one record: 0 when it counts, else how many bytes nothing is to be looked for in."""
        if not self._is_ours and record.store_timestamp < self.last_store_timestamp:
            return record.size
        has_unit = not record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET
        is_pointed_at = has_unit and self._is_pointed_at(record, physical_offset)
        if self._is_ours and is_pointed_at:
            return 0
        if has_unit and not self._may_be_anything(physical_offset) and not self._continues(record, physical_offset):
            return record.size
        return 0 if is_pointed_at else self._covered_bytes(physical_offset)

    def _may_be_anything(self, physical_offset: int) -> bool:
        return self._is_ours and physical_offset < self._complete_to

    def _continues(self, record: ScannedRecord, physical_offset: int) -> bool:
        reached = self._reached(record)
        if reached is None:
            return True
        queue_offset, end = reached
        if self._is_ours and record.queue_offset == 0:
            return True
        return 0 <= record.queue_offset - queue_offset <= (physical_offset - end) // RECORD_FIXED_SIZE

    def _is_pointed_at(self, record: ScannedRecord, physical_offset: int) -> bool:
        queue = self._queue_of(record)
        return queue is not None and queue.raw_unit(record.queue_offset)[:2] == (physical_offset, record.size)

    def _queue_of(self, record: ScannedRecord) -> ConsumeQueue | None:
        return self._table.by_key.get((record.topic.decode("utf-8", "replace"), record.queue_id))

    def _covered_bytes(self, physical_offset: int) -> int:
        """How far a message reaches that a unit knows and that this offset lies in; 0 when there is none."""
        for queue in self._table.by_key.values():
            if not self._look_ups_left:
                return 0
            self._look_ups_left -= 1
            begin, size, _ = queue.last_unit_below(physical_offset)
            is_record = begin >= self.damaged_from and size != BLANK_UNIT_SIZE_FIELD
            if is_record and begin + size > physical_offset:
                return begin + size - physical_offset
        return 0


def times_of_records(view: memoryview, position: int, end: int, base_offset: int) -> Iterator[tuple[int, int]]:
    """Position and store timestamp of the records that follow each other between two places of one log file."""
    while position + RECORD_FIXED_SIZE <= end:
        size, magic, own_offset, store_timestamp = _TIMES.unpack_from(view, position)
        if magic != MESSAGE_MAGIC or own_offset != base_offset + position or size < RECORD_FIXED_SIZE:
            return
        yield position, store_timestamp
        position += size


def log_reaches(log: CommitLog, table: QueueTable, physical_offset: int) -> bool:
    """Whether a record that a queue knows ends at an offset, or a file begins there."""
    if physical_offset in log.file_offsets():
        return True
    for queue in table.by_key.values():
        offset, size, _ = queue.last_unit_below(physical_offset)
        if offset + size == physical_offset:
            record = log.record(offset)
            return record is not None and len(record) == size
    return False
