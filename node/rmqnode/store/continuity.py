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
"""

from collections.abc import Callable
from typing import Final

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.queue_units import BLANK_UNIT_SIZE_FIELD
from rmqnode.store.record import RECORD_FIXED_SIZE, SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord

_LOOK_UPS_MAX: Final = 50_000
"""Look-ups for a unit that covers a record, over all queues and all damage of one start: about 2 s."""

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
        self.last_store_timestamp = 0
        """Of the last whole record in front of the damage, in milliseconds; set by who walks."""
        self.damaged_from = 0
        """Physical offset where the damage begins; set by who walks."""

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
