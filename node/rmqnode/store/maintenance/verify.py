"""Checks a store directory without a broker: every record, its unit in its queue, its entries in the index, its tables.

One walk over the commit log, in order; `queue_check` and `index_check` compare what is derived with each record.
`found_files`, `found_queues` and `config_check` name what a broker would refuse or mend at its start. Nothing is
changed (`repair` does that); files may be of either engine. Whatever they hold, the outcome is a list of problems.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.damage import Extent
from rmqnode.store.damaged_units import find_damaged_units
from rmqnode.store.errors import UnsupportedRecord
from rmqnode.store.log_scan import LogScan
from rmqnode.store.maintenance.config_check import ConfigCheck, readable_checkpoint
from rmqnode.store.maintenance.found_files import find_files
from rmqnode.store.maintenance.found_queues import FoundQueues
from rmqnode.store.maintenance.index_check import IndexCheck
from rmqnode.store.maintenance.known_damage import KnownDamage
from rmqnode.store.maintenance.problems import Problem
from rmqnode.store.maintenance.queue_check import QueueCheck
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.record import SYS_FLAG_ROLLBACK, SYS_FLAG_TRANSACTION, ScannedRecord, is_blank, scan_record

PROBLEMS_MAX: Final = 1000
"""Problems that are kept; more are only counted."""

_MAPPED_FILES_MAX: Final = 256


class Verification(NamedTuple):
    """What a walk over a store found."""

    records: int
    end_offset: int
    """Physical offset where the good part of the log ends."""
    tail_bytes: int
    """Bytes behind it that are no record: a torn tail, which the next start cuts."""
    problems: list[Problem]
    problem_count: int
    damaged_queues: set[QueueKey]
    """To be built anew from the log; none when files of that are missing, which may be put back."""
    is_index_damaged: bool
    extents: list[Extent]
    """Stretches of the log that are no record, with whole records behind them."""
    unmarked_whole: list[Extent]
    """Stretches that are marked as damaged and are whole: the broker leaves their messages out for nothing."""
    notes: list[str]
    """What a broker completes at its next start, and is no problem therefore."""


class StoreCheck:
    """One verification."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        budget = MappingBudget(_MAPPED_FILES_MAX)
        self._log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, budget)
        self._table = QueueTable(options.consume_queue_dir, options.mapped_file_size_consume_queue, budget)
        self._was_stopped = not (options.root / "abort").exists()
        self._config = ConfigCheck(options.root)
        self._known_damage = KnownDamage(options.root)
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._is_log_complete = True
        self._records = 0

    def run(self) -> Verification:
        """Do it."""
        self._config.run()
        self._known_damage.load()
        for problem in self._config.problems + self._known_damage.problems:
            self._add(*problem)
        log_files = find_files(self._options.commit_log_dir, self._options.mapped_file_size_commit_log)
        self._log.show(log_files.files)
        self._is_log_complete = log_files.is_complete
        found_queues = self._load_queues()
        for problem in log_files.problems + found_queues.problems:
            self._add(*problem)
        if not log_files.files:
            return self._without_log()
        self._queues = QueueCheck(
            self._options,
            self._log,
            self._table,
            found_queues.misfits,
            self._config.topics,
            was_stopped=self._was_stopped,
        )
        self._scan = LogScan(self._log, self._table, readable_checkpoint(self._options.root))
        self._index = IndexCheck(self._options, self._scan.extents, was_stopped=self._was_stopped)
        end, tail_bytes = self._walk_log()
        return self._finish(end, tail_bytes)

    def _load_queues(self) -> FoundQueues:
        options = self._options
        found = FoundQueues(options.consume_queue_dir, options.mapped_file_size_consume_queue, self._table)
        found.load()
        return found

    def _without_log(self) -> Verification:
        count = sum(queue.max_queue_offset - queue.min_queue_offset for queue in self._table.by_key.values())
        if count:
            what = (
                f"there is no commit log, and the consume queues speak of {count} messages: the broker does not start"
            )
            self._add(self._options.commit_log_dir, 0, what)
        return Verification(0, 0, 0, self._problems, self._problem_count, set(), False, [], [], self._config.notes)

    def _finish(self, end: int, tail_bytes: int) -> Verification:
        self._check_completeness()
        self._log.wrote_offset = end
        extents = find_damaged_units(self._table.by_key.values(), self._scan.extents)
        for extent in extents:
            self._add_extent(extent, end)
        for problem in self._queues.finish(end, extents):
            self._add(*problem)
        for difference in self._index.finish(end):
            self._add(*difference)
        whole = self._known_damage.whole_again(extents, end)
        for extent in whole:
            what = (
                f"{extent.begin} to {extent.end} is marked as damaged, and whole: its messages are left out for nothing"
            )
            self._add(self._known_damage.path, 0, what)
        return Verification(
            self._records,
            end,
            tail_bytes,
            self._problems,
            self._problem_count,
            self._queues.damaged if self._is_log_complete else set(),
            self._index.is_damaged and self._is_log_complete,
            extents,
            whole,
            self._config.notes + self._queues.notes + self._index.notes,
        )

    def _check_completeness(self) -> None:
        """Name files of the log that are gone or empty although queues speak of messages in them."""
        last = self._log.file_offsets()[-1]
        files_end = last + self._options.mapped_file_size_commit_log
        queues = list(self._table.by_key.values())
        # From the end of each queue: a unit that is damaged may lead anywhere.
        firsts = {queue: queue.count_below(files_end) for queue in queues}
        behind = sum(queue.max_queue_offset - first for queue, first in firsts.items())
        if behind > 1 or any(queue.raw_unit(first)[0] == files_end for queue, first in firsts.items()):
            what = f"is missing, and consume queues speak of {behind} messages from there on: the broker does not start"
            self._add(self._log_path(files_end), 0, what)
            self._is_log_complete = False
        count = sum(queue.max_queue_offset - queue.min_queue_offset for queue in queues)
        if not self._records and count:
            what = f"holds no record, and consume queues speak of {count} messages: the broker does not start"
            self._add(self._log_path(self._log.min_offset), 0, what)
            self._is_log_complete = False

    def _add(self, path: Path, position: int, what: str) -> None:
        self._problem_count += 1
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(Problem(path, position, what))

    def _add_extent(self, extent: Extent, log_end: int) -> None:
        file_size = self._options.mapped_file_size_commit_log
        position = extent.begin % file_size
        behind = "others follow at" if extent.end < log_end else "the log is known to reach to"
        what = f"{extent.end - extent.begin} bytes are no record, {behind} physical offset {extent.end}"
        if extent.queues:
            what += f"; lost with them: {', '.join(map(_part_text, extent.queues))}"
        if self._known_damage.covers(extent):
            what += "; the broker steps over them"
        self._add(self._log_path(extent.begin - position), position, what)

    # --- the log -------------------------------------------------------------------------------------------------

    def _walk_log(self) -> tuple[int, int]:
        """Check every record; return where the log ends and how many bytes behind it are not zero."""
        try:
            for physical_offset, record in self._scan.records():
                self._check_record(record, physical_offset)
        except UnsupportedRecord as error:
            position = error.physical_offset % self._options.mapped_file_size_commit_log
            what = f"a record with {error.form}, of a later version: the broker does not start"
            self._add(self._log_path(error.physical_offset - position), position, what)
            return self._scan.end_offset, 0
        return self._scan.end_offset, self._tail_bytes(self._scan.end_offset)

    def _tail_bytes(self, end: int) -> int:
        """Bytes behind the end of the log, to the last one that is not zero; none behind the end mark of a file."""
        window = self._log.window(end)
        if window is not None and is_blank(window[0], end - window[1]):
            return 0
        last = offset = end
        while self._log.window(offset) is not None:
            for begin, piece in self._log.pieces(offset):
                if content := len(piece.rstrip(b"\0")):
                    last = begin + content
            offset = self._log.next_file_offset(offset)
        return last - end

    def _check_record(self, record: ScannedRecord, physical_offset: int) -> None:
        self._records += 1
        if record.sys_flag & SYS_FLAG_TRANSACTION != SYS_FLAG_ROLLBACK:
            self._index.expect(record, physical_offset)
        self._queues.expect(record, physical_offset)

    def _log_path(self, base_offset: int) -> Path:
        return self._options.commit_log_dir / f"{base_offset:020d}"


def _part_text(part: tuple[str, int, int, int]) -> str:
    topic, queue_id, first, behind = part
    return f"{topic} queue {queue_id} offset {first}" + (f" to {behind - 1}" if behind - first > 1 else "")


def records_of(log: CommitLog, extents: Sequence[Extent]) -> Iterator[tuple[int, ScannedRecord]]:
    """All records of a log whose end and damage are known, with their physical offsets."""
    behind = {extent.begin: extent.end for extent in extents}
    offset = log.min_offset
    while (window := log.window(offset)) is not None:
        view, base_offset, file_end = window
        position = offset - base_offset
        if is_blank(view, position):
            offset = base_offset + len(view)
            continue
        record = None if offset in behind else scan_record(view, position, base_offset, check_crc=False)
        if record is not None:
            yield offset, record
            offset += record.size
        else:
            offset = behind.get(offset, file_end)
