"""Compares the index files of a store with the records of its log, one after the other; part of `verify`.

Entries lie in the order of the log, so both are walked side by side. Only the first difference is told: behind it the
two are out of step, and the whole index is built anew anyway.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rmqnode.store.damage import Extent
from rmqnode.store.index.file import ENTRY_SIZE, HEAD_SIZE, SLOT_SIZE, IndexFile, seconds_since
from rmqnode.store.index.key_hash import KeyHasher
from rmqnode.store.options import StoreOptions
from rmqnode.store.record import ScannedRecord


class _Entry(NamedTuple):
    file: IndexFile
    number: int
    position: int
    key_hash: int
    physical_offset: int
    seconds: int
    begin_timestamp: int | None
    """What the seconds count from; None when nothing tells."""

    @property
    def path(self) -> Path:
        return self.file.file.path


Difference = tuple[Path, int, str]
"""File, position, what is wrong."""


class IndexCheck:
    """Takes the records of a store in order; `finish` says what is wrong.

    Args:
        options: Of the store.
        extents: Damaged stretches of the log, in order, as far as it was walked; entries lead into them rightly.
        was_stopped: The broker stopped cleanly. Otherwise it completes the index at its next start.
    """

    def __init__(self, options: StoreOptions, extents: Sequence[Extent], *, was_stopped: bool) -> None:
        self._options = options
        self._extents = extents
        self._was_stopped = was_stopped
        self._hasher = KeyHasher()
        self._difference: Difference | None = None
        self._files = self._load()
        self._entries = self._walk()
        self._next = next(self._entries, None)
        self._first_offset = self._last_offset = -1
        self._lags_from: int | None = None
        self.notes: list[str] = []

    @property
    def is_damaged(self) -> bool:
        """Whether the index has to be built anew."""
        return self._difference is not None

    def expect(self, record: ScannedRecord, physical_offset: int) -> None:
        """Compare the entries of the next record."""
        if self._first_offset < 0:
            self._first_offset = physical_offset
        if self._difference is not None or self._lags_from is not None:
            return
        sizes = bytes((len(record.topic),)), len(record.properties).to_bytes(2, "big")
        hashes = self._hasher.hashes(sizes[0] + record.topic + sizes[1] + record.properties)
        if not hashes:
            return
        self._skip_below(physical_offset)
        for key_hash in hashes:
            entry = self._next
            if entry is None:
                self._lags_from = self._lags_from if self._lags_from is not None else physical_offset
                return
            if (entry.physical_offset, entry.key_hash) != (physical_offset, key_hash):
                self._differ(entry.path, entry.position, f"no entry of the record at physical offset {physical_offset}")
                return
            self._check_times(entry, record.store_timestamp)
            self._advance()
        self._last_offset = physical_offset

    def _check_times(self, entry: _Entry, store_timestamp: int) -> None:
        """Compare what an entry, and the head of its file for the first and the last one, say of a record's time."""
        file = entry.file
        if entry.number == 1 and file.begin_timestamp != store_timestamp:
            what = f"the file begins at {file.begin_timestamp}, its first message was stored at {store_timestamp}"
            self._differ(entry.path, 0, what)
        is_last = entry.number == file.count - 1
        if is_last and self._was_stopped and file.end_timestamp != store_timestamp:
            what = f"the file ends at {file.end_timestamp}, its last message was stored at {store_timestamp}"
            self._differ(entry.path, 8, what)
        # Nothing was deleted yet of a log that begins at 0: then there was no file before the first one.
        begin = 0 if entry.begin_timestamp is None and self._first_offset == 0 else entry.begin_timestamp
        if begin is None:
            return
        expected = seconds_since(begin, store_timestamp)
        if entry.seconds != expected:
            what = f"entry {entry.number} is of second {entry.seconds}, its message of second {expected}"
            self._differ(entry.path, entry.position + 12, what)

    def finish(self, end_offset: int) -> Iterator[Difference]:
        """Yield what is wrong, once all records were seen. `end_offset`: physical offset where the log ends."""
        if self._difference is None:
            self._skip_below(end_offset)
        if self._difference is None and self._next is not None:
            what = f"an entry leads to physical offset {self._next.physical_offset}, the log ends at {end_offset}"
            self._differ(self._next.path, self._next.position, what)
        if self._difference is None and self._lags_from is not None:
            what = f"the index lacks the messages from physical offset {self._lags_from} on"
            if not self._was_stopped or not self._files:
                self.notes.append(f"{what}: the next start completes it")
            else:
                self._differ(self._files[-1].file.path, 36, what)
        if self._difference is not None:
            yield self._difference

    def _skip_below(self, physical_offset: int) -> None:
        """Pass over entries of records that were deleted, and second ones that Apache writes after a crash."""
        while self._next is not None and self._next.physical_offset < physical_offset:
            offset = self._next.physical_offset
            if self._last_offset not in (-1, offset) and not self._is_damaged_at(offset):
                what = f"an entry leads to physical offset {self._next.physical_offset}, where no such key is"
                self._differ(self._next.path, self._next.position, what)
                return
            self._advance()

    def _is_damaged_at(self, physical_offset: int) -> bool:
        nearest = bisect_right(self._extents, physical_offset, key=lambda extent: extent.begin) - 1
        return nearest >= 0 and physical_offset < self._extents[nearest].end

    def _advance(self) -> None:
        self._next = next(self._entries, None)

    def _differ(self, path: Path, position: int, what: str) -> None:
        if self._difference is None:
            self._difference = (path, position, what)

    # --- the files by themselves ---------------------------------------------------------------------------------

    def _load(self) -> list[IndexFile]:
        folder = self._options.index_dir
        slots, entries = self._options.index_slot_count, self._options.index_entry_count_max
        paths = sorted(path for path in folder.glob("*") if path.name.isdecimal() and path.is_file())
        files = [IndexFile(path, slots, entries) for path in paths]
        for position, file in enumerate(files):
            size = file.file.path.stat().st_size
            if size != file.file.size_bytes:
                self._differ(file.file.path, 0, f"has {size} bytes, expected were {file.file.size_bytes}")
                return files[:position]
            if not file.load():
                self._differ(file.file.path, 0, "the head cannot be one")
                return files[:position]
        return files

    def _walk(self) -> Iterator[_Entry]:
        """All entries in order; each file is checked by itself on the way."""
        entries_at = HEAD_SIZE + SLOT_SIZE * self._options.index_slot_count
        previous_file: IndexFile | None = None
        for file in self._files:
            newest: dict[int, int] = {}
            # The first entry counts from where the file before ended, which may have been deleted since.
            begin = previous_file.end_timestamp if previous_file is not None else None
            last_offset = file.begin_offset
            for number, (key_hash, physical_offset, seconds, previous) in enumerate(file.entries(), 1):
                slot = key_hash % self._options.index_slot_count
                position = entries_at + ENTRY_SIZE * number
                if previous != newest.get(slot, 0):
                    expected = newest.get(slot, 0)
                    what = f"entry {number} names entry {previous} as the one before, which is {expected}"
                    self._differ(file.file.path, position, what)
                    return
                newest[slot] = number
                if number == 1 and physical_offset != file.begin_offset:
                    self._differ(
                        file.file.path, 16, f"the file begins with offset {physical_offset}, not as its head says"
                    )
                    return
                last_offset = physical_offset
                yield _Entry(file, number, position, key_hash, physical_offset, seconds, begin)
                begin = file.begin_timestamp
            if not self._check_end(file, newest, last_offset):
                return
            previous_file = file

    def _check_end(self, file: IndexFile, newest: dict[int, int], last_offset: int) -> bool:
        """Compare head and slots with the entries, of which `newest` is the last one by slot."""
        if self._was_stopped and last_offset != file.end_offset:
            self._differ(file.file.path, 24, f"the file ends with offset {last_offset}, not as its head says")
            return False
        for slot, number in file.slots():
            if newest.pop(slot, 0) != number:
                self._differ(file.file.path, HEAD_SIZE + SLOT_SIZE * slot, f"slot {slot} leads to entry {number}")
                return False
        if newest:
            slot = min(newest)
            self._differ(file.file.path, HEAD_SIZE + SLOT_SIZE * slot, f"slot {slot} is empty")
            return False
        return not self._was_stopped or self._ends_with_zeros(file)

    def _ends_with_zeros(self, file: IndexFile) -> bool:
        end = HEAD_SIZE + SLOT_SIZE * self._options.index_slot_count + ENTRY_SIZE * file.count
        for position, piece in file.file.content(end, file.file.size_bytes):
            if any(piece):
                at = position + len(piece) - len(piece.lstrip(b"\0"))
                self._differ(file.file.path, at, f"bytes behind the last entry, which is number {file.count - 1}")
                return False
        return True
