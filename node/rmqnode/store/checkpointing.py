"""Brings the consume queues to the disk and notes in the checkpoint how far everything got.

Runs in worker threads beside puts; what a put changes is read once, before the files it belongs to are synced.

Source: DefaultMessageStore.FlushConsumeQueueService (RocketMQ 4.5.2).
"""

from threading import Lock
from typing import NamedTuple

from rmqnode.store.checkpoint import Coverage, StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.index.message_index import MessageIndex
from rmqnode.store.queue_table import QueueTable


class QueuesFlushed(NamedTuple):
    """How far the last flush of all queues got."""

    physical_offset: int
    store_timestamp: int


class Checkpointing:
    """Flushes and checkpoints of one store. Whoever deletes queues holds `lock` meanwhile."""

    def __init__(self, log: CommitLog, table: QueueTable, index: MessageIndex, checkpoint: StoreCheckpoint) -> None:
        self._log = log
        self._queues = table.by_key
        self._index = index
        self._checkpoint = checkpoint
        self._flushed: QueuesFlushed | None = None
        self.lock = Lock()

    def flush_queues(self) -> None:
        """Bring the units of all queues to the disk. Blocks.

        Raises:
            OSError: The disk failed; nothing counts as flushed.
        """
        with self.lock:
            reached = QueuesFlushed(self._log.dispatched_offset, self._log.last_store_timestamp)
            for queue in list(self._queues.values()):
                queue.flush()
            self._flushed = reached

    def write(self, *, is_running: bool) -> None:
        """Note how far the last flush of the queues got. Blocks.

        Args:
            is_running: Messages may follow, so the next start may be one after a crash.

        Raises:
            OSError: The disk failed; the last checkpoint still holds or counts as unknown.
        """
        with self.lock:
            if self._flushed is None:
                return
            physical_offset, store_timestamp = self._flushed
            if self._log.flushed_offset < physical_offset:
                self._log.flush()
            unit_count = sum(queue.count_below(physical_offset) for queue in list(self._queues.values()))
            coverage = Coverage(physical_offset, unit_count, self._index.on_disk)
            if is_running and self._index.has_entries:
                # After a crash Apache's broker deletes index files that are not full, and builds the index only of
                # what it walks: so it shall walk from the first file whose index it would delete.
                store_timestamp = min(store_timestamp, self._index.full_timestamp)
            self._checkpoint.save(store_timestamp, self._index.full_timestamp, coverage)
