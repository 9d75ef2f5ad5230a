"""A stream of bytes over files of one size: finding, creating, cutting and deleting them. No format knowledge.

Files are contiguous, named by the offset of their first byte; the stream need not begin at 0.
Source: MappedFileQueue (RocketMQ 4.5.2). Differs: a last file of length 0 (stopped while creating it) is deleted.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rmqnode.store.errors import StoreFileMismatch
from rmqnode.store.mapped_file import FILE_NAME_DIGITS, MappedFile

OFFSET_MAX: Final = (1 << 63) - 1
"""Offsets are 64-bit integers with a sign, in Java and for the operating system."""


class MappedFileQueue:
    """The files of one folder, oldest first."""

    __slots__ = ("_empty_path", "directory", "file_size", "files", "had_empty_file")

    def __init__(self, directory: Path, file_size: int) -> None:
        self.directory = directory
        self.file_size = file_size
        self.files: list[MappedFile] = []
        self._empty_path: Path | None = None
        self.had_empty_file = False
        """Whether `load` deleted a last file of length 0: its creation was interrupted, or its content is lost."""

    def load(self, *, repairs: bool = True, keeps_empty: bool = False) -> None:
        """Find the files on disk; maps nothing. Changes nothing either unless it `repairs`.

        Args:
            repairs: Take a last file of length 0 for none, and delete it.
            keeps_empty: Leave its deletion to `drop_empty_file`.

        Raises:
            StoreFileMismatch: A foreign entry, a wrong length or a gap, all of which Apache's broker refuses too.
        """
        try:
            found = sorted(os.scandir(self.directory), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        if repairs and found and _is_stream_file(found[-1]) and found[-1].stat().st_size == 0:
            self._empty_path = Path(found.pop().path)
            self.had_empty_file = True
            if not keeps_empty:
                self.drop_empty_file()
        self.files = []
        for entry in found:
            self.files.append(self._checked(entry, is_last=entry is found[-1]))

    def drop_empty_file(self) -> None:
        """Delete the file of length 0 that `load` has left."""
        if self._empty_path is not None:
            self._empty_path.unlink(missing_ok=True)
            self._empty_path = None

    def extend_last(self, path: Path) -> None:
        """Give a last file that was cut short its length back, with zeros, and load again."""
        os.truncate(path, self.file_size)
        self.load()

    def _checked(self, entry: os.DirEntry[str], *, is_last: bool) -> MappedFile:
        path = Path(entry.path)
        if not _is_stream_file(entry):
            raise StoreFileMismatch(path, "does not belong here; move it away")
        if entry.is_symlink():
            raise StoreFileMismatch(path, "is a link, which is not followed here; put the file in its place")
        size = entry.stat().st_size
        if size != self.file_size:
            problem = f"has {size} bytes, the configured file size is {self.file_size}"
            raise StoreFileMismatch(path, problem, is_cut_short=is_last and size < self.file_size)
        base_offset = int(entry.name)
        if base_offset % self.file_size or base_offset + self.file_size > OFFSET_MAX:
            raise StoreFileMismatch(path, "has a name that no file of this size has; move it away")
        if self.files and base_offset != self.files[-1].base_offset + self.file_size:
            problem = f"does not continue {self.files[-1].path.name}: a file is missing"
            raise StoreFileMismatch(path, problem, is_gap=base_offset > self.files[-1].base_offset)
        return MappedFile(path, base_offset, size)

    @property
    def first_offset(self) -> int:
        """Offset of the first byte of the first file; 0 without files."""
        return self.files[0].base_offset if self.files else 0

    def find(self, offset: int) -> MappedFile | None:
        """The file that holds this offset; safe while another thread appends or removes a file."""
        files = self.files
        if not files or offset < files[0].base_offset:
            return None
        index = (offset - files[0].base_offset) // self.file_size
        return files[index] if index < len(files) else None

    def between(self, start: int, end: int) -> Iterator[MappedFile]:
        """Files that hold any byte of `start` … `end`; safe while another thread appends a file."""
        for file in list(self.files):
            if file.base_offset < end and file.base_offset + self.file_size > start:
                yield file

    def append_file(self, start_offset: int) -> MappedFile:
        """Create the file behind the last one, or the one that holds `start_offset` when there is none.

        Raises:
            OSError: Nothing was created.
        """
        path, base_offset = self.next_place(start_offset)
        file = MappedFile.create(path, base_offset, self.file_size)
        self.files.append(file)
        return file

    def next_place(self, start_offset: int) -> tuple[Path, int]:
        """Path and first offset of the file behind the last one, or that holds `start_offset` when there is none."""
        if self.files:
            base_offset = self.files[-1].base_offset + self.file_size
        else:
            base_offset = start_offset - start_offset % self.file_size
        return self.directory / f"{base_offset:0{FILE_NAME_DIGITS}d}", base_offset

    def cut(self, end: int) -> int:
        """Remove everything from `end` on: later files go, the rest of the last one becomes zeros.

        A file that begins exactly at `end` stays, empty. Returns how many bytes of content were removed.
        """
        lost_bytes = 0
        while self.files and self.files[-1].base_offset > end:
            file = self.files.pop()
            lost_bytes += file.zero_from(0)
            file.delete()
        file_at_end = self.find(end)
        if file_at_end is not None:
            position = end - file_at_end.base_offset
            lost_bytes += file_at_end.zero_from(position) - position
        return lost_bytes

    def take_behind(self, end: int) -> list[MappedFile]:
        """Remove the files that begin behind an offset from the stream, not from the disk; newest first."""
        taken: list[MappedFile] = []
        while self.files and self.files[-1].base_offset > end:
            taken.append(self.files.pop())
        return taken

    def take_first(self) -> MappedFile:
        """Remove the oldest file from the stream, not from the disk; who looks for it elsewhere finds it gone.

        The list is replaced, not changed: another thread may be looking something up in it.
        """
        first, *others = self.files
        self.files = others
        return first

    def delete_all(self) -> None:
        """Delete every file, newest first, and the folder if it is empty then."""
        while self.files:
            self.files.pop().delete()
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()


def _is_stream_file(entry: os.DirEntry[str]) -> bool:
    is_offset = len(entry.name) == FILE_NAME_DIGITS and entry.name.isascii() and entry.name.isdecimal()
    return is_offset and entry.is_file()
