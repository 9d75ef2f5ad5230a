"""Units of consume queues that wait in memory for room on the disk, so that a store opens on a full one.

After a crash every record has to have its unit before a message can be read. Where the disk has no space for a unit,
the file that it belongs in gets a stand-in: an anonymous mapping with the content of the file as it is. The file on the
disk stays as the recovery cut it, and whoever opens the store next completes it from the commit log. Nothing is ever
written back from a stand-in, so nothing of it can be wrong later.

A store with stand-ins takes no messages, and nothing in it counts as flushed.
"""

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rmqnode.store.disk import DISK_FULL
from rmqnode.store.mapped_file import PIECE_SIZE, MappedFile
from rmqnode.store.mapped_file_queue import MappedFileQueue

STAND_IN_BYTES_MAX: Final = 64 << 20
"""Memory for all of them: the units of three million messages. A store that needs more does not open."""


class StandInFile(MappedFile):
    """A file of units in memory, in the place of one that could not grow or be made.

    Args:
        path: Of the file on the disk, which may exist.
        base_offset: As of that file.
        size_bytes: As of that file.
        budget: Where its memory is counted.
    """

    __slots__ = ("_budget", "_counted_to")

    def __init__(self, path: Path, base_offset: int, size_bytes: int, budget: "StandIns") -> None:
        super().__init__(path, base_offset, size_bytes)
        self._budget = budget
        self._counted_to = 0
        # Pages that nobody touches cost nothing.
        self._mapping = mmap.mmap(-1, size_bytes)
        self._view = memoryview(self._mapping).toreadonly()

    def fill_from(self, file: MappedFile) -> None:
        """Take the content of the file on the disk.

        Raises:
            OSError: There is no memory left for stand-ins.
        """
        for position, piece in file.content(0, file.size_bytes):
            self.reserve(position, len(piece))
            self.mapping[position : position + len(piece)] = piece

    def reserve(self, position: int, count_bytes: int) -> int:
        """As of the file, with memory instead of disk space."""
        end = min(position + count_bytes, self.size_bytes)
        if end > self._counted_to:
            self._budget.count(end - max(position, self._counted_to), self.path)
            self._counted_to = end
        return end

    def unmap(self) -> None:
        """Nothing: what is not on the disk must stay."""

    def sync(self) -> None:
        """Nothing: it never gets to the disk."""

    def expect_appends(self) -> None:
        """Nothing: no disk is read."""

    def expect_scans(self) -> None:
        """Nothing: no disk is read."""

    def keep_open(self) -> None:
        """Nothing: there is no descriptor."""

    def content(self, position: int, end: int) -> Iterator[tuple[int, bytes]]:
        """As of the file, with its holes as zeros."""
        for begin in range(position, end, PIECE_SIZE):
            yield begin, self.mapping[begin : min(begin + PIECE_SIZE, end)]

    def zero_from(self, position: int) -> int:
        """As of the file."""
        content = self.mapping[position:].rstrip(b"\0")
        self.mapping[position : position + len(content)] = bytes(len(content))
        return position + len(content)


class StandIns:
    """The stand-ins of one store."""

    def __init__(self, bytes_max: int = STAND_IN_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._is_allowed = False
        self.bytes_used = 0
        """How much disk space is missing for what they hold."""
        self.is_any = False
        """Whether any was needed."""

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let files have stand-ins until the end of this block: that of a recovery."""
        self._is_allowed = True
        try:
            yield
        finally:
            self._is_allowed = False

    def replace(self, files: MappedFileQueue, position: int, error: OSError) -> MappedFile:
        """Put a stand-in into the place of the file that holds a position, or behind the last one.

        Raises:
            OSError: The error itself, when it is of another kind, or stand-ins are not allowed now.
        """
        if not self._is_allowed or error.errno not in DISK_FULL:
            raise error
        file = files.find(position)
        if isinstance(file, StandInFile):
            # Its memory is used up.
            raise error
        self.is_any = True
        if file is None:
            path, base_offset = files.next_place(position)
            stand_in = StandInFile(path, base_offset, files.file_size, self)
            files.files.append(stand_in)
            return stand_in
        stand_in = StandInFile(file.path, file.base_offset, file.size_bytes, self)
        stand_in.fill_from(file)
        files.files[files.files.index(file)] = stand_in
        file.unmap()
        return stand_in

    def count(self, size_bytes: int, path: Path) -> None:
        """Note memory that is used.

        Raises:
            OSError: It would be too much.
        """
        if self.bytes_used + size_bytes > self._bytes_max:
            raise OSError(
                errno.ENOSPC,
                f"{os.strerror(errno.ENOSPC)}, and the consume queues lack more than"
                f" {self._bytes_max >> 20} MiB, which memory cannot stand in for",
                str(path),
            )
        self.bytes_used += size_bytes
