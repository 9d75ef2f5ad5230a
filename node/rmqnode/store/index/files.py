"""The index files of one store, oldest first: finding, filling, cutting, syncing and letting go of them.

What the index covers, and what is on disk of it, is `message_index`'s; the layout of a file is `file`'s.

Source: IndexService (RocketMQ 4.5.2). Differs: a file is created for its first entry, not for the first message.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.index.file import NAME_DIGITS, IndexFile, NewEntry
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions


class IndexState(NamedTuple):
    """How far an index is."""

    offset: int
    """Physical offset below which every record is in the index; -1 when there is no index."""
    name: int
    """Name of the newest file; 0 when there is none."""
    next_entry: int
    """Number that its next entry will get; 0 when there is no file."""


class IndexFiles:
    """All files of one index. The event loop's thread calls everything but `sync`."""

    def __init__(
        self, options: StoreOptions, log: CommitLog, budget: MappingBudget, clock_ms: Callable[[], int]
    ) -> None:
        self._options = options
        self._log = log
        self._budget = budget
        self._clock_ms = clock_ms
        self._files: list[IndexFile] = []
        self._unsynced_full: list[IndexFile] = []

    @property
    def last(self) -> IndexFile | None:
        """The newest file, the only one that entries are put into."""
        return self._files[-1] if self._files else None

    # --- opening and cutting -------------------------------------------------------------------------------------

    def load(self) -> int:
        """Find the files; return how many were deleted because one of them tells nothing."""
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

    def reach(self, covered: IndexState) -> bool:
        """Whether everything is there that an index is said to have had."""
        known = {file.name: file for file in self._files}
        if covered.name == 0:
            return covered.offset >= 0
        file = known.get(covered.name)
        return file is not None and file.count >= covered.next_entry

    def drop_from(self, goes: Callable[[IndexFile], bool]) -> int:
        """Delete the first file of which something holds, and all behind it; return how many."""
        first = next((index for index, file in enumerate(self._files) if goes(file)), len(self._files))
        dropped = self._files[first:]
        del self._files[first:]
        for file in dropped:
            file.file.delete()
        return len(dropped)

    def bring_last_to(self, count: int) -> None:
        """Bring the newest file, if there is one, back to a number of entries that it had before."""
        if self._files and self._files[-1].count != count:
            self._cut_last(count)

    def _cut_last(self, count: int) -> None:
        last = self._files[-1]
        offset = last.entry(count - 1)[1] if count > 1 else last.begin_offset
        last.cut(count, max(self._log.store_timestamp(offset), 0))

    def forget_from(self, physical_offset: int) -> None:
        """Remove all entries of records from an offset on."""
        while self._files and self._files[-1].end_offset >= physical_offset:
            count = self._files[-1].count_below(physical_offset)
            if count > 1:
                self._cut_last(count)
                break
            self._files.pop().file.delete()

    def end_offset(self) -> int:
        """Physical offset behind the last record that the files know."""
        known = [file for file in self._files if file.count > 1]
        if not known:
            return self._log.min_offset
        offset = known[-1].end_offset
        record = self._log.record(offset)
        return offset if record is None else offset + len(record)

    # --- filling -------------------------------------------------------------------------------------------------

    def put(self, entries: list[NewEntry]) -> None:
        """Add entries, all or none.

        Raises:
            OSError: The disk is full or refuses a file; nothing was added.
        """
        last = self.last
        name, count = (0, 0) if last is None else (last.name, last.count)
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
            self._back_to(name, count)
            raise

    def _back_to(self, name: int, count: int) -> None:
        self.drop_from(lambda file: file.name > name)
        self.bring_last_to(count)
        self._unsynced_full = [file for file in self._unsynced_full if file is not self._files[-1]]

    def _next_file(self) -> IndexFile:
        """Begin a file behind the last one, which is full."""
        previous = self.last
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

    # --- asking and keeping --------------------------------------------------------------------------------------

    def find(self, key_hash: int, count_max: int, begin: int, end: int) -> list[int]:
        """Physical offsets of entries with a key's hash and a store time within bounds, newest first."""
        found: list[int] = []
        for file in reversed(self._files):
            if file is not self._files[-1]:
                self._budget.hold(file.file)
            if file.covers(begin, end):
                found += file.find(key_hash, count_max - len(found), begin, end)
            if file.begin_timestamp < begin or len(found) >= count_max:
                break
        return found

    def sync(self, *, with_last: bool) -> int | None:
        """Bring files that became full to the disk, and the last one if asked for. May run in a worker thread.

        Returns:
            Store timestamp of the last message in the last full file; None when none became full.

        Raises:
            OSError: The disk failed; they are tried again next time.
            IndexError: There is no last file any more.
        """
        full, self._unsynced_full = self._unsynced_full, []
        try:
            for file in full:
                file.file.sync()
            if with_last:
                self._files[-1].file.sync()
        except (OSError, IndexError):
            self._unsynced_full = full + self._unsynced_full
            raise
        return full[-1].end_timestamp if full else None

    def take_expired(self, physical_offset_min: int) -> list[Path]:
        """Let go of files that know only records below an offset, never of the last; the caller deletes them."""
        expired: list[Path] = []
        while len(self._files) > 1 and self._files[0].end_offset < physical_offset_min:
            file = self._files.pop(0).file
            self._budget.forget(file)
            file.unmap()
            expired.append(file.path)
        return expired

    def unmap(self) -> None:
        """Give all mappings back."""
        for file in self._files:
            self._budget.forget(file.file)
            file.file.unmap()


def _index_paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_file())
    return [folder / name for name in sorted(names) if name.isascii() and name.isdecimal()]


def _time_name(now_ms: int) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(now_ms / 1000)) + f"{now_ms % 1000:03d}"
