"""One file of a stream: full length at once, sparse, mapped when first used, synced without `mmap.flush()`.

Knows bytes and positions only; what they mean belongs to `commit_log` and `consume_queue`.

`mmap.flush()` keeps the interpreter lock for the whole write-back (179 ms seen), `os.fdatasync` does not, and on
Linux it writes the pages that were changed through a mapping as well.
Mappings are never closed by hand: readers hold slices of them, and the last slice that goes unmaps the file.
"""

import errno
import mmap
import os
from pathlib import Path
from typing import Final, Protocol

FILE_NAME_DIGITS: Final = 20
ZERO_CHUNK: Final = bytes(1 << 20)

_CANNOT_RESERVE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV})
"""The file system has no reservation; a full disk is then found out by Apache's rule only (the disk ratio)."""


class Unmappable(Protocol):
    """Something that can give its mappings back and take them again when used."""

    def unmap(self) -> None:
        """Drop all mappings; safe at any time."""


class MappingBudget:
    """Bounds how many holders are mapped at once, because Python's mmap keeps a descriptor for each.

    The holder that was mapped first goes first; use is not tracked, since that would cost every put and get.
    """

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._holders: dict[Unmappable, None] = {}

    def hold(self, holder: Unmappable) -> None:
        """Note that a holder has mapped something; may unmap the one that has been mapped longest."""
        if holder in self._holders:
            return
        if len(self._holders) >= self._count_max:
            oldest = next(iter(self._holders))
            del self._holders[oldest]
            oldest.unmap()
        self._holders[holder] = None

    def forget(self, holder: Unmappable) -> None:
        """Note that a holder has nothing mapped any more."""
        self._holders.pop(holder, None)


class MappedFile:
    """A file that holds the bytes `base_offset` … `base_offset + size_bytes` of a stream."""

    __slots__ = ("_descriptor", "_mapping", "_view", "base_offset", "path", "size_bytes")

    def __init__(self, path: Path, base_offset: int, size_bytes: int) -> None:
        self.path = path
        self.base_offset = base_offset
        self.size_bytes = size_bytes
        self._mapping: mmap.mmap | None = None
        self._view: memoryview | None = None
        self._descriptor = -1

    @classmethod
    def create(cls, directory: Path, base_offset: int, size_bytes: int) -> "MappedFile":
        """Create the file in its full length; an error leaves nothing behind."""
        path = directory / f"{base_offset:0{FILE_NAME_DIGITS}d}"
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, size_bytes)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        return cls(path, base_offset, size_bytes)

    @property
    def mapping(self) -> mmap.mmap:
        """The writable mapping, made on first use."""
        if self._mapping is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._mapping = mmap.mmap(descriptor, self.size_bytes)
            finally:
                os.close(descriptor)
        return self._mapping

    @property
    def view(self) -> memoryview:
        """A read-only view of the whole file; slices of it stay valid after `unmap` and `delete`."""
        if self._view is None:
            self._view = memoryview(self.mapping).toreadonly()
        return self._view

    @property
    def is_mapped(self) -> bool:
        """Whether the file is mapped now."""
        return self._mapping is not None

    def unmap(self) -> None:
        """Forget the mapping; it goes when the last slice of it has gone."""
        self._view = None
        self._mapping = None

    def keep_open(self) -> None:
        """Hold a descriptor from now on, so that a failed write-back is reported to our next `sync`."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)

    def let_go(self) -> None:
        """Close the descriptor of `keep_open`."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def sync(self) -> None:
        """Bring every changed page to the disk; blocks, without the interpreter lock."""
        if self._descriptor >= 0:
            sync_data(self._descriptor)
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            sync_data(descriptor)
        finally:
            os.close(descriptor)

    def peek(self, position: int, size: int) -> bytes:
        """Read a few bytes without mapping the file."""
        view = self._view  # read once: another thread may unmap the file
        if view is not None:
            return bytes(view[position : position + size])
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size, position)
        finally:
            os.close(descriptor)

    def reserve(self, position: int, count_bytes: int) -> int:
        """Make the disk promise space for the bytes from `position` on; return where the promise ends.

        Without it a full disk would end the process with SIGBUS at the next touched page.

        Raises:
            OSError: The disk is full; nothing has changed.
        """
        end = min(position + count_bytes, self.size_bytes)
        if not hasattr(os, "posix_fallocate"):
            return self.size_bytes
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, position, end - position)
        except OSError as error:
            if error.errno in _CANNOT_RESERVE:
                return self.size_bytes
            raise
        finally:
            os.close(descriptor)
        return end

    def zero_from(self, position: int) -> int:
        """Overwrite everything from `position` on with zeros; return where the content that was lost ended.

        Holes stay holes, and the file never gets shorter: a shorter one would not open under Apache's broker.
        """
        end_of_content = position
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            while (position := _next_data(descriptor, position)) < self.size_bytes:
                chunk = os.pread(descriptor, min(len(ZERO_CHUNK), self.size_bytes - position), position)
                content = len(chunk.rstrip(b"\0"))
                if content:
                    os.pwrite(descriptor, ZERO_CHUNK[:content], position)
                    end_of_content = position + content
                position += len(chunk)
        finally:
            os.close(descriptor)
        return end_of_content

    def delete(self) -> None:
        """Remove the file from the disk; slices that readers hold stay valid."""
        self.unmap()
        self.let_go()
        self.path.unlink(missing_ok=True)


def sync_data(descriptor: int) -> None:
    """Bring the data of an open file to the disk; blocks, without the interpreter lock."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:  # macOS
        os.fsync(descriptor)


def _next_data(descriptor: int, position: int) -> int:
    """First position from here on that is not in a hole, or a very large number."""
    if not hasattr(os, "SEEK_DATA"):
        return position
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return 1 << 62
