"""Log files that do not grow for ever: renamed when they are full, the oldest ones deleted.

    broker-a-0.log   broker-a-0.log.1   broker-a-0.log.2 …      older with each number

A node writes and renames its own file, so it needs nobody: no pipe that could fill, no supervisor that could die.
A program of another engine keeps its descriptor, so its file is copied and cut instead (`cut_if_full`).
"""

import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path


class RotatingLog(io.TextIOBase):
    """stdout and stderr of a process, in a file of limited size.

    Takes the places of their descriptors, so that what is written past Python arrives as well.

    Args:
        path: The file; appended to.
        size_max: In bytes, before it is renamed; a line is never torn.
        files: How many renamed ones are kept.
        descriptors: Whose places it takes.
    """

    encoding = "utf-8"

    def __init__(self, path: str, size_max: int, files: int, descriptors: Sequence[int] = (1, 2)) -> None:
        self._path = path
        self._size_max = size_max
        self._files = files
        self._descriptors = descriptors
        self._size = 0
        self._partial = ""
        rotate_if_full(Path(path), size_max, files)
        self._open()

    def write(self, text: str) -> int:
        """Append whole lines; the rest waits for its end, or for `flush`."""
        self._partial += text
        if self._partial.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Append what waits; what cannot be written is lost, for a full disk must not end a node."""
        text, self._partial = self._partial, ""
        data = text.encode(errors="backslashreplace")
        try:
            if self._size + len(data) > self._size_max and self._size > 0:
                rotate(Path(self._path), self._files)
                self._open()
            self._size += os.write(2, data)
        except OSError:
            return

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """Of stderr."""
        return 2

    def _open(self) -> None:
        log = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size = os.fstat(log).st_size
        for descriptor in self._descriptors:
            os.dup2(log, descriptor)
        if log > 2:
            os.close(log)


def rotate_if_full(path: Path, size_max: int, files: int) -> None:
    """Rename a file that nobody writes to, if it is full."""
    if _size_of(path) >= size_max:
        rotate(path, files)


def rotate(path: Path, files: int) -> None:
    """Rename `x` to `x.1`, `x.1` to `x.2` and so on; what would be one too many is deleted."""
    try:
        for number in range(files, 0, -1):
            older = numbered(path, number - 1)
            if older.exists():
                older.replace(numbered(path, number))
        if files == 0:
            path.unlink(missing_ok=True)
    except OSError:
        # Better a file that is too large than a node that does not start.
        return


def cut_if_full(path: Path, size_max: int, files: int) -> None:
    """Copy a file that a program appends to, and empty it; lines written in between are lost."""
    if _size_of(path) < size_max:
        return
    try:
        if files:
            for number in range(files, 1, -1):
                older = numbered(path, number - 1)
                if older.exists():
                    older.replace(numbered(path, number))
            shutil.copyfile(path, numbered(path, 1))
        os.truncate(path, 0)
    except OSError:
        return


def numbered(path: Path, number: int) -> Path:
    """The file itself for 0, else the renamed one of that number."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
