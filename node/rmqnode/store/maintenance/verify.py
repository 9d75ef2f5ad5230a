"""Checks a store directory without a broker: every record, its unit in its queue, its entries in the index.

One walk over the commit log, in order; `queue_check` and `index_check` compare what is derived with each record.
Nothing is changed (`repair` does that); files may be of either engine.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.errors import StoreFileMismatch
from rmqnode.store.maintenance.index_check import IndexCheck
from rmqnode.store.maintenance.queue_check import Problem, QueueCheck
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.record import (
    SYS_FLAG_ROLLBACK,
    SYS_FLAG_TRANSACTION,
    ScannedRecord,
    is_blank,
    next_record,
    scan_record,
)

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
    is_index_damaged: bool
    notes: list[str]
    """What a broker completes at its next start, and is no problem therefore."""


class StoreCheck:
    """One verification."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        budget = MappingBudget(_MAPPED_FILES_MAX)
        self._log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, budget)
        self._table = QueueTable(options.consume_queue_dir, options.mapped_file_size_consume_queue, budget)
        was_stopped = not (options.root / "abort").exists()
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._queues = QueueCheck(options, self._log, self._table, was_stopped=was_stopped)
        self._index = IndexCheck(options, was_stopped=was_stopped)
        self._records = 0

    def run(self) -> Verification:
        """Do it.

        Raises:
            UnsupportedRecord: A later version's record.
        """
        try:
            self._log.load(repairs=False)
            self._table.load_untouched()
        except StoreFileMismatch as mismatch:
            self._add(mismatch.path, 0, mismatch.problem)
            return self._result(0, 0)
        end, tail_bytes = self._walk_log()
        self._log.wrote_offset = end
        for problem in self._queues.finish(end):
            self._add(*problem)
        for difference in self._index.finish(end):
            self._add(*difference)
        return self._result(end, tail_bytes)

    def _result(self, end: int, tail_bytes: int) -> Verification:
        return Verification(
            self._records,
            end,
            tail_bytes,
            self._problems,
            self._problem_count,
            self._queues.damaged,
            self._index.is_damaged,
            self._queues.notes + self._index.notes,
        )

    def _add(self, path: Path, position: int, what: str) -> None:
        self._problem_count += 1
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(Problem(path, position, what))

    # --- the log -------------------------------------------------------------------------------------------------

    def _walk_log(self) -> tuple[int, int]:
        """Check every record; return where the log ends and how many bytes behind it are not zero."""
        end = self._log.min_offset
        for base_offset in self._log.file_offsets():
            window = self._log.window(base_offset)
            assert window is not None
            view = window[0]
            position = self._walk_file(view, base_offset)
            end = base_offset + position
            if position < len(view) and not is_blank(view, position):
                return end, self._tail_behind(base_offset, position)
        return end, 0

    def _walk_file(self, view: memoryview, base_offset: int) -> int:
        """Check the records of one file; return the position of its blank, of its end, or where nothing follows."""
        position = 0
        while position < len(view) and not is_blank(view, position):
            record = scan_record(view, position, base_offset, check_crc=True)
            if record is None:
                following = next_record(view, position, base_offset, len(view), check_crc=True)
                if following == len(view) and not self._has_records_behind(base_offset + len(view)):
                    break
                self._add(
                    self._log_path(base_offset), position, f"{following - position} bytes are no record, others follow"
                )
                position = following
                continue
            self._check_record(record, base_offset + position)
            position += record.size
        return position

    def _has_records_behind(self, physical_offset: int) -> bool:
        window = self._log.window(physical_offset)
        return window is not None and scan_record(window[0], 0, window[1], check_crc=False) is not None

    def _tail_behind(self, base_offset: int, position: int) -> int:
        """Bytes from a position of the last file on, to the last one that is not zero."""
        window = self._log.window(base_offset)
        assert window is not None
        view = window[0]
        last = len(view)
        step = 1 << 20
        while last > position:
            begin = max(position, last - step)
            content = bytes(view[begin:last]).rstrip(b"\0")
            if content:
                return begin + len(content) - position
            last = begin
        return 0

    def _check_record(self, record: ScannedRecord, physical_offset: int) -> None:
        self._records += 1
        if record.sys_flag & SYS_FLAG_TRANSACTION != SYS_FLAG_ROLLBACK:
            self._index.expect(record, physical_offset)
        self._queues.expect(record, physical_offset)

    def _log_path(self, base_offset: int) -> Path:
        return self._options.commit_log_dir / f"{base_offset:020d}"


def records_of(log: CommitLog) -> Iterator[tuple[int, ScannedRecord]]:
    """All good records of a log whose end is known, with their physical offsets."""
    for base_offset in log.file_offsets():
        window = log.window(base_offset)
        if window is None:
            return
        view, _, readable_end = window
        position, limit = 0, readable_end - base_offset
        while position < limit and not is_blank(view, position):
            record = scan_record(view, position, base_offset, check_crc=False)
            if record is None:
                position = next_record(view, position, base_offset, limit, check_crc=True)
                continue
            yield base_offset + position, record
            position += record.size
