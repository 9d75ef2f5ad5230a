"""The commit log: all records of all topics in order of arrival, over files of one size.

Rolls to the next file, keeps disk space reserved ahead, hands out slices, syncs. Encoding a record is the put's work
(`appending`), because a call and a copy more would cost as much as the rest of the put.

Threads: only the event loop's thread writes; `flush` may run in another one meanwhile. The put needs no lock: `flush`
reads `wrote_offset` once, and a put advances that only after all bytes are in place.

Source: CommitLog, MappedFileQueue (RocketMQ 4.5.2). Differs: no transient store pool; the next file is created
when it is needed and before the old one is closed, so a refused put leaves the log as it was.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Final

from rmqnode.files import open_below
from rmqnode.store.consume_queue import NO_MAPPING
from rmqnode.store.damage import Damage
from rmqnode.store.errors import ReplicaMismatch, StoreFileMismatch, StoreIncomplete
from rmqnode.store.mapped_file import FILE_NAME_DIGITS, MappedFile, MappingBudget
from rmqnode.store.mapped_file_queue import MappedFileQueue
from rmqnode.store.options import MIB
from rmqnode.store.record import (
    BLANK_HEAD,
    BLANK_MAGIC,
    BLANK_SIZE_MIN,
    MESSAGE_MAGIC,
    PHYSICAL_OFFSET_POSITION,
    RECORD_FIXED_SIZE,
    SIZE_AND_MAGIC,
    STORE_TIMESTAMP,
    STORE_TIMESTAMP_POSITION,
)

RESERVE_STEP: Final = 4 * MIB
"""Disk space is reserved in steps of this many bytes: about 20 000 small messages for one system call."""

HOLES_MAX: Final = 10_000
"""Files between the first and the last one of a log, when those that are missing are replaced by zeros."""

Window = tuple[memoryview, int, int]
"""Bytes of one log file, the physical offset of its first byte, the physical offset where readable bytes end."""


class CommitLog:
    """The log of one store.

    Four attributes are the hot path's: a put writes its record to `mapping` at `wrote_offset - base_offset` and then
    sets `wrote_offset`, as long as the record ends at or below `limit`; otherwise it calls `make_room` first.
    """

    __slots__ = (
        "_active", "_budget", "_files", "_flush_lock", "base_offset", "damage", "flushed_offset",
        "last_store_timestamp", "limit", "mapping", "replicated_to", "wrote_offset",
    )  # fmt: skip

    def __init__(self, directory: Path, file_size: int, budget: MappingBudget) -> None:
        self._files = MappedFileQueue(directory, file_size)
        self._budget = budget
        self._active: MappedFile | None = None
        self._flush_lock = Lock()
        self.mapping = NO_MAPPING
        self.base_offset = 0
        self.limit = -1
        self.wrote_offset = 0
        self.flushed_offset = 0
        self.last_store_timestamp = 0
        self.damage: Damage | None = None
        """Stretches where no record is to be read; None: nothing is known of any."""
        self.replicated_to: int | None = None
        """Of a log that receives a master's bytes: where the next record begins, which is not whole yet. Behind an end
        mark that is the next file, before all of this one is here. None: every record is whole.
        """

    # --- writing -------------------------------------------------------------------------------------------------

    def make_room(self, size: int) -> None:
        """Make the next `size` bytes writable in one file; moves on to the next file if this one is too short.

        Raises:
            OSError: The disk is full or refuses the file; the log is as before.
        """
        file = self._files.find(self.wrote_offset)
        if file is None:
            file = self._files.append_file(self.wrote_offset)
        needed = size + BLANK_SIZE_MIN
        if self.wrote_offset + needed > file.base_offset + file.size_bytes:
            self._roll(file, needed)
        else:
            self._activate(file, needed)

    def _activate(self, file: MappedFile, needed: int) -> None:
        position = max(self.wrote_offset - file.base_offset, 0)
        reserved = file.reserve(position, max(needed, RESERVE_STEP))
        file.keep_open()
        self.mapping = file.mapping
        if file is not self._active:
            file.expect_appends()
            self._active = file
            self._budget.forget(file)
        self.base_offset = file.base_offset
        self.limit = file.base_offset + reserved - BLANK_SIZE_MIN

    def _roll(self, file: MappedFile, needed: int) -> None:
        """Close a file with a blank record and go on at the start of the next one."""
        position = self.wrote_offset - file.base_offset
        file.reserve(position, BLANK_SIZE_MIN)
        following = self._files.find(file.base_offset + file.size_bytes) or self._files.append_file(0)
        self._activate(following, needed)
        BLANK_HEAD.pack_into(file.mapping, position, file.size_bytes - position, BLANK_MAGIC)
        self._budget.hold(file)
        file.expect_scans()
        self.wrote_offset = following.base_offset

    def begin_at(self, physical_offset: int) -> None:
        """Let a log without content begin at the start of another file.

        Raises:
            ReplicaMismatch: No file can begin there.
        """
        if physical_offset % self._files.file_size:
            problem = (
                f"the master's log begins at {physical_offset}, which is no multiple of our "
                f"{self._files.file_size} bytes per file (mappedFileSizeCommitLog)"
            )
            raise ReplicaMismatch(physical_offset, problem)
        self.deactivate()
        self._files.delete_all()
        self.wrote_offset = self.flushed_offset = physical_offset

    def append_raw(self, content: bytes | memoryview) -> None:
        """Append bytes of another log as they are, end marks included.

        Raises:
            ReplicaMismatch: They would cross the end of a file, which no master of this file size sends.
            OSError: The disk is full or refuses the file; nothing was written.
        """
        begin = self.wrote_offset
        end = begin + len(content)
        if end > self.next_file_offset(begin):
            file_size = self._files.file_size
            problem = f"the master's files are longer than our {file_size} bytes (mappedFileSizeCommitLog)"
            raise ReplicaMismatch(begin, problem)
        if self.limit < 0 or end > self.limit + BLANK_SIZE_MIN:
            previous = self._active
            file = self._files.find(begin) or self._files.append_file(begin)
            self._activate(file, len(content))
            if previous is not None and previous is not file:
                self._budget.hold(previous)
                previous.expect_scans()
        self.mapping[begin - self.base_offset : end - self.base_offset] = content
        self.wrote_offset = end

    def take_back(self, end: int) -> None:
        """Let the log end at an offset again: what was appended behind it is refused, and becomes zeros. May block."""
        with self._flush_lock:
            flushed = min(self.flushed_offset, end)
            self.cut(end)
            self.flushed_offset = flushed

    def flush(self) -> int:
        """Bring everything written so far to the disk; return up to which physical offset. Blocks.

        Raises:
            OSError: The disk failed; nothing counts as flushed.
        """
        with self._flush_lock:
            target = self.wrote_offset
            if self.flushed_offset >= target:
                return target
            active = self._active
            for file in self._files.between(self.flushed_offset, target):
                file.sync()
                if file is not active and file.base_offset + file.size_bytes <= target:
                    file.let_go()
            self.flushed_offset = target
            return target

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def dispatched_offset(self) -> int:
        """Physical offset up to which records are whole and have their units."""
        return self.wrote_offset if self.replicated_to is None else min(self.replicated_to, self.wrote_offset)

    @property
    def min_offset(self) -> int:
        """Physical offset of the first byte that is still there."""
        return self._files.first_offset

    def window(self, physical_offset: int) -> Window | None:
        """The readable bytes of the file that holds an offset; None when it is outside the log."""
        if not self.min_offset <= physical_offset < self.wrote_offset:
            return None
        file = self._files.find(physical_offset)
        if file is None:
            return None
        if file is not self._active:
            self._budget.hold(file)
        return file.view, file.base_offset, min(self.wrote_offset, file.base_offset + file.size_bytes)

    def slice(self, physical_offset: int, size: int) -> memoryview | None:
        """Bytes of the log; None unless all of them are readable in one file."""
        window = self.window(physical_offset)
        if window is None or size < 0 or physical_offset + size > window[2]:
            return None
        view, base_offset, _ = window
        return view[physical_offset - base_offset : physical_offset - base_offset + size]

    def record(self, physical_offset: int) -> memoryview | None:
        """The record that begins at an offset which may come from anywhere; None when there is none."""
        head = self.slice(physical_offset, RECORD_FIXED_SIZE)
        if head is None:
            return None
        size, magic = SIZE_AND_MAGIC.unpack_from(head)
        own_offset = int.from_bytes(head[PHYSICAL_OFFSET_POSITION : PHYSICAL_OFFSET_POSITION + 8], "big")
        if magic != MESSAGE_MAGIC or size < RECORD_FIXED_SIZE or own_offset != physical_offset:
            return None
        if self.damage is not None and self.damage.holds(physical_offset):
            return None
        return self.slice(physical_offset, size)

    def store_timestamp(self, physical_offset: int) -> int:
        """Store timestamp of the record at an offset, in milliseconds; -1 when there is none."""
        record = self.record(physical_offset)
        return -1 if record is None else int(STORE_TIMESTAMP.unpack_from(record, STORE_TIMESTAMP_POSITION)[0])

    def next_file_offset(self, physical_offset: int) -> int:
        """Physical offset where the file behind the one of `physical_offset` begins."""
        return physical_offset + self._files.file_size - physical_offset % self._files.file_size

    def pieces(self, physical_offset: int) -> Iterator[tuple[int, bytes]]:
        """The bytes of one file from an offset on, without its holes: physical offset and 1 MiB at most each time."""
        file = self._files.find(physical_offset)
        if file is not None:
            for position, piece in file.content(physical_offset - file.base_offset, file.size_bytes):
                yield file.base_offset + position, piece

    # --- opening and closing -------------------------------------------------------------------------------------

    def load(self, *, repairs: bool = True) -> None:
        """Find the files; every byte counts as written until recovery cuts the log. `repairs`: as of the files.

        A last file of length 0 is not deleted yet, see `drop_empty_file`.

        Raises:
            StoreIncomplete: A file between others is missing or was cut short.
            StoreFileMismatch: A file does not fit.
        """
        try:
            self._files.load(repairs=repairs, keeps_empty=True)
        except StoreFileMismatch as mismatch:
            # The only file, and of a size that somebody may have chosen: the configuration is wrong, not the file.
            is_chosen = not self._files.files and mismatch.path.stat().st_size % MIB == 0
            if repairs and (mismatch.is_gap or self._was_cut_short(mismatch.path)):
                raise StoreIncomplete(mismatch.path, mismatch.problem) from None
            if not repairs or not mismatch.is_cut_short or is_chosen:
                raise
            self._files.extend_last(mismatch.path)
        if self._files.files:
            self.wrote_offset = self._files.files[-1].base_offset + self._files.file_size

    def _was_cut_short(self, path: Path) -> bool:
        """Whether a file is too short that is not the last one, and others have the right size."""
        others = [each for each in path.parent.glob("[0-9]*") if each.is_file() and each != path]
        is_last = all(each.name < path.name for each in others)
        is_short = path.is_file() and path.stat().st_size < self._files.file_size
        return is_short and not is_last and any(each.stat().st_size == self._files.file_size for each in others)

    @property
    def had_empty_file(self) -> bool:
        """Whether `load` found a last file of length 0."""
        return self._files.had_empty_file

    def drop_empty_file(self) -> None:
        """Delete a last file of length 0: it was being made, or its content is lost, which is accepted."""
        self._files.drop_empty_file()

    def fill_holes(self) -> bool:
        """Put zeros where a file is missing between others or was cut short, before `load`; return whether one was.

        Raises:
            OSError: The disk is full or refuses.
        """
        size = self._files.file_size
        paths = {path.name: path for path in self._files.directory.glob("[0-9]*") if path.is_file()}
        offsets = sorted(int(name) for name in paths if name.isdecimal() and len(name) == FILE_NAME_DIGITS)
        holes = range(offsets[0], offsets[-1], size) if offsets else range(0)
        has_filled = False
        for offset in holes if len(holes) <= HOLES_MAX else ():
            path = self._files.directory / f"{offset:0{FILE_NAME_DIGITS}d}"
            if path.name not in paths or path.stat().st_size < size:
                has_filled = True
                with open(path, "ab", opener=open_below) as file:
                    file.truncate(size)
        return has_filled

    def show(self, files: list[MappedFile]) -> None:
        """Take files as a tool found them that only reads: the last one may be shorter than the others."""
        self._files.files = files
        self.wrote_offset = files[-1].base_offset + files[-1].size_bytes if files else 0

    def file_offsets(self) -> list[int]:
        """Physical offset of the first byte of each file, oldest first."""
        return [file.base_offset for file in self._files.files]

    def take_files_behind(self, end: int) -> list[MappedFile]:
        """Take the files that begin behind an offset out of the log, newest first; the caller moves or deletes them."""
        self.deactivate()
        taken = self._files.take_behind(end)
        if taken:
            self.wrote_offset = min(self.wrote_offset, taken[-1].base_offset)
        return taken

    def cut(self, end: int) -> int:
        """Let the log end at a physical offset; what lay behind becomes zeros. Returns the bytes of content lost."""
        self.deactivate()
        lost_bytes = self._files.cut(end)
        self.wrote_offset = self.flushed_offset = end
        return lost_bytes

    def find_gone(self) -> Path | None:
        """The file that is written, if it was deleted; may be called in another thread."""
        active = self._active
        return active.path if active is not None and active.is_deleted() else None

    def refuse_puts(self) -> None:
        """Let every put ask for room."""
        self.limit = -1

    def take_oldest_file(self, modified_before_ms: int | None) -> Path | None:
        """Take the oldest file out of the log; the caller deletes it. Slices of it that readers hold stay valid.

        Args:
            modified_before_ms: Only if it was last written by then (its modification time, as Apache's); None: always.

        Returns None when it is too young, the last one, or not on disk yet.
        """
        if len(self._files.files) < 2:
            return None
        oldest = self._files.files[0]
        if oldest is self._active or oldest.base_offset + oldest.size_bytes > self.flushed_offset:
            return None
        if modified_before_ms is not None and oldest.path.stat().st_mtime_ns > modified_before_ms * 1_000_000:
            return None
        self._files.take_first()
        self._budget.forget(oldest)
        oldest.unmap()
        oldest.let_go()
        return oldest.path

    def delete_unused_file(self) -> None:
        """Delete a file that was created for a put which then did not happen."""
        files = self._files.files
        if len(files) > 1 and files[-1].base_offset > self.wrote_offset:
            files.pop().delete()

    def deactivate(self) -> None:
        """Give all mappings and descriptors back; the next use makes them again."""
        self.limit = -1
        self.mapping = NO_MAPPING
        self._active = None
        for file in self._files.files:
            file.unmap()
            file.let_go()
            self._budget.forget(file)
