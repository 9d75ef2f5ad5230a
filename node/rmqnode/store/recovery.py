"""Bringing a store directory into order at its opening: log end, complete consume queues, never ahead of the log.

One rule for every situation: cut the queues at a physical offset below which they are known to be right, walk the log,
check every record, give it its unit unless its queue has it, cut the log behind the last good one.

    situation                                          where the walk begins
    ---------------------------------------------------------------------------------------------------
    coverage is ours, queues and log agree with it     at the covered offset (the log end after a clean stop)
    coverage is ours, units or records are missing     at the first record: a queue was lost, or the log's end
    no coverage, clean stop                            some MiB before the last record that a queue knows
    no coverage, abort file                            newest file that begins before the checkpoint
    a queue file was cut short, or is corrupt whole    at the first record
    no commit log                                      nowhere; the queues are deleted

A queue that is corrupt has lost its units from there on when it comes here (`ConsumeQueue.load`).

A bad record ends the log, except below an offset that was known to be complete: there it is damage, and the walk
goes on at the next good record, since cutting would lose messages that are well.

Source: CommitLog#recoverNormally, #recoverAbnormally, DefaultMessageStore#start (RocketMQ 4.5.2). Differs: Apache
walks the last three files after a clean stop, a whole file at least after a crash, and does not notice a lost queue.
"""

from mmap import mmap
from time import monotonic
from typing import Final, NamedTuple

from rmqnode.store.checkpoint import StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.dispatch import append_unit, queue_of_record
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.quick_walk import QuickWalk
from rmqnode.store.record import ScannedRecord, is_blank, next_record, scan_record

LOOK_BACK_BYTES: Final = 16 << 20
"""How much of the log is walked after another engine's clean stop: 0.1 s at most."""


class RecoveryReport(NamedTuple):
    """What opening a store found and did; its text is the line for the log."""

    was_clean: bool
    start_offset: int
    end_offset: int
    records_scanned: int
    bytes_cut: int
    bytes_damaged: int
    queues_rebuilt: int
    queues_dropped: int
    index_files_dropped: int
    index_lag_bytes: int
    seconds: float

    def __str__(self) -> str:
        opened = "store opened after a clean stop" if self.was_clean else "store recovered after a crash"
        found = (
            (self.records_scanned, f"{_counted(self.records_scanned, 'record')} checked from {self.start_offset}"),
            (self.bytes_cut, f"{_counted(self.bytes_cut, 'byte')} behind the last whole record cut"),
            (self.bytes_damaged, f"{_counted(self.bytes_damaged, 'damaged byte')} passed over"),
            (self.queues_rebuilt, f"{_counted(self.queues_rebuilt, 'queue')} completed"),
            (self.queues_dropped, f"{_counted(self.queues_dropped, 'queue')} without messages dropped"),
            (self.index_files_dropped, f"{_counted(self.index_files_dropped, 'index file')} dropped"),
            (self.index_lag_bytes, f"keys of the last {_counted(self.index_lag_bytes, 'byte')} to be indexed"),
        )
        done = ", ".join(text for count, text in found if count)
        if not self.end_offset and not done:
            return f"empty store opened ({self.seconds:.3f} s)"
        done = done or "nothing to recover"
        return f"{opened}: log ends at {self.end_offset}, {done} ({self.seconds:.3f} s)"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


class _UnitsMissing(Exception):
    """A record does not continue its queue: units before it are gone that were taken to be there."""


