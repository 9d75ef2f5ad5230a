"""Which queue offset a record gets in its queue when the units are written again from the log.

Nearly always the record says so itself and continues its queue. A record that does not is a sign of something else:
messages before it are damaged, its topic was deleted and made again, units were lost, or its own field is damaged, for
nothing protects that. The next record of the same queue tells which: it continues the one or the other.

    the record's queue offset is   the next one continues    its unit goes
    --------------------------------------------------------------------------------------------------
    any                            what the queue has        to the end: the field is damaged
    above the end of the queue     the record                where it says, behind filler units
    0                              the record, or none       to 0: the queue begins anew
    above                          none                      where it says, if so many messages fit before it
    below                          the record, or none       to the end
"""

from collections.abc import Callable, Sequence
from typing import Final

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.damage import Extent
from rmqnode.store.record import RECORD_FIXED_SIZE, SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord, is_blank, scan_record

LOOK_AHEAD_RECORDS: Final = 10_000
"""So far the next record of a queue is looked for: 30 ms."""

LOOK_AHEAD_RECORDS_IN_ALL: Final = 1_000_000
"""And so many records for all of one start; afterwards the record itself is believed."""

FREE_FILLERS: Final = 4096
"""Filler units that are written without damage that explains them; each costs 20 bytes."""


class Placing:
    """Places the units of one walk.

    Args:
        log: Which is walked.
        extents: Damaged stretches found so far; grows meanwhile.
        walks_all: Whether the walk began at the first record.
        on_missing: Called when units before a record seem to be lost that a walk from the first record would find.
    """

    def __init__(
        self, log: CommitLog, extents: Sequence[Extent], *, walks_all: bool, on_missing: Callable[[], None]
    ) -> None:
        self._log = log
        self._extents = extents
        self._walks_all = walks_all
        self._on_missing = on_missing
        self._look_ahead_left = LOOK_AHEAD_RECORDS_IN_ALL
        self._fillers = 0

    def prepare(self, queue: ConsumeQueue, record: ScannedRecord, physical_offset: int) -> None:
        """Bring the end of a queue to where the unit of a record goes.

        Raises:
            OSError: The disk is full or refuses a file.
        """
        end = queue.max_queue_offset
        if record.queue_offset == end:
            return
        place = self._place(queue, record, physical_offset)
        if place == 0 and end:
            queue.cut_at(0)
        elif place > end:
            self._fill(queue, place)

    def _place(self, queue: ConsumeQueue, record: ScannedRecord, physical_offset: int) -> int:
        end, wanted = queue.max_queue_offset, record.queue_offset
        is_above = wanted > end
        if is_above and not self._walks_all and not self._explained_by_units(queue, wanted):
            self._on_missing()
        place = (physical_offset, record.size)
        if queue.raw_unit(end)[:2] == place:
            return end
        following = self._following(record, physical_offset)
        if following == end + 1:
            return end
        if wanted == 0:
            return 0
        if not end:
            return wanted
        return wanted if is_above and self._fits(queue, wanted, physical_offset) else end

    def _explained_by_units(self, queue: ConsumeQueue, wanted: int) -> bool:
        """Whether all units up to a queue offset lead into damage."""
        if not self._extents or wanted - queue.max_queue_offset > self._fillers_max:
            return False
        lowest, highest = self._extents[0].begin, self._extents[-1].end
        return all(lowest <= queue.raw_unit(each)[0] < highest for each in range(queue.max_queue_offset, wanted))

    @property
    def _fillers_max(self) -> int:
        damaged_bytes = sum(extent.end - extent.begin for extent in self._extents)
        return FREE_FILLERS + damaged_bytes // RECORD_FIXED_SIZE - self._fillers

    def _fits(self, queue: ConsumeQueue, wanted: int, physical_offset: int) -> bool:
        """Whether so many messages can have been in front of a record."""
        between_bytes = physical_offset - max(queue.end_physical_offset(), 0)
        return wanted - queue.max_queue_offset <= min(self._fillers_max, between_bytes // RECORD_FIXED_SIZE)

    def _fill(self, queue: ConsumeQueue, wanted: int) -> None:
        if not queue.max_queue_offset and (wanted > self._fillers_max or not queue.has_files):
            queue.cut_at(0)
            queue.begin_at(wanted)
            return
        behind = max(queue.end_physical_offset(), 0)
        # Without damage, the last byte of the message before: in order, and no record begins there.
        begin = next((extent.begin for extent in self._extents if extent.begin >= behind), max(behind - 1, 0))
        self._fillers += wanted - queue.max_queue_offset
        queue.fill_to(wanted, begin)

    def _following(self, record: ScannedRecord, physical_offset: int) -> int | None:
        """Queue offset of the next record of the same queue; None when it is not near, or damage comes before it."""
        physical_offset += record.size
        looked_at = 0
        while looked_at < min(LOOK_AHEAD_RECORDS, self._look_ahead_left):
            window = self._log.window(physical_offset)
            found = None
            if window is not None:
                found = scan_record(window[0], physical_offset - window[1], window[1], check_crc=False)
                if found is None and is_blank(window[0], physical_offset - window[1]):
                    physical_offset = window[2]
                    continue
            if found is None:
                break
            looked_at += 1
            physical_offset += found.size
            is_same = found.topic == record.topic and found.queue_id == record.queue_id
            if is_same and not found.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
                self._look_ahead_left -= looked_at
                return found.queue_offset
        self._look_ahead_left -= looked_at
        return None
