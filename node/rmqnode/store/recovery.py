"""Bringing a store directory into order at its opening: log end, complete consume queues, never ahead of the log.

One rule for every situation: let the queues end at a physical offset below which they are known to be right, walk the
log, check every record, give it its unit unless its queue has it, step over damage, cut the log behind the last whole
record of all.

    situation                                          where the walk begins
    ---------------------------------------------------------------------------------------------------
    coverage is ours, queues and log agree with it     at the covered offset (the log end after a clean stop)
    coverage is ours, units or records are missing     at the first record: a queue was lost, or the log's end
    no coverage, clean stop                            some MiB before the last record that a queue knows
    no coverage, abort file                            newest file that begins before the checkpoint
    a queue file was cut short, or is corrupt whole    at the first record
    a record does not continue its queue               at the first record, once more
    a stretch that was marked damaged is whole again   there, if not before; without trust in coverage
    no commit log                                      nowhere; the queues are deleted

    at a bad record                                    decision
    ---------------------------------------------------------------------------------------------------
    a record that counts stands behind it, anywhere    the stretch is damage: marked, and the walk goes on behind it
    none does                                          the log ends here; what stands there is put aside and zeroed

Which records count says `continuity`, how they are found `resync`, what becomes of units into damage `damaged_units`.
A queue that is corrupt has lost its units from there on when it comes here (`ConsumeQueue.load`).

Source: CommitLog#recoverNormally, #recoverAbnormally, DefaultMessageStore#start (RocketMQ 4.5.2). Differs: Apache
ends the log at the first bad record, walks the last three files after a clean stop, a whole file at least after a
crash, and does not notice a lost queue.
"""

import logging
from dataclasses import dataclass
from mmap import mmap
from time import monotonic
from typing import Final, NamedTuple

from rmqnode.store.checkpoint import StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.completeness import Completeness
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.continuity import Continuity, log_reaches
from rmqnode.store.damage import Damage, Extent
from rmqnode.store.damaged_units import find_damaged_units, keep_trailing_units
from rmqnode.store.dispatch import queue_of_record
from rmqnode.store.options import StoreOptions
from rmqnode.store.placing import Placing
from rmqnode.store.put_aside import PutAside
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.quick_walk import QuickWalk
from rmqnode.store.record import RECORD_HEAD, ScannedRecord, is_blank, scan_record
from rmqnode.store.resync import end_of_records, find_whole_record
from rmqnode.store.tags_code import tags_code_of

logger = logging.getLogger(__name__)

LOOK_BACK_BYTES: Final = 16 << 20
"""How much of the log is walked after another engine's clean stop: 0.1 s at most."""

_LOGGED_MAX: Final = 100
"""Damaged stretches that are logged one by one at a start."""


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


@dataclass
class _Plan:
    """Where the walk begins and what is believed before it."""

    start: int
    trusted_to: int
    """Physical offset below which the units that queues have are right."""
    complete_to: int = 0
    """Physical offset that the log reached, however damaged it is below."""
    is_ours: bool = False
    """No other engine was started since ours zeroed behind the end: no old records lie anywhere."""
    knows_queues: bool = False
    """A queue that is not there was deleted with its topic, as far as the log was complete."""


