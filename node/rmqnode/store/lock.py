"""The `lock` file: one process per store, in agreement with Apache's broker.

Java takes an exclusive POSIX record lock on byte 0; so do we, and before anything else is looked at. Record locks
belong to the process: a second store object on the same folder in one process is not refused (nor would Java's be).

Java's broker writes the file at each start, ours only if it says something else: so its modification time tells whether
another engine has had the store since we left it (`checkpoint`).

Source: DefaultMessageStore#start (RocketMQ 4.5.2). Differs: Java locks only after it has recovered the files.
"""

import fcntl
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from rmqnode.files import open_below
from rmqnode.store.errors import StoreLocked

_CONTENT: Final = b"lock"


class StoreLock:
    """Holds the lock from `acquire` to `release`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises:
            StoreLocked: Another process has it.
            OSError: The file can't be used; a link is not followed.
        """
        descriptor = open_below(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except (BlockingIOError, PermissionError):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreLocked(self._path, holder) from None
        if os.pread(descriptor, len(_CONTENT) + 1, 0) != _CONTENT:
            # The lock is held; the content is only what Java writes, and a full disk may have no block for it.
            with suppress(OSError):
                os.pwrite(descriptor, _CONTENT, 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; safe to repeat."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def lock_holder(path: Path) -> int | None:
    """Process id of who holds a lock file; None when nobody does, or the system does not tell."""
    try:
        descriptor = open_below(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> int | None:
    """Process id of who holds the lock, if the system tells."""
    is_linux = sys.platform == "linux"
    layout = struct.Struct("@hhqqi4x" if is_linux else "@qqihh")
    query = (fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0) if is_linux else (0, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
    try:
        answer = layout.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, layout.pack(*query)))
    except OSError:
        return None
    lock_type, pid = (answer[0], answer[4]) if is_linux else (answer[3], answer[2])
    return pid if lock_type != fcntl.F_UNLCK and pid > 0 else None