class Recovery:
    """One opening of a store whose files have been loaded."""

    def __init__(
        self, log: CommitLog, table: QueueTable, checkpoint: StoreCheckpoint, options: StoreOptions, was_clean: bool
    ) -> None:
        self._log = log
        self._table = table
        self._checkpoint = checkpoint
        self._options = options
        self._was_clean = was_clean
        self._complete_to = 0
        self._walks_all = False
        self._knows_queues = False
        self._bytes_damaged = 0
        self._queues_dropped = 0
        self._start_offset = 0
        self._dispatched_to: dict[ConsumeQueue, int] = {}
        self._rebuilt: set[ConsumeQueue] = set()
        self._quick = QuickWalk(self._dispatched_to, self._rebuilt, check_crc=True)

    def run(self) -> RecoveryReport:
        """Do it.

        Raises:
            UnsupportedRecord: A later version's record; nothing was cut.
        """
        began = monotonic()
        if not self._log.file_offsets():
            return self._without_log(began)
        start = self._choose_start()
        self._walks_all = start == self._log.min_offset
        end = self._walk_from(start)
        bytes_cut = self._log.cut(end)
        # What was walked may have been in the page cache of a killed process only: the next flush takes it along.
        self._log.flushed_offset = min(start, end)
        self._settle_queues()
        return self._report(began, end, bytes_cut)

    def _without_log(self, began: float) -> RecoveryReport:
        for key in list(self._table.by_key):
            self._drop(key)
        return self._report(began, 0, 0)

    def _report(self, began: float, end: int, bytes_cut: int) -> RecoveryReport:
        return RecoveryReport(
            self._was_clean,
            self._start_offset,
            end,
            self._quick.records,
            bytes_cut,
            self._bytes_damaged,
            len(self._rebuilt),
            self._queues_dropped,
            0,
            0,
            monotonic() - began,
        )

    # --- where to begin ------------------------------------------------------------------------------------------

    def _choose_start(self) -> int:
        """Physical offset from which on records are walked; also notes how far the log is known to reach."""
        coverage = self._checkpoint.coverage
        if self._table.lost_units:
            return self._log.min_offset
        if coverage is not None:
            if not self._log_reaches(coverage.physical_offset):
                return self._log.min_offset
            self._complete_to = coverage.physical_offset
            covered = coverage.unit_count <= self._units_below(coverage.physical_offset)
            return coverage.physical_offset if covered else self._log.min_offset
        if self._was_clean:
            ends = (queue.end_physical_offset() for queue in self._table.by_key.values())
            self._complete_to = max((end for end in ends if self._log_reaches(end)), default=self._log.min_offset)
            return self._look_back()
        return self._file_before_checkpoint()

    def _look_back(self) -> int:
        """A place before the known end: there it shows whether other queues have lost their last units."""
        self._knows_queues = True
        before = max(self._complete_to - LOOK_BACK_BYTES, self._log.min_offset)
        known = (queue.last_unit_below(before) for queue in self._table.by_key.values())
        offset = max((offset for offset, _, _ in known), default=-1)
        return offset if offset >= self._log.min_offset and self._log.record(offset) else self._log.min_offset

    def _log_reaches(self, physical_offset: int) -> bool:
        """Whether a record that a queue knows ends here, or a file begins here."""
        if physical_offset in self._log.file_offsets():
            return True
        for queue in self._table.by_key.values():
            offset, size, _ = queue.last_unit_below(physical_offset)
            if offset + size == physical_offset:
                record = self._log.record(offset)
                return record is not None and len(record) == size
        return False

    def _units_below(self, physical_offset: int) -> int:
        return sum(queue.first_behind(physical_offset) for queue in self._table.by_key.values())

    def _file_before_checkpoint(self) -> int:
        """First offset of the newest file whose first record is older than the checkpoint."""
        for base_offset in reversed(self._log.file_offsets()):
            store_timestamp = self._log.store_timestamp(base_offset)
            if 0 < store_timestamp <= self._checkpoint.safe_timestamp:
                return base_offset
        return self._log.min_offset

    # --- the walk ------------------------------------------------------------------------------------------------

    def _walk_from(self, start: int) -> int:
        """Cut the queues to what is known to be right and walk; from the first record if that shows units missing."""
        complete_to = max(start, self._complete_to)
        for queue in list(self._table.by_key.values()):
            if not self._was_clean or queue.end_physical_offset() > complete_to:
                queue.cut(complete_to)
        try:
            return self._walk(start)
        except _UnitsMissing:
            self._walks_all = True
            return self._walk(self._log.min_offset)

    def _walk(self, start: int) -> int:
        """Check and dispatch every record from an offset on; return where the log ends."""
        self._start_offset = start
        self._dispatched_to = {queue: queue.end_physical_offset() for queue in self._table.by_key.values()}
        self._quick = QuickWalk(self._dispatched_to, self._rebuilt, check_crc=self._options.check_crc_on_recover)
        self._quick.last_store_timestamp = self._checkpoint.physic_timestamp
        end = self._walk_files(start)
        self._quick.write()
        self._log.last_store_timestamp = self._quick.last_store_timestamp
        return end

    def _walk_files(self, start: int) -> int:
        physical_offset = start
        while (window := self._log.window(physical_offset)) is not None:
            view, base_offset, file_end = window
            position = self._walk_file(view, physical_offset - base_offset, base_offset)
            is_closed = position == len(view) or is_blank(view, position)
            if not is_closed or self._log.window(file_end) is None:
                return base_offset + position
            physical_offset = file_end
        return physical_offset

    def _walk_file(self, view: memoryview, position: int, base_offset: int) -> int:
        """Walk one file; return the position of its blank, of its end, or of the first bad record."""
        check_crc = self._options.check_crc_on_recover
        mapping = view.obj
        assert isinstance(mapping, mmap)  # its slices are bytes at once
        while True:
            position = self._quick.walk(mapping, position, base_offset, len(view))
            if position >= len(view) or is_blank(view, position):
                return position
            record = scan_record(view, position, base_offset, check_crc=check_crc)
            if record is not None:
                self._quick.records += 1
                self._dispatch(record, base_offset + position)
                position += record.size
            elif base_offset + position < self._complete_to:
                limit = min(len(view), self._complete_to - base_offset)
                following = next_record(view, position, base_offset, limit, check_crc=check_crc)
                self._bytes_damaged += following - position
                position = following
            else:
                return position

    def _dispatch(self, record: ScannedRecord, physical_offset: int) -> None:
        """Give a record its unit, unless its queue has it."""
        self._quick.last_store_timestamp = record.store_timestamp
        queue = queue_of_record(self._table, record)
        if queue is None or (self._knows_queues and physical_offset < self._complete_to and not queue.max_queue_offset):
            return
        if physical_offset >= self._dispatched_to.get(queue, -1):
            self._quick.write_of(queue)
            if 0 < queue.max_queue_offset < record.queue_offset:
                self._meet_gap(queue)
            append_unit(self._table, queue, record, physical_offset, self._options.delay_levels_ms)
            self._rebuilt.add(queue)
        self._quick.get_to_know(queue)

    def _meet_gap(self, queue: ConsumeQueue) -> None:
        """Decide what it means that the next record of a queue does not continue it."""
        if not self._walks_all:
            self._quick.write()
            raise _UnitsMissing
        if queue.end_physical_offset() <= self._log.min_offset:
            # All that is left of it leads to records that are gone from the log: it begins anew, behind filler units.
            queue.cut_at(0)

    def _settle_queues(self) -> None:
        """Correct where queues begin, drop empty ones, and give the mappings of the walk back."""
        for key, queue in list(self._table.by_key.items()):
            if queue.max_queue_offset:
                queue.correct_min(self._log.min_offset)
            else:
                self._drop(key)
        self._table.unmap()

    def _drop(self, key: QueueKey) -> None:
        self._table.by_key.pop(key).delete()
        self._queues_dropped += 1