class Recovery:
    """One opening of a store whose files have been loaded.

    Args:
        log: Of the store, loaded.
        table: Its queues, loaded.
        checkpoint: Loaded.
        damage: The marks of earlier starts, loaded; changed to what is so now.
        options: Of the store.
        completeness: Is asked whether a log without any record may be.
        was_clean: There is no `abort` file.
        now_ms: Goes into marks and names of what is put aside.
    """

    def __init__(
        self,
        log: CommitLog,
        table: QueueTable,
        checkpoint: StoreCheckpoint,
        damage: Damage,
        options: StoreOptions,
        completeness: Completeness,
        was_clean: bool,
        now_ms: int,
    ) -> None:
        self._log = log
        self._table = table
        self._checkpoint = checkpoint
        self._damage = damage
        self._options = options
        self._completeness = completeness
        self._was_clean = was_clean
        self._now_ms = now_ms
        self._known_queues = {key: queue.max_queue_offset for key, queue in table.by_key.items()}
        """Queues that were there, and where they ended."""
        self._plan = _Plan(0, 0)
        self._start_offset = 0
        self._extents: list[Extent] = []
        self._queues_dropped = 0
        self._dispatched_to: dict[ConsumeQueue, int] = {}
        self._rewound: set[ConsumeQueue] = set()
        self._rebuilt: set[ConsumeQueue] = set()
        self._quick = QuickWalk(self._dispatched_to, self._rebuilt, check_crc=True)
        self._placing = Placing(log, self._extents, walks_all=True, on_missing=_raise_units_missing)
        self._continuity = Continuity(table, self._reached, is_ours=False, complete_to=0)

    def run(self) -> RecoveryReport:
        """Do it.

        Raises:
            UnsupportedRecord: A later version's record; nothing was cut.
            StoreIncomplete: The log has no record any more, but queues have messages; nothing was cut.
            OSError: The disk refuses, or has no room for what is to be put aside.
        """
        began = monotonic()
        if not self._log.file_offsets():
            return self._without_log(began)
        self._plan = self._choose_plan()
        try:
            end = self._walk(self._plan.start)
        except _UnitsMissing:
            end = self._walk(self._log.min_offset)
        was_on_disk = self._checkpoint.physic_timestamp > 0
        if was_on_disk and not self._quick.records and end == self._log.min_offset:
            self._completeness.check_records(sum(self._known_queues.values()))
        aside = PutAside(self._damage.folder, self._now_ms, self._options.message_size_bytes_max)
        bytes_cut = aside.take_tail(self._log, end)
        self._log.cut(end)
        # What was walked may have been in the page cache of a killed process only: the next flush takes it along.
        self._log.flushed_offset = min(self._start_offset, end)
        self._settle_queues(end)
        self._mark_damage(end)
        self._table.unmap()
        return self._report(began, end, bytes_cut)

    def _without_log(self, began: float) -> RecoveryReport:
        for key in list(self._table.by_key):
            self._drop(key)
        self._damage.use(())
        return self._report(began, 0, 0)

    def _report(self, began: float, end: int, bytes_cut: int) -> RecoveryReport:
        return RecoveryReport(
            self._was_clean,
            self._start_offset,
            end,
            self._quick.records,
            bytes_cut,
            sum(extent.end - extent.begin for extent in self._extents),
            sum(self._was_completed(queue) for queue in self._rebuilt),
            self._queues_dropped,
            0,
            0,
            monotonic() - began,
        )

    # --- where to begin ------------------------------------------------------------------------------------------

    def _choose_plan(self) -> _Plan:
        plan = self._plan_without_marks()
        healed = next((extent.begin for extent in self._damage.extents if self._is_whole_again(extent)), None)
        if healed is not None and self._log.min_offset <= healed:
            plan.start = min(plan.start, healed)
            plan.trusted_to = plan.start
        return plan

    def _plan_without_marks(self) -> _Plan:
        begin = self._log.min_offset
        coverage = self._checkpoint.coverage
        is_ours = coverage is not None
        if self._table.lost_units:
            return _Plan(begin, begin, is_ours=is_ours)
        if coverage is not None:
            covered_to = coverage.physical_offset
            if not log_reaches(self._log, self._table, covered_to):
                return _Plan(begin, begin, is_ours=is_ours)
            has_units = coverage.unit_count <= self._units_below(covered_to)
            return _Plan(covered_to if has_units else begin, covered_to, covered_to, is_ours)
        if self._was_clean:
            ends = (queue.end_physical_offset() for queue in self._table.by_key.values())
            complete_to = max((end for end in ends if log_reaches(self._log, self._table, end)), default=begin)
            start = self._look_back(complete_to)
            return _Plan(start, start, complete_to, knows_queues=True)
        start = self._file_before_checkpoint()
        return _Plan(start, start)

    def _is_whole_again(self, extent: Extent) -> bool:
        """Whether records follow each other from the begin of a stretch to its end: it was repaired."""
        window = self._log.window(extent.begin)
        if window is None or scan_record(window[0], extent.begin - window[1], window[1], check_crc=True) is None:
            return False
        return end_of_records(self._log, extent.begin, extent.end) >= extent.end

    def _look_back(self, complete_to: int) -> int:
        """A place before the known end: there it shows whether other queues have lost their last units."""
        before = max(complete_to - LOOK_BACK_BYTES, self._log.min_offset)
        known = (queue.last_unit_below(before) for queue in self._table.by_key.values())
        offset = max((offset for offset, _, _ in known), default=-1)
        return offset if offset >= self._log.min_offset and self._log.record(offset) else self._log.min_offset

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

    def _walk(self, start: int) -> int:
        """Check and dispatch every record from an offset on; return where the log ends."""
        plan = self._plan
        self._start_offset = start
        self._extents.clear()
        self._rewind_queues(plan.trusted_to if plan.is_ours or start == plan.start else start)
        check_crc = self._options.check_crc_on_recover
        self._quick = QuickWalk(self._dispatched_to, self._rebuilt, check_crc=check_crc, watches_time=not plan.is_ours)
        walks_all = start == self._log.min_offset
        self._placing = Placing(self._log, self._extents, walks_all=walks_all, on_missing=_raise_units_missing)
        self._continuity = Continuity(
            self._table, self._reached, is_ours=plan.is_ours, complete_to=plan.complete_to if plan.is_ours else 0
        )
        end = self._walk_over_damage(start)
        self._quick.write()
        has_records = self._quick.records > 0
        last = self._quick.last_store_timestamp if has_records else self._checkpoint.physic_timestamp
        self._log.last_store_timestamp = last
        return end

    def _rewind_queues(self, trusted_to: int) -> None:
        """Let queues end where their units are known to be right, and note from where on they are given new ones."""
        for key in [key for key in self._table.by_key if key not in self._known_queues]:
            self._table.by_key.pop(key).delete()  # made by a walk that is begun again
        self._dispatched_to.clear()
        self._rewound.clear()
        self._rebuilt.clear()
        for queue in self._table.by_key.values():
            if not self._was_clean or not self._plan.is_ours or queue.end_physical_offset() > trusted_to:
                begins_at = self._begin_of_queue(queue)
                queue.rewind(queue.first_behind(trusted_to))
                self._rewound.add(queue)
                self._dispatched_to[queue] = max(queue.end_physical_offset(), begins_at)
            else:
                self._dispatched_to[queue] = queue.end_physical_offset()

    def _begin_of_queue(self, queue: ConsumeQueue) -> int:
        """Where the message with queue offset 0 is: what the log has before is of a deleted topic of this name.

        -1 when that is not sure.
        """
        offset, size, _ = queue.raw_unit(0)
        record = self._log.record(offset)
        if record is None or len(record) != size:
            return -1
        _, _, _, queue_id, _, queue_offset, *_ = RECORD_HEAD.unpack_from(record)
        return offset if (queue_id, queue_offset) == (queue.queue_id, 0) else -1

    def _walk_over_damage(self, start: int) -> int:
        physical_offset = start
        while True:
            stopped = self._walk_files(physical_offset)
            physical_offset = self._find_following(stopped)
            if physical_offset <= stopped:
                return stopped
            self._extents.append(Extent(stopped, physical_offset, self._now_ms))

    def _find_following(self, stopped: int) -> int:
        """Where the walk goes on behind a place without a record; the place itself when the log ends there."""
        self._continuity.last_store_timestamp = self._last_store_timestamp(stopped)
        self._continuity.damaged_from = stopped
        check_crc = self._options.check_crc_on_recover
        following = find_whole_record(self._log, stopped, self._continuity.passed_over, check_crc=check_crc)
        if following is not None:
            return following
        return max(stopped, self._plan.complete_to) if self._plan.is_ours else stopped

    def _last_store_timestamp(self, stopped: int) -> int:
        """Of the last whole record below an offset where the walk has stopped, in milliseconds."""
        if self._quick.records:
            return self._quick.last_store_timestamp
        known = (queue.last_unit_below(stopped)[0] for queue in self._table.by_key.values())
        return max(self._log.store_timestamp(max(known, default=-1)), 0)

    def _walk_files(self, start: int) -> int:
        """Walk whole records, over the ends of files; return where the next one is missing."""
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
            record = scan_record(view, position, base_offset, check_crc=check_crc)
            if record is None:
                return position
            goes_back = record.store_timestamp < self._quick.last_store_timestamp
            if goes_back and self._continuity.is_given_up(self._log, record, base_offset + position):
                return position
            self._quick.records += 1
            self._dispatch(record, base_offset + position)
            position += record.size

    def _dispatch(self, record: ScannedRecord, physical_offset: int) -> None:
        """Give a record its unit, unless its queue has it."""
        self._quick.last_store_timestamp = record.store_timestamp
        queue = queue_of_record(self._table, record)
        if queue is None:
            return
        key = (queue.topic, queue.queue_id)
        if self._plan.knows_queues and physical_offset < self._plan.complete_to and key not in self._known_queues:
            return
        if physical_offset >= self._dispatched_to.get(queue, -1):
            self._quick.write_of(queue)
            self._placing.prepare(queue, record, physical_offset)
            delays = self._options.delay_levels_ms
            tags_code = tags_code_of(queue.topic, record.properties, record.store_timestamp, delays)
            queue.append(physical_offset, record.size, tags_code)
            self._table.by_key[key] = queue
            self._rebuilt.add(queue)
        self._quick.get_to_know(queue)

    def _reached(self, record: ScannedRecord) -> tuple[int, int] | None:
        """How far the queue of a record has got; see `continuity`."""
        queue = queue_of_record(self._table, record)
        if queue is None:
            return None
        self._quick.write_of(queue)
        if not queue.max_queue_offset:
            return None
        return queue.max_queue_offset, queue.end_physical_offset()

    # --- afterwards ----------------------------------------------------------------------------------------------

    def _settle_queues(self, end: int) -> None:
        """Let queues end where the log does, correct where they begin, and drop empty ones."""
        for key, queue in list(self._table.by_key.items()):
            if queue in self._rewound:
                keep_trailing_units(queue, self._extents)
                queue.cut_at(queue.max_queue_offset)
            elif queue.max_queue_offset and queue.raw_unit(queue.max_queue_offset - 1)[0] >= end:
                queue.cut(end)
            if queue.max_queue_offset:
                queue.correct_min(self._log.min_offset)
            else:
                self._drop(key)

    def _mark_damage(self, end: int) -> None:
        """Note what the walk stepped over, and what an earlier one did where this one did not come."""
        begin = self._log.min_offset
        kept = [
            extent._replace(begin=max(extent.begin, begin))
            for extent in self._damage.extents
            if begin < extent.end <= min(self._start_offset, end)
        ]
        found_at = {(extent.begin, extent.end): extent.found_at_ms for extent in self._damage.extents}
        found = [
            extent._replace(found_at_ms=found_at.get((extent.begin, extent.end), self._now_ms))
            for extent in self._extents
        ]
        found = find_damaged_units(self._table.by_key.values(), found)
        for extent in found:
            for part in extent.queues:
                queue = self._table.by_key[part.topic, part.queue_id]
                queue.blank(part.from_offset, part.to_offset, extent.begin)
        for extent in found[:_LOGGED_MAX]:
            logger.error("commit log damaged, stepped over %s", extent)
        if len(found) > _LOGGED_MAX:
            logger.error("commit log damaged in more places count=%d", len(found) - _LOGGED_MAX)
        self._damage.use([*kept, *found])
        try:
            self._damage.save()
        except OSError as error:
            logger.error("marks of damage not written, to be found again reason=%s", error)

    def _was_completed(self, queue: ConsumeQueue) -> bool:
        """Whether a queue that units were written to has more of them now, or nobody knows what it had."""
        known_end = self._known_queues.get((queue.topic, queue.queue_id))
        return not self._plan.knows_queues or known_end != queue.max_queue_offset

    def _drop(self, key: QueueKey) -> None:
        self._table.by_key.pop(key).delete()
        self._queues_dropped += 1


def _raise_units_missing() -> None:
    raise _UnitsMissing
