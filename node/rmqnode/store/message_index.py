"""The index of a store: which messages have which key, over all index files.

It is built behind the commit log, a slice at a time, whenever its owner calls `build`: a put does nothing for it. Per
message it takes the unique key, then each key of `KEYS`, under the topic that the message was stored in.

How far it got is kept in the `coverage` file with the number of entries that were on disk then. After a crash the
newest file is brought back to that number and built again from there, so no entry is missing, none is there twice.

Source: IndexService (RocketMQ 4.5.2). Differs: a file is created for its first entry, not for the first message;
after a crash 4.5.2 deletes the files that were not full and builds what the recovery of the log happens to walk.
"""

import time
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.index_file import NAME_DIGITS, IndexFile, NewEntry
from rmqnode.store.key_hash import KeyHasher, key_hash
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.record import (
    KEYS_HEAD,
    MESSAGE_MAGIC,
    RECORD_FIXED_SIZE,
    RECORD_HEAD_SIZE,
    SYS_FLAG_ROLLBACK,
    SYS_FLAG_TRANSACTION,
    is_blank,
    next_record,
)

_unpack_head: Final = KEYS_HEAD.unpack_from


class IndexState(NamedTuple):
    """How much of the index is on disk."""

    offset: int
    """Physical offset below which every record is in the index; -1 when there is no index."""
    name: int
    """Name of the newest file; 0 when there is none."""
    next_entry: int
    """Number that its next entry will get; 0 when there is no file."""


