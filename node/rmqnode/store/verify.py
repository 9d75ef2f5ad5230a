"""Checks a store directory without a broker: every record, its unit in its queue, its entries in the index.

One walk over the commit log, in order. Nothing is changed (`repair` does that); files may be of either engine.

A queue may rightly lack a record: its topic was deleted. Then the topic is not in `topics.json`, or its queue begins
with a later record.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.config_file import ConfigFile, ConfigFileCorrupt
from rmqnode.store.consume_queue import BLANK_UNIT_SIZE_FIELD, ConsumeQueue
from rmqnode.store.errors import StoreFileMismatch
from rmqnode.store.index_check import IndexCheck
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey, QueueTable, is_protected
from rmqnode.store.record import (
    SYS_FLAG_ROLLBACK,
    SYS_FLAG_TRANSACTION,
    SYS_FLAG_WITHOUT_QUEUE_OFFSET,
    ScannedRecord,
    is_blank,
    next_record,
    scan_record,
)
from rmqnode.store.tags_code import SCHEDULE_TOPIC, tags_code_of

PROBLEMS_MAX: Final = 1000
"""Problems that are kept; more are only counted."""

_MAPPED_FILES_MAX: Final = 256


class Problem(NamedTuple):
    """Something wrong, and exactly where."""

    path: Path
    position: int
    """Byte in the file."""
    what: str


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
        self._was_stopped = not (options.root / "abort").exists()
        self._topics = _known_topics(options.root)
        self._matched: dict[QueueKey, int] = {}
        self._missing: dict[QueueKey, int] = {}
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._damaged_queues: set[QueueKey] = set()
        self._notes: list[str] = []
        self._index = IndexCheck(options)
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
        self._check_queues(end)
        for path, position, what in self._index.finish(end, may_lag=not self._was_stopped):
            self._add(path, position, what)
        self._notes += self._index.notes
        return self._result(end, tail_bytes)

    def _result(self, end: int, tail_bytes: int) -> Verification:
        return Verification(
            self._records,
            end,
            tail_bytes,
            self._problems,
            self._problem_count,
            self._damaged_queues,
            self._index.is_damaged,
            self._notes,
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
            self._check_record(record, base_offset + position, view)
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

    def _check_record(self, record: ScannedRecord, physical_offset: int, view: memoryview) -> None:
        self._records += 1
        if record.sys_flag & SYS_FLAG_TRANSACTION != SYS_FLAG_ROLLBACK:
            self._index.expect(record, physical_offset)
        if record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
            return
        topic = record.topic.decode("utf-8", "replace")
        key = (topic, record.queue_id)
        queue = self._table.by_key.get(key)
        if queue is None:
            if topic in self._topics or is_protected(topic):
                self._missing.setdefault(key, physical_offset)
            return
        unit = queue.unit(record.queue_offset)
        if unit is not None and unit[:2] == (physical_offset, record.size):
            self._matched[key] = self._matched.get(key, 0) + 1
            expected = tags_code_of(topic, record.properties, record.store_timestamp, ())
            if unit[2] != expected and topic != SCHEDULE_TOPIC:
                self._wrong_unit(queue, record.queue_offset, f"tags code {unit[2]}, its record has {expected}")
        elif self._belongs_to_queue(queue, physical_offset):
            self._wrong_or_missing(queue, record, physical_offset)

    def _belongs_to_queue(self, queue: ConsumeQueue, physical_offset: int) -> bool:
        """Whether a record is of the queue as it is now, not of a deleted topic with the same name."""
        first = queue.unit(queue.min_queue_offset)
        return queue.min_queue_offset > 0 or first is None or physical_offset >= first[0]

    def _wrong_or_missing(self, queue: ConsumeQueue, record: ScannedRecord, physical_offset: int) -> None:
        if record.queue_offset < queue.max_queue_offset:
            what = f"no unit of the record at physical offset {physical_offset}, which has queue offset"
            self._wrong_unit(queue, record.queue_offset, f"{what} {record.queue_offset}")
        elif self._was_stopped:
            self._wrong_unit(queue, queue.max_queue_offset, f"the queue ends before its record at {physical_offset}")
        else:
            self._notes.append(f"queue {queue.topic}/{queue.queue_id} lags behind the log: the next start completes it")

    def _wrong_unit(self, queue: ConsumeQueue, queue_offset: int, what: str) -> None:
        key = (queue.topic, queue.queue_id)
        path, position = queue.place(queue_offset)
        if key not in self._damaged_queues:
            self._add(path, position, what)
        self._damaged_queues.add(key)

    # --- the queues ----------------------------------------------------------------------------------------------

    def _check_queues(self, end: int) -> None:
        for key, physical_offset in self._missing.items():
            self._damaged_queues.add(key)
            folder = self._options.consume_queue_dir / key[0] / str(key[1])
            self._add(folder, 0, f"the queue is missing, its first record is at physical offset {physical_offset}")
        for key, queue in self._table.by_key.items():
            if key in self._damaged_queues:
                continue
            first = queue.first_behind(self._log.min_offset)
            if queue.max_queue_offset - max(first, queue.min_queue_offset) != self._matched.get(key, 0):
                self._find_wrong_unit(queue, end)
            self._check_behind_end(queue)

    def _find_wrong_unit(self, queue: ConsumeQueue, end: int) -> None:
        """Name the first unit whose record is not there."""
        for queue_offset in range(queue.min_queue_offset, queue.max_queue_offset):
            unit = queue.unit(queue_offset)
            if unit is None or unit[1] == BLANK_UNIT_SIZE_FIELD or 0 <= unit[0] < self._log.min_offset:
                continue
            record = self._log.record(unit[0])
            if record is None or len(record) != unit[1]:
                where = "behind the end of the log" if unit[0] >= end else "no record is there"
                self._wrong_unit(queue, queue_offset, f"points to physical offset {unit[0]}: {where}")
                return

    def _check_behind_end(self, queue: ConsumeQueue) -> None:
        position = queue.content_behind_end()
        if position is not None:
            path, at = queue.place(queue.max_queue_offset)
            self._damaged_queues.add((queue.topic, queue.queue_id))
            self._add(path, at, f"the queue ends here, but there are bytes at {position}")

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


def _known_topics(root: Path) -> frozenset[str]:
    """Names in `topics.json`; none when there is no such file."""
    try:
        table = ConfigFile(root / "config" / "topics.json").load(json.loads)
    except ConfigFileCorrupt:
        return frozenset()
    return frozenset(table.get("topicConfigTable", {})) if isinstance(table, dict) else frozenset()
