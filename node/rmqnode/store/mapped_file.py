"""One file of a stream: full length at once, sparse, mapped when first used, synced without `mmap.flush()`.

Knows bytes and positions only; what they mean belongs to `commit_log` and `consume_queue`.

`mmap.flush()` keeps the interpreter lock for the whole write-back (179 ms seen), `os.fdatasync` does not, and on
Linux it writes the pages that were changed through a mapping as well.
Mappings are never closed by hand: readers hold slices of them, and the last slice that goes unmaps the file.
"""

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from rmqnode.files import open_below
from rmqnode.store.disk import naming
from rmqnode.store.sync import sync_data, sync_folder

if TYPE_CHECKING:
    from rmqnode.store.stand_in import StandIns

FILE_NAME_DIGITS: Final = 20
PIECE_SIZE: Final = 1 << 20

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
        self.stand_ins: StandIns | None = None
        """Of a store that may open on a full disk: what holds units in memory for which the disk has no space."""

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

    __slots__ = ("_descriptor", "_is_new", "_mapping", "_view", "base_offset", "path", "size_bytes")

    def __init__(self, path: Path, base_offset: int, size_bytes: int) -> None:
        self.path = path
        self.base_offset = base_offset
        self.size_bytes = size_bytes
        self._mapping: mmap.mmap | None = None
        self._view: memoryview | None = None
        self._descriptor = -1
        self._is_new = False

    @classmethod
    def create(cls, path: Path, base_offset: int, size_bytes: int) -> "MappedFile":
        """Create the file in its full length; an error leaves nothing behind."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = open_below(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            with naming(path):
                os.ftruncate(descriptor, size_bytes)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        file = cls(path, base_offset, size_bytes)
        file._is_new = True
        return file

    @property
    def mapping(self) -> mmap.mmap:
        """The writable mapping, made on first use."""
        if self._mapping is None:
            descriptor = open_below(self.path, os.O_RDWR)
            try:
                self._mapping = mmap.mmap(descriptor, self.size_bytes)
            finally:
                os.close(descriptor)
        return self._mapping

    def expect_appends(self) -> None:
        """Map for writing at the end: a touched page is read alone, not with megabytes of holes read ahead of it.

        With a read-ahead of 8 MiB the first touch of a new queue file cost 7 ms without this.
        """
        self._advise("MADV_RANDOM")

    def expect_scans(self) -> None:
        """Map for reading in order: the kernel may read ahead again."""
        self._advise("MADV_NORMAL")

    def _advise(self, advice: str) -> None:
        if hasattr(mmap, advice):
            self.mapping.madvise(getattr(mmap, advice))

    @property
    def view(self) -> memoryview:
        """A read-only view of the whole file; slices of it stay valid after `unmap` and `delete`."""
        if self._view is None:
            self._view = memoryview(self.mapping).toreadonly()
        return self._view

    def unmap(self) -> None:
        """Forget the mapping; it goes when the last slice of it has gone."""
        self._view = None
        self._mapping = None

    def keep_open(self) -> None:
        """Hold a descriptor from now on, so that a failed write-back is reported to our next `sync`."""
        if self._descriptor < 0:
            self._descriptor = open_below(self.path, os.O_RDWR)

    def let_go(self) -> None:
        """Close the descriptor of `keep_open`."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def is_deleted(self) -> bool:
        """Whether the file that is held open has no name any more."""
        descriptor = self._descriptor
        try:
            return descriptor >= 0 and os.fstat(descriptor).st_nlink == 0
        except OSError:  # another thread has just closed it
            return False

    def sync(self) -> None:
        """Bring every changed page to the disk, and of a new file its name; blocks, without the interpreter lock.

        Raises:
            OSError: The disk failed, or the file was deleted: then nothing of it counts as kept.
        """
        if self._is_new:
            sync_folder(self.path.parent)
            self._is_new = False
        if self._descriptor >= 0:
            with naming(self.path):
                sync_data(self._descriptor)
            if self.is_deleted():
                raise FileNotFoundError(errno.ENOENT, "deleted while it is written", str(self.path))
            return
        descriptor = open_below(self.path, os.O_RDWR)
        try:
            with naming(self.path):
                sync_data(descriptor)
        finally:
            os.close(descriptor)

    def peek(self, position: int, size: int) -> bytes:
        """Read a few bytes without mapping the file."""
        view = self._view  # read once: another thread may unmap the file
        if view is not None:
            return bytes(view[position : position + size])
        if self._descriptor >= 0:
            return os.pread(self._descriptor, size, position)
        descriptor = open_below(self.path, os.O_RDONLY)
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
        descriptor = open_below(self.path, os.O_RDWR)
        try:
            with naming(self.path):
                os.posix_fallocate(descriptor, position, end - position)
        except OSError as error:
            if error.errno in _CANNOT_RESERVE:
                return self.size_bytes
            raise
        finally:
            os.close(descriptor)
        return end

    def content(self, position: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes of a range with their positions, without its holes, in pieces of 1 MiB at most."""
        descriptor = open_below(self.path, os.O_RDONLY)
        try:
            for begin, piece_end in _data_ranges(descriptor, position, end):
                yield begin, os.pread(descriptor, piece_end - begin, begin)
        finally:
            os.close(descriptor)

    def zero_from(self, position: int) -> int:
        """Overwrite everything from `position` on with zeros; return where the content that was lost ended.

        Holes stay holes, and the file never gets shorter: a shorter one would not open under Apache's broker.
        """
        end_of_content = position
        descriptor = open_below(self.path, os.O_RDWR)
        try:
            for begin, end in _data_ranges(descriptor, position, self.size_bytes):
                content = len(os.pread(descriptor, end - begin, begin).rstrip(b"\0"))
                if content:
                    with naming(self.path):
                        os.pwrite(descriptor, bytes(content), begin)
                    end_of_content = begin + content
        finally:
            os.close(descriptor)
        return end_of_content

    def delete(self) -> None:
        """Remove the file from the disk; slices that readers hold stay valid."""
        self.unmap()
        self.let_go()
        self.path.unlink(missing_ok=True)


def _data_ranges(descriptor: int, begin: int, size: int) -> Iterator[tuple[int, int]]:
    """Parts of a file from `begin` on that are not holes, in pieces of 1 MiB at most."""
    while begin < size:
        end = size
        if hasattr(os, "SEEK_DATA"):
            try:
                begin = os.lseek(descriptor, begin, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # no data behind this position
                    raise
                return
            if begin >= size:
                return
            end = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
        end = min(end, begin + PIECE_SIZE)
        yield begin, end
        begin = end