class MessageIndex:
    """All index files of one store. The event loop's thread calls everything but `sync`."""

    def __init__(
        self, options: StoreOptions, log: CommitLog, budget: MappingBudget, clock_ms: Callable[[], int]
    ) -> None:
        self._options = options
        self._log = log
        self._budget = budget
        self._clock_ms = clock_ms
        self._is_enabled = options.message_index_enable
        self._hasher = KeyHasher()
        self._files: list[IndexFile] = []
        self._unsynced_full: list[IndexFile] = []
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
        dropped = self._load()
        if covered is not None and self._matches(covered):
            dropped += self._drop_from(lambda file: file.name > covered.name)
            if self._files and self._files[-1].count != covered.next_entry:
                self._cut_last(covered.next_entry)
            self.offset = covered.offset
        else:
            if not was_clean:
                dropped += self._drop_from(lambda file: file.end_timestamp > full_timestamp)
                if self._files:
                    # Some keys of the last message may have been in a file that was dropped.
                    self._forget_from(self._files[-1].end_offset)
            self.offset = self._end_of_last()
        self._forget_from(self._log.wrote_offset)
        self.offset = max(min(self.offset, self._log.wrote_offset), self._log.min_offset)
        self.on_disk = self._state()
        return dropped

    def _load(self) -> int:
        slots, entries = self._options.index_slot_count, self._options.index_entry_count_max
        self._files = []
        paths = _index_paths(self._options.index_dir)
        for position, path in enumerate(paths):
            file = IndexFile(path, slots, entries)
            if path.stat().st_size != file.file.size_bytes or not file.load():
                # Whatever came behind a file that tells nothing is built again.
                for lost in paths[position:]:
                    lost.unlink()
                return len(paths) - position
            self._files.append(file)
        return 0

    def _matches(self, covered: IndexState) -> bool:
        known = {file.name: file for file in self._files}
        if covered.name == 0:
            return covered.offset >= 0
        file = known.get(covered.name)
        return file is not None and file.count >= covered.next_entry

    def _drop_from(self, goes: Callable[[IndexFile], bool]) -> int:
        """Delete the first file of which something holds, and all behind it."""
        first = next((index for index, file in enumerate(self._files) if goes(file)), len(self._files))
        dropped = self._files[first:]
        del self._files[first:]
        for file in dropped:
            file.file.delete()
        return len(dropped)

    def _cut_last(self, count: int) -> None:
        last = self._files[-1]
        offset = last.entry(count - 1)[1] if count > 1 else last.begin_offset
        last.cut(count, max(self._log.store_timestamp(offset), 0))

    def _end_of_last(self) -> int:
        """Physical offset behind the last record that the files know."""
        known = [file for file in self._files if file.count > 1]
        if not known:
            return self._log.min_offset
        offset = known[-1].end_offset
        record = self._log.record(offset)
        return offset if record is None else offset + len(record)

    def _forget_from(self, physical_offset: int) -> None:
        """Remove all entries of records from an offset on."""
        while self._files and self._files[-1].end_offset >= physical_offset:
            count = self._files[-1].count_below(physical_offset)
            if count > 1:
                self._cut_last(count)
                break
            self._files.pop().file.delete()

    # --- building ------------------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether the log has messages that are not in the index yet."""
        return self._is_enabled and self.offset < self._log.dispatched_offset

    @property
    def has_entries(self) -> bool:
        """Whether there are entries, or will be soon."""
        return bool(self._files) or self.is_behind

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
            position = self.offset - base_offset
            limit = min(readable_end, self._log.dispatched_offset) - base_offset
            records_max, end, entries = self._scan(view, base_offset, position, limit, records_max)
            self._put(entries)
            self.offset = base_offset + end

    def _scan(
        self, view: memoryview, base_offset: int, position: int, limit: int, records_max: int
    ) -> tuple[int, int, list[NewEntry]]:
        """Collect the entries of records between two positions of a log file; the hot loop of the index.

        Returns how many more records may be looked at, the position behind the last one, and the entries.
        """
        entries: list[NewEntry] = []
        mapping = view.obj
        assert isinstance(mapping, mmap)  # its slices are bytes at once, half as dear as those of a view
        hashes_of = self._hasher.hashes
        while position + RECORD_FIXED_SIZE <= limit and records_max > 0:
            records_max -= 1
            size, magic, sys_flag, store_timestamp, body_size = _unpack_head(mapping, position)
            end = position + size
            topic_at = position + RECORD_HEAD_SIZE + body_size
            if magic != MESSAGE_MAGIC or not position + RECORD_HEAD_SIZE <= topic_at < end <= limit:
                position = limit if is_blank(view, position) else _behind_damage(view, position, base_offset, limit)
                continue
            if sys_flag & SYS_FLAG_TRANSACTION != SYS_FLAG_ROLLBACK:
                for hash_of_key in hashes_of(mapping[topic_at:end]):
                    entries.append((hash_of_key, base_offset + position, store_timestamp))
            position = end
        if position + RECORD_FIXED_SIZE > limit:
            position = limit
        return records_max, position, entries

    def _put(self, entries: list[NewEntry]) -> None:
        """Add entries, all or none."""
        began = self._state()
        try:
            while entries:
                file = self._files[-1] if self._files else self._next_file()
                if file.room <= 0:
                    file = self._next_file()
                fitting = entries[: file.room]
                file.put(fitting)
                file.write_head()
                entries = entries[len(fitting) :]
        except OSError:
            self._back_to(began)
            raise

    def _back_to(self, state: IndexState) -> None:
        self._drop_from(lambda file: file.name > state.name)
        if self._files and self._files[-1].count != state.next_entry:
            self._cut_last(state.next_entry)
        self._unsynced_full = [file for file in self._unsynced_full if file is not self._files[-1]]

    def _next_file(self) -> IndexFile:
        """Begin a file behind the last one, which is full."""
        previous = self._files[-1] if self._files else None
        name = int(_time_name(self._clock_ms()))
        if previous is not None:
            previous.write_head()
            name = max(name, previous.name + 1)
        path = self._options.index_dir / f"{name:0{NAME_DIGITS}d}"
        slots, entries = self._options.index_slot_count, self._options.index_entry_count_max
        created = IndexFile.create(path, slots, entries, previous)
        if previous is not None:
            self._unsynced_full.append(previous)
            self._budget.hold(previous.file)
        self._files.append(created)
        return created

    def _state(self) -> IndexState:
        if not self._files:
            return IndexState(self.offset, 0, 0)
        last = self._files[-1]
        return IndexState(self.offset, last.name, last.count)

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
        found: list[int] = []
        for file in reversed(self._files):
            if file is not self._files[-1]:
                self._budget.hold(file.file)
            if file.covers(begin, end):
                found += file.find(wanted, count_max - len(found), begin, end)
            if file.begin_timestamp < begin or len(found) >= count_max:
                break
        last = self._files[-1] if self._files else None
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
            full, self._unsynced_full = self._unsynced_full, []
            try:
                for file in full:
                    file.file.sync()
                if state.name and state != self.on_disk:
                    self._files[-1].file.sync()
            except (OSError, IndexError):
                self._unsynced_full = full + self._unsynced_full
                raise
            if full:
                self.full_timestamp = full[-1].end_timestamp
            self.on_disk = state

    def take_expired(self, physical_offset_min: int) -> list[Path]:
        """Take files out of the index that know only records below an offset, never the last; the caller deletes them.

        Source: IndexService#deleteExpiredFile.
        """
        expired: list[Path] = []
        while len(self._files) > 1 and self._files[0].end_offset < physical_offset_min:
            file = self._files.pop(0).file
            self._budget.forget(file)
            file.unmap()
            expired.append(file.path)
        return expired

    def close(self) -> None:
        """Give all mappings back."""
        for file in self._files:
            self._budget.forget(file.file)
            file.file.unmap()


def _behind_damage(view: memoryview, position: int, base_offset: int, limit: int) -> int:
    return next_record(view, position, base_offset, limit, check_crc=False)


def _index_paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_file())
    return [folder / name for name in sorted(names) if name.isascii() and name.isdecimal()]


def _time_name(now_ms: int) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(now_ms / 1000)) + f"{now_ms % 1000:03d}"
