"""A look into a store directory of either engine, with or without a running broker; changes nothing, takes no lock."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from rmqnode.store.checkpoint import StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.index.file import IndexFile
from rmqnode.store.lock import lock_holder
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.record import is_blank, scan_record

_MAPPED_FILES_MAX = 256


class StoreView:
    """What lies in a store directory at one moment.

    Raises:
        StoreFileMismatch: A file does not fit.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        budget = MappingBudget(_MAPPED_FILES_MAX)
        self._log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, budget)
        self._table = QueueTable(options.consume_queue_dir, options.mapped_file_size_consume_queue, budget)
        self._log.load(repairs=False)
        self._table.load_untouched()
        self._log.wrote_offset = self._find_end()
        for queue in self._table.by_key.values():
            queue.correct_min(self._log.min_offset)
        self.checkpoint = StoreCheckpoint.of(options.root)

    @property
    def was_stopped(self) -> bool:
        """Whether the last broker stopped cleanly: there is no `abort` file."""
        return not (self._options.root / "abort").exists()

    @property
    def holder(self) -> int | None:
        """Process id of a broker that has the store open."""
        return lock_holder(self._options.root / "lock")

    @property
    def min_offset(self) -> int:
        """Physical offset where the log begins."""
        return self._log.min_offset

    @property
    def end_offset(self) -> int:
        """Physical offset where the log ends."""
        return self._log.wrote_offset

    @property
    def queues(self) -> Mapping[QueueKey, ConsumeQueue]:
        """All consume queues by topic and queue id."""
        return MappingProxyType(self._table.by_key)

    def log_files(self) -> list[Path]:
        """Files of the commit log, oldest first."""
        return [self._options.commit_log_dir / f"{offset:020d}" for offset in self._log.file_offsets()]

    def index_files(self) -> Iterator[IndexFile]:
        """Index files with their heads read, oldest first; those that are none are left out."""
        folder = self._options.index_dir
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            file = IndexFile(path, self._options.index_slot_count, self._options.index_entry_count_max)
            if path.name.isdecimal() and path.stat().st_size == file.file.size_bytes and file.load():
                yield file

    def store_timestamp(self, queue: ConsumeQueue, queue_offset: int) -> int | None:
        """Store timestamp of a message, in milliseconds; None when it cannot be read."""
        unit = queue.unit(queue_offset)
        timestamp = self._log.store_timestamp(unit[0]) if unit is not None else -1
        return timestamp if timestamp >= 0 else None

    def records(self, queue: ConsumeQueue, queue_offset: int, count: int) -> Iterator[memoryview]:
        """Stored messages of a queue from an offset on; those that the log has lost are left out."""
        for each in range(max(queue_offset, queue.min_queue_offset), queue.max_queue_offset):
            if count <= 0:
                return
            unit = queue.unit(each)
            record = self._log.record(unit[0]) if unit is not None else None
            if record is not None:
                count -= 1
                yield record

    def _find_end(self) -> int:
        """Walk on from the last record that a queue knows."""
        log = self._log
        ends = (queue.end_physical_offset() for queue in self._table.by_key.values())
        known = max((end for end in ends if log.min_offset <= end <= log.wrote_offset), default=log.min_offset)
        while (window := log.window(known)) is not None:
            view, base_offset, file_end = window
            position = known - base_offset
            while (record := scan_record(view, position, base_offset, check_crc=False)) is not None:
                position += record.size
            known = base_offset + position
            if not is_blank(view, position) or log.window(file_end) is None:
                break
            known = file_end
        return known
