"""All consume queues of a store: which exist, which may exist, finding, loading and deleting them.

Source: DefaultMessageStore#findConsumeQueue, #loadConsumeQueue, #cleanUnusedTopic (RocketMQ 4.5.2). Differs: a look-up
never creates a queue; topics that cannot name a folder have no queue; a deletion spares the transaction topics.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.errors import StoreFileMismatch
from rmqnode.store.filler import FillerBudget
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.queue_units import rounded_to_units
from rmqnode.store.record import TOPIC_SIZE_MAX

QueueKey = tuple[str, int]
"""Topic and queue id."""

_NOT_A_NAME: Final = re.compile(r"[/\x00-\x1f\x7f-\x9f\ufffd]")
"""What no folder is named: a way out of it, control characters, and what was no UTF-8."""

QUEUE_ID_MAX: Final = 2**31 - 1

_PROTECTED_TOPIC: Final = "SCHEDULE_TOPIC_XXXX"
_PROTECTED_PREFIX: Final = "RMQ_SYS_TRANS_"
"""Half and op queues: losing them would check finished transactions again (as 4.5.2 does)."""


def names_a_queue(topic: str, queue_id: int) -> bool:
    """Tell whether a consume queue folder may carry these names; topics come from the network."""
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        return False
    if not 0 < size <= TOPIC_SIZE_MAX or topic in (".", "..") or _NOT_A_NAME.search(topic) is not None:
        return False
    return 0 <= queue_id <= QUEUE_ID_MAX


class QueueTable:
    """Queues by topic and queue id; an entry exists only for a queue that something was stored in."""

    def __init__(self, directory: Path, file_size: int, budget: MappingBudget) -> None:
        self._directory = directory
        self._file_size = rounded_to_units(file_size)
        self._budget = budget
        self._fillers = FillerBudget()
        self.by_key: dict[QueueKey, ConsumeQueue] = {}
        self.lost_units = False
        """Whether a file was cut short, or a queue corrupt from its first unit on, when the queues were loaded."""

    def load(self) -> None:
        """Find all queues on disk.

        Raises:
            StoreFileMismatch: A file does not fit.
        """
        self._find(repairs=True)
        for key, queue in list(self.by_key.items()):
            if not queue.max_queue_offset:
                self.by_key.pop(key).delete()

    def load_untouched(self) -> None:
        """Find all queues on disk, the empty ones too, and change nothing.

        Raises:
            StoreFileMismatch: A file does not fit.
        """
        self._find(repairs=False)

    def _find(self, *, repairs: bool) -> None:
        for topic in _folders(self._directory):
            for name in _folders(self._directory / topic):
                if name.isascii() and name.isdecimal() and names_a_queue(topic, int(name)):
                    queue = self._queue(topic, int(name))
                    is_corrupt = False
                    try:
                        is_corrupt = queue.load(repairs=repairs)
                    except StoreFileMismatch as mismatch:
                        if not repairs or not mismatch.is_cut_short or self._has_another_size():
                            raise
                        self.lost_units = True
                        queue.extend_last_file(mismatch.path)
                        queue.load()
                    is_lost = queue.had_empty_file or (is_corrupt and not queue.max_queue_offset)
                    self.lost_units = self.lost_units or is_lost
                    self.by_key[topic, int(name)] = queue

    def _has_another_size(self) -> bool:
        """Whether all files agree on a size that is not the configured one."""
        sizes = [path.stat().st_size for path in self._directory.glob("*/*/*")]
        return len(sizes) > 1 and len(set(sizes)) == 1

    def new(self, topic: str, queue_id: int) -> ConsumeQueue | None:
        """Make an empty queue, not yet in the table, without files; None when the names cannot be a folder's."""
        if not names_a_queue(topic, queue_id):
            return None
        return self._queue(topic, queue_id)

    def _queue(self, topic: str, queue_id: int) -> ConsumeQueue:
        return ConsumeQueue(self._directory, self._file_size, topic, queue_id, self._budget, self._fillers)

    def fill_holes(self, bytes_max: int | None = None) -> int:
        """Write the fillers that queues lack in front of their first unit; return the bytes that are still missing.

        Args:
            bytes_max: Stop before so many would be written; None fills everything.
        """
        budget = FillerBudget(1 << 62 if bytes_max is None else bytes_max)
        missing = 0
        for queue in self.by_key.values():
            try:
                if queue.hole_bytes and budget.take(queue.hole_bytes):
                    queue.fill_hole()
            except OSError:
                pass  # a full disk; what is missing is counted
            missing += queue.hole_bytes
        return missing

    def delete(self, goes: Callable[[ConsumeQueue], bool]) -> int:
        """Delete the queues of which something holds; return how many.

        Transaction and schedule topics are left alone.
        """
        keys = [key for key, queue in self.by_key.items() if not is_protected(key[0]) and goes(queue)]
        for key in keys:
            self.by_key.pop(key).delete()
        for topic in {topic for topic, _ in keys}:
            folder = self._directory / topic
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return len(keys)

    def unmap(self) -> None:
        """Give the mappings of all queues back."""
        for queue in self.by_key.values():
            queue.unmap()


def is_protected(topic: str) -> bool:
    """Whether the queues of a topic are never deleted."""
    return topic == _PROTECTED_TOPIC or topic.startswith(_PROTECTED_PREFIX)


def _folders(directory: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    except FileNotFoundError:
        return []
