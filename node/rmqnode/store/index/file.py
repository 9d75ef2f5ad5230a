"""One index file: a hash table from keys to physical offsets, entries in order of arrival.

    0 begin timestamp i64 | 8 end timestamp i64 | 16 begin physical offset i64 | 24 end physical offset i64
    32 hash slot count i32 | 36 index count i32
    40 slots, i32 each: number of the newest entry, 0 for none
    40 + 4 · slots: entries from number 0, of which 0 is never used
       0 key hash i32 | 4 physical offset i64 | 12 seconds since begin i32 | 16 previous entry of the slot i32

Which keys a message has, and when there is a next file, is `message_index`'s.

Entries never change once written, and each carries what its slot held before: so the table can be brought back to any
earlier number of entries exactly, which is how a crash in the middle of writing is met.

Source: IndexFile, IndexHeader (RocketMQ 4.5.2). Differs: the head is written once a batch, not with every entry.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from sys import byteorder
from typing import Final

from rmqnode.store.mapped_file import MappedFile

HEAD: Final = Struct(">qqqqii")
HEAD_SIZE: Final = 40
assert HEAD.size == HEAD_SIZE

ENTRY: Final = Struct(">iqii")
ENTRY_SIZE: Final = 20
assert ENTRY.size == ENTRY_SIZE

SLOT: Final = Struct(">i")
SLOT_SIZE: Final = 4

NAME_DIGITS: Final = 17
"""A file is named by the local time of its creation, yyyyMMddHHmmssSSS."""

RESERVE_STEP: Final = 1 << 20
"""Disk space for entries is reserved in steps of this many bytes; that of all slots is at the file's creation."""

NewEntry = tuple[int, int, int]
"""Key hash, physical offset, store timestamp in milliseconds."""

_NO_ENTRY: Final = bytes(ENTRY_SIZE)
_SECONDS_MAX: Final = 2**31 - 1

_slot_at: Final = SLOT.unpack_from
_write_slot: Final = SLOT.pack_into
_write_entry: Final = ENTRY.pack_into


def file_size(slot_count: int, entry_count_max: int) -> int:
    """Length of an index file, in bytes."""
    return HEAD_SIZE + SLOT_SIZE * slot_count + ENTRY_SIZE * entry_count_max


