"""How full the disk of a folder is, in numbers and in words, and which errors say so.

Source: UtilAll#getDiskPartitionSpaceUsedPercent (RocketMQ 4.5.2).
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk, or of somebody's share of it, without space."""

NOT_WRITABLE: Final = DISK_FULL | {errno.EROFS}
"""The same, and that of a file system that takes nothing at all."""

_MIB: Final = 1024 * 1024


def used_ratio(folder: Path) -> float:
    """Share of the folder's disk that is in use, 0 to 1; -1 when there is no such folder or it cannot be asked."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return -1.0
    return (disk.f_blocks - disk.f_bfree) / disk.f_blocks if disk.f_blocks else -1.0


def describe_full(folder: Path) -> str:
    """One sentence: which disk is full."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return f"The disk of {folder} cannot be asked: {error.strerror}."
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    return f"The disk of {folder} is full: {free // _MIB} MiB of {total // _MIB} MiB are free."


def describe_file_system(path: Path) -> str:
    """Which file system a path is on and how much of it is free: `file system /data, 0 of 16 MiB free`."""
    folder = _existing(path)
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return f"file system of {folder}, which cannot be asked: {error.strerror}"
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    return f"file system {_mount_point(folder)}, {free // _MIB} of {total // _MIB} MiB free"


def has_room(folder: Path, size_bytes: int) -> bool:
    """Whether a file of that size could be made in a folder now; tried, because a quota shows in no number. Blocks."""
    try:
        descriptor = os.open(folder, getattr(os, "O_TMPFILE", os.O_DIRECTORY) | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno not in NOT_WRITABLE and free_bytes(folder) >= size_bytes
    return True


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError of what is done to an open file say which file that is."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def free_bytes(folder: Path) -> int:
    """How much space the disk of a folder has, there or not yet; 0 when it cannot be asked."""
    try:
        disk = os.statvfs(_existing(folder))
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _mount_point(path: Path) -> Path:
    path = path.absolute()
    while path != path.parent and not os.path.ismount(path):
        path = path.parent
    return path
