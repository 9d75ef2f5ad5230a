"""The index of a store: which messages have which key, over all index files.

It is built behind the commit log, a slice at a time, whenever its owner calls `build`: a put does nothing for it. Per
message it takes the unique key, then each key of `KEYS`, under the topic that the message was stored in.

How far it got is kept in the `coverage` file with the number of entries that were on disk then. After a crash the
newest file is brought back to that number and built again from there, so no entry is missing, none is there twice.

Source: IndexService (RocketMQ 4.5.2). Differs: after a crash 4.5.2 deletes the files that were not full and builds what
the recovery of the log happens to walk.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.index.entries import scan_entries
from rmqnode.store.index.files import IndexFiles, IndexState
from rmqnode.store.index.key_hash import KeyHasher, key_hash
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions


class MessageIndex:
    """The index of one store. The event loop's thread calls everything but `sync`."""

    def __init__(
        self, options: StoreOptions, log: CommitLog, budget: MappingBudget, clock_ms: Callable[[], int]
    ) -> None:
        self._options = options
        self._log = log
        self._is_enabled = options.message_index_enable
        self._hasher = KeyHasher()
        self._files = IndexFiles(options, log, budget, clock_ms)
        self._sync_lock = Lock()
        self.offset = 0
        """Physical offset up to which messages are in the index."""
        self.on_disk = IndexState(-1, 0, 0)
        self.full_timestamp = 0
        """Store timestamp of the last message in a full file that is on disk: Apache's checkpoint of the index."""

    # --- opening -------------------------------------------------------------------------------------------------

    def open(self, covered: IndexState | None, *, was_clean: bool, full_timestamp: int) -> int:
        """Find the files and bring them into agreement with a log that was recovered; return how many were dropped.

        Args:
            covered: What the coverage file says, if it can be believed.
            was_clean: Whether the last stop was.
            full_timestamp: Apache's checkpoint of the index.
        """
        self.full_timestamp = full_timestamp
        if not self._is_enabled:
            return 0
        files = self._files
        dropped = files.load()
        if covered is not None and files.reach(covered):
            dropped += files.drop_from(lambda file: file.name > covered.name)
            files.bring_last_to(covered.next_entry)
            self.offset = covered.offset
        else:
            if not was_clean:
                dropped += files.drop_from(lambda file: file.end_timestamp > full_timestamp)
                if files.last is not None:
                    # Some keys of the last message may have been in a file that was dropped.
                    files.forget_from(files.last.end_offset)
            self.offset = files.end_offset()
        files.forget_from(self._log.wrote_offset)
        self.offset = max(min(self.offset, self._log.wrote_offset), self._log.min_offset)
        self.on_disk = self._state()
        return dropped

    # --- building ------------------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether the log has messages that are not in the index yet."""
        return self._is_enabled and self.offset < self._log.dispatched_offset

    @property
    def has_entries(self) -> bool:
        """Whether there are entries, or will be soon."""
        return self._files.last is not None or self.is_behind

    @property
    def lag_bytes(self) -> int:
        """How far the index is behind the log."""
        return self._log.dispatched_offset - self.offset if self._is_enabled else 0

    def build(self, records_max: int) -> None:
        """Put the next messages of the log into the index, for about 1.5 µs each.

        Raises:
            OSError: The disk is full or refuses a file; the index is whole up to `offset`.
        """
        if not self._is_enabled:
            return
        self.offset = max(self.offset, self._log.min_offset)
        while records_max > 0 and self.is_behind and (window := self._log.window(self.offset)) is not None:
            view, base_offset, readable_end = window
            stretch = self._log.damage.next_at(self.offset) if self._log.damage is not None else None
            if stretch is not None and stretch[0] <= self.offset:
                self.offset = min(stretch[1], self._log.dispatched_offset)
                continue
            end_offset = min(readable_end, self._log.dispatched_offset)
            limit = (end_offset if stretch is None else min(end_offset, stretch[0])) - base_offset
            position = self.offset - base_offset
            records_max, end, entries = scan_entries(self._hasher, view, base_offset, position, limit, records_max)
            self._files.put(entries)
            self.offset = base_offset + end

    def _state(self) -> IndexState:
        last = self._files.last
        return IndexState(self.offset, 0, 0) if last is None else IndexState(self.offset, last.name, last.count)

    # --- asking --------------------------------------------------------------------------------------------------

    def query(self, topic: str, key: str, count_max: int, begin: int, end: int) -> tuple[list[int], int, int]:
        """Physical offsets of messages that may have a key; time and offset of the last message in the index.

        Args:
            topic: Topic that they are stored in.
            key: The unique key, or one of the keys.
            count_max: Most offsets to return, newest first; `query_count_max` bounds it further.
            begin: Earliest store timestamp, in milliseconds; entries know theirs to the second.
            end: Latest store timestamp.

        Source: IndexService#queryOffset.
        """
        count_max = min(count_max, self._options.query_count_max)
        wanted = key_hash(topic.encode("utf-8", "replace"), key.encode("utf-8", "replace"))
        last = self._files.last
        found = self._files.find(wanted, count_max, begin, end)
        return found, last.end_timestamp if last else 0, last.end_offset if last else 0

    # --- keeping -------------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring the index to the disk. Blocks; may run in a worker thread.

        Raises:
            OSError: The disk failed; what was on disk before still counts.
        """
        if not self._is_enabled:
            return
        with self._sync_lock:
            state = self._state()
            full_timestamp = self._files.sync(with_last=bool(state.name) and state != self.on_disk)
            if full_timestamp is not None:
                self.full_timestamp = full_timestamp
            self.on_disk = state

    def take_expired(self, physical_offset_min: int) -> list[Path]:
        """Take files out of the index that know only records below an offset, never the last; the caller deletes them.

        Source: IndexService#deleteExpiredFile.
        """
        return self._files.take_expired(physical_offset_min)

    def close(self) -> None:
        """Give all mappings back."""
        self._files.unmap()