def seconds_since(begin: int, store_timestamp: int) -> int:
    """The time of an entry as it is stored, from two times in milliseconds; 0 in a file that has no begin yet."""
    return min(max((store_timestamp - begin) // 1000, 0), _SECONDS_MAX) if begin > 0 else 0


class IndexFile:
    """One file. `count` is Apache's: the number of entries and 1 more, that is the number of the next entry."""

    __slots__ = (
        "_entries_at", "_limit", "_slot_count", "begin_offset", "begin_timestamp", "count", "count_max", "end_offset",
        "end_timestamp", "file",
    )  # fmt: skip

    def __init__(self, path: Path, slot_count: int, entry_count_max: int) -> None:
        self.file = MappedFile(path, 0, file_size(slot_count, entry_count_max))
        self._slot_count = slot_count
        self._entries_at = HEAD_SIZE + SLOT_SIZE * slot_count
        self._limit = 0
        self.count_max = entry_count_max
        self.count = 1
        self.begin_timestamp = self.end_timestamp = 0
        self.begin_offset = self.end_offset = 0

    @classmethod
    def create(cls, path: Path, slot_count: int, entry_count_max: int, previous: "IndexFile | None") -> "IndexFile":
        """Create an empty file; its head goes on where the previous file ended.

        Raises:
            OSError: The disk is full or refuses the file; nothing is left behind.
        """
        created = cls(path, slot_count, entry_count_max)
        created.file = MappedFile.create(path, 0, created.file.size_bytes)
        if previous is not None:
            created.begin_timestamp = created.end_timestamp = max(0, previous.end_timestamp)
            created.begin_offset = created.end_offset = max(0, previous.end_offset)
        try:
            created.file.reserve(0, created._entries_at)
            created.write_head()
        except OSError:
            created.file.delete()
            raise
        created.file.expect_appends()
        return created

    @property
    def name(self) -> int:
        """The file's name as a number: a later file has a higher one."""
        return int(self.file.path.name)

    # --- writing -------------------------------------------------------------------------------------------------

    def put(self, entries: Sequence[NewEntry]) -> None:
        """Add entries; the caller has seen that they fit (`room`) and calls `write_head` later.

        Raises:
            OSError: The disk is full; nothing has changed.
        """
        number = self.count
        if number + len(entries) > self._limit:
            self._reserve(number, len(entries))
        if number == 1 and entries:
            self._put_first(entries[0])
            entries = entries[1:]
            number = 2
        mapping = self.file.mapping
        slot_count = self._slot_count
        position = self._entries_at + ENTRY_SIZE * number
        begin = self.begin_timestamp
        seconds = last_timestamp = 0
        for key_hash, physical_offset, store_timestamp in entries:
            if store_timestamp != last_timestamp:
                seconds = seconds_since(begin, store_timestamp)
                last_timestamp = store_timestamp
            slot_at = HEAD_SIZE + SLOT_SIZE * (key_hash % slot_count)
            (previous,) = _slot_at(mapping, slot_at)
            if not 0 <= previous <= number:
                previous = 0
            _write_entry(mapping, position, key_hash, physical_offset, seconds, previous)
            _write_slot(mapping, slot_at, number)
            number += 1
            position += ENTRY_SIZE
        if entries:
            _, self.end_offset, self.end_timestamp = entries[-1]
            self.count = number

    def _put_first(self, entry: NewEntry) -> None:
        """The first entry sets the head's begin; its own time still counts from where the previous file ended."""
        key_hash, physical_offset, store_timestamp = entry
        seconds = seconds_since(self.begin_timestamp, store_timestamp)
        mapping = self.file.mapping
        _write_entry(mapping, self._entries_at + ENTRY_SIZE, key_hash, physical_offset, seconds, 0)
        _write_slot(mapping, HEAD_SIZE + SLOT_SIZE * (key_hash % self._slot_count), 1)
        self.begin_offset = self.end_offset = physical_offset
        self.begin_timestamp = self.end_timestamp = store_timestamp
        self.count = 2

    @property
    def room(self) -> int:
        """How many entries still fit."""
        return self.count_max - self.count

    def _reserve(self, number: int, count: int) -> None:
        position = self._entries_at + ENTRY_SIZE * number
        reserved = self.file.reserve(position, max(RESERVE_STEP, ENTRY_SIZE * count))
        self._limit = (reserved - self._entries_at) // ENTRY_SIZE

    def write_head(self) -> None:
        """Let the file say what it holds."""
        # 4.5.2 counts every entry as a slot.
        HEAD.pack_into(
            self.file.mapping, 0, self.begin_timestamp, self.end_timestamp, self.begin_offset, self.end_offset,
            self.count - 1, self.count,
        )  # fmt: skip

    # --- reading -------------------------------------------------------------------------------------------------

    def load(self) -> bool:
        """Read the head; False when it cannot be one."""
        (self.begin_timestamp, self.end_timestamp, self.begin_offset, self.end_offset, _, count) = HEAD.unpack(
            self.file.peek(0, HEAD_SIZE)
        )
        self.count = max(count, 1)
        # Offsets only: a clock may have been set back.
        return 0 <= self.begin_offset <= self.end_offset and self.count <= self.count_max

    def entry(self, number: int) -> tuple[int, int, int, int]:
        """Key hash, physical offset, seconds, previous entry of an entry."""
        return ENTRY.unpack(self.file.peek(self._entries_at + ENTRY_SIZE * number, ENTRY_SIZE))

    def entries(self) -> Iterator[tuple[int, int, int, int]]:
        """All entries from number 1 on."""
        end = self._entries_at + ENTRY_SIZE * self.count
        return ENTRY.iter_unpack(self.file.view[self._entries_at + ENTRY_SIZE : end])

    def slot(self, slot: int) -> int:
        """What a slot holds."""
        (number,) = SLOT.unpack(self.file.peek(HEAD_SIZE + SLOT_SIZE * slot, SLOT_SIZE))
        return int(number)

    def covers(self, begin: int, end: int) -> bool:
        """Whether the file may hold entries of a time. Source: IndexFile#isTimeMatched."""
        return begin <= self.end_timestamp and end >= self.begin_timestamp

    def find(self, key_hash: int, count_max: int, begin: int, end: int) -> list[int]:
        """Physical offsets of the newest entries with a hash and a time (±1 s); other keys may have the same hash.

        Source: IndexFile#selectPhyOffset.
        """
        found: list[int] = []
        view = self.file.view
        (number,) = _slot_at(view, HEAD_SIZE + SLOT_SIZE * (key_hash % self._slot_count))
        before = self.count
        # Only ever backwards: a damaged chain ends, it never goes round.
        while 0 < number < before and len(found) < count_max:
            entry_hash, physical_offset, seconds, previous = ENTRY.unpack_from(
                view, self._entries_at + ENTRY_SIZE * number
            )
            timestamp = self.begin_timestamp + 1000 * seconds
            if seconds < 0:
                break
            if entry_hash == key_hash and begin <= timestamp <= end:
                found.append(physical_offset)
            if timestamp < begin:
                break
            before, number = number, previous
        return found

    def count_below(self, physical_offset: int) -> int:
        """Number of the first entry whose record does not begin below a physical offset."""
        low, high = 1, self.count
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.entry(middle)[1] < physical_offset else (low, middle)
        return low

    # --- going back ----------------------------------------------------------------------------------------------

    def cut(self, count: int, end_timestamp: int) -> None:
        """Remove every entry from number `count` on, as if it had never been written.

        Args:
            count: At least 1.
            end_timestamp: Store timestamp of the last record that stays, which entries know by the second only.
        """
        self.count = count
        self._undo_later_entries()
        self._repair_slots()
        self.file.zero_from(self._entries_at + ENTRY_SIZE * count)
        self._limit = 0
        if count > 1:
            self.end_offset = self.entry(count - 1)[1]
            self.end_timestamp = end_timestamp
        else:
            self.end_offset, self.end_timestamp = self.begin_offset, self.begin_timestamp
        self.write_head()

    def _undo_later_entries(self) -> None:
        """Give the slots back what they held before the entries from `count` on, newest first."""
        mapping = self.file.mapping
        later: list[tuple[int, int]] = []
        for number in range(self.count, self.count_max):
            entry = mapping[self._entries_at + ENTRY_SIZE * number : self._entries_at + ENTRY_SIZE * (number + 1)]
            if entry == _NO_ENTRY:
                break
            key_hash, _, _, previous = ENTRY.unpack(entry)
            later.append((HEAD_SIZE + SLOT_SIZE * (key_hash % self._slot_count), previous))
        for index in reversed(range(len(later))):
            slot_at, previous = later[index]
            if _slot_at(mapping, slot_at) == (self.count + index,):
                _write_slot(mapping, slot_at, previous)

    def _repair_slots(self) -> None:
        """Set the slots right that lead behind the last entry: an entry that knew better never reached the disk."""
        wrong = {slot for slot, _ in self.slots(self.count)}
        if not wrong:
            return
        right = dict.fromkeys(wrong, 0)
        for number, (key_hash, _, _, _) in enumerate(self.entries(), 1):
            slot = key_hash % self._slot_count
            if slot in wrong:
                right[slot] = number
        for slot, number in right.items():
            _write_slot(self.file.mapping, HEAD_SIZE + SLOT_SIZE * slot, number)

    def slots(self, number_min: int = 1) -> Iterator[tuple[int, int]]:
        """Slots that hold a number from `number_min` on, or one below 0, with what they hold."""
        for position, piece in self.file.content(HEAD_SIZE, self._entries_at):
            numbers = array("i", piece[: len(piece) - len(piece) % SLOT_SIZE])
            if byteorder == "little":
                numbers.byteswap()
            if max(numbers, default=0) < number_min and min(numbers, default=0) >= 0:
                continue
            first = (position - HEAD_SIZE) // SLOT_SIZE
            for index, number in enumerate(numbers):
                if number >= number_min or number < 0:
                    yield first + index, number
