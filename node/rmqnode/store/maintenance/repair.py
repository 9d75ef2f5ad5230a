"""Builds anew what a verification found damaged and what the commit log can tell: consume queues, the index.

The log itself is never touched, apart from a torn tail when that is asked for: it becomes zeros, as at the next start.
"""

import time

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.index.message_index import MessageIndex
from rmqnode.store.lock import StoreLock
from rmqnode.store.maintenance.verify import Verification, records_of
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.record import SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord
from rmqnode.store.tags_code import tags_code_of

_MAPPED_FILES_MAX = 256
_RECORDS_PER_SLICE = 4096


def repair(options: StoreOptions, found: Verification, *, cut_tail: bool) -> list[str]:
    """Repair what can be; return what was done, in words.

    Args:
        options: Of the store.
        found: What is wrong with it.
        cut_tail: Also remove the bytes behind the last record.

    Raises:
        StoreLocked: A broker has the store open; nothing was changed.
        OSError: The disk is full or refuses; run it again.
    """
    lock = StoreLock(options.root / "lock")
    lock.acquire()
    try:
        return _Repair(options, found).run(cut_tail=cut_tail)
    finally:
        lock.release()


class _Repair:
    def __init__(self, options: StoreOptions, found: Verification) -> None:
        self._options = options
        self._found = found
        self._budget = MappingBudget(_MAPPED_FILES_MAX)
        self._log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, self._budget)
        self._table = QueueTable(options.consume_queue_dir, options.mapped_file_size_consume_queue, self._budget)

    def run(self, *, cut_tail: bool) -> list[str]:
        done: list[str] = []
        self._log.load()
        self._log.wrote_offset = self._found.end_offset
        # What our engine knows of queues and index is not so any more; it looks for itself then.
        (self._options.root / "coverage").unlink(missing_ok=True)
        if cut_tail and self._found.tail_bytes:
            self._log.cut(self._found.end_offset)
            done.append(f"{self._found.tail_bytes} bytes behind the last record cut from the commit log")
        if self._found.damaged_queues:
            units = self._rebuild_queues(self._found.damaged_queues)
            done.append(f"{len(self._found.damaged_queues)} consume queues built anew, {units} units")
        if self._found.is_index_damaged:
            self._rebuild_index()
            done.append("index built anew")
        return done

    def _rebuild_queues(self, keys: set[QueueKey]) -> int:
        self._table.load_untouched()
        for key in keys:
            queue = self._table.by_key.pop(key, None)
            if queue is not None:
                queue.delete()
        units = 0
        for physical_offset, record in records_of(self._log):
            key = (record.topic.decode("utf-8", "replace"), record.queue_id)
            if key in keys and not record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
                self._append(key, record, physical_offset)
                units += 1
        for key in keys:
            if key in self._table.by_key:
                self._table.by_key[key].flush()
                self._table.by_key[key].unmap()
        return units

    def _append(self, key: QueueKey, record: ScannedRecord, physical_offset: int) -> None:
        """As the recovery does it: a queue offset of 0 begins anew, a queue may begin in the middle."""
        queue = self._table.by_key.get(key) or self._table.new(*key)
        if queue is None:
            return
        self._table.by_key[key] = queue
        if record.queue_offset == 0 and queue.max_queue_offset:
            queue.cut_at(0)
        if record.queue_offset and not queue.max_queue_offset:
            queue.begin_at(record.queue_offset)
        delays = self._options.delay_levels_ms
        tags_code = tags_code_of(key[0], record.properties, record.store_timestamp, delays)
        queue.append(physical_offset, record.size, tags_code)

    def _rebuild_index(self) -> None:
        for path in self._options.index_dir.iterdir():
            if path.name.isdecimal():
                path.unlink()
        index = MessageIndex(self._options, self._log, self._budget, lambda: time.time_ns() // 1_000_000)
        index.open(None, was_clean=True, full_timestamp=0)
        while index.is_behind:
            index.build(_RECORDS_PER_SLICE)
        index.sync()
        index.close()
