"""Log files that do not grow for ever: renamed when they are full, the oldest ones deleted.

    broker-a-0.log   broker-a-0.log.1   broker-a-0.log.2 …      older with each number

A node writes and renames its own file, so it needs nobody: no pipe that could fill, no supervisor that could die.
A program of another engine keeps its descriptor, so its file is copied and cut instead (`cut_if_full`).
"""

import io
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rmqctl.supervisor.files.appending import Unwritten, append_whole
from rmqctl.supervisor.files.last_error import LastError
from rmqnode.files import open_below


class RotatingLog(io.TextIOBase):
    """stdout and stderr of a process, in a file of limited size.

    Takes the places of their descriptors, so that what is written past Python arrives as well.

    Args:
        path: The file; appended to.
        size_max: In bytes, before it is renamed; a line is never torn.
        files: How many renamed ones are kept.
        descriptors: Whose places it takes.
        last_error: Keeps the last error among what is written.
    """

    encoding = "utf-8"

    def __init__(
        self,
        path: str,
        size_max: int,
        files: int,
        descriptors: Sequence[int] = (1, 2),
        last_error: LastError | None = None,
    ) -> None:
        self._path = path
        self._size_max = size_max
        self._files = files
        self._descriptors = descriptors
        self._last_error = last_error
        self._size = 0
        self._partial = ""
        self._unwritten = Unwritten()
        self._is_open = False
        rotate_if_full(Path(path), size_max, files)
        try:
            self._open()
        except OSError:
            # A disk without room for a file must not keep a node from running; each line tries again.
            self._point_at(os.devnull, os.O_WRONLY)

    def write(self, text: str) -> int:
        """Append whole lines; the rest waits for its end, or for `flush`."""
        self._partial += text
        if self._partial.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Append what waits; what cannot be written is counted, for a full disk must not end a node."""
        text, self._partial = self._partial, ""
        if not text:
            return
        if self._last_error is not None:
            self._last_error.note(text)
        lost = self._unwritten.sentence("line")
        lines = text if lost is None else f"{_now()} WARNING {__name__} {lost}\n{text}"
        data = lines.encode(errors="backslashreplace")
        try:
            if not self._is_open:
                self._open()
            if self._size + len(data) > self._size_max and self._size > 0:
                rotate(Path(self._path), self._files)
                self._open()
            append_whole(2, data)
            self._size += len(data)
        except OSError:
            self._unwritten.add(text.count("\n") or 1)
        else:
            self._unwritten.forget()

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """Of stderr."""
        return 2

    def _open(self) -> None:
        self._point_at(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._size = os.fstat(2).st_size
        self._is_open = True

    def _point_at(self, path: str, flags: int) -> None:
        """Let the descriptors lead to a file."""
        opened = open_below(path, flags)
        for descriptor in self._descriptors:
            os.dup2(opened, descriptor)
        if opened > 2:
            os.close(opened)


def _now() -> str:
    """The time as `rmqnode.run` lets lines begin."""
    seconds = time.time()
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))},{int(seconds * 1000) % 1000:03}"


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
            _copy(path, numbered(path, 1))
        os.close(open_below(path, os.O_WRONLY | os.O_TRUNC))
    except OSError:
        return


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with (
        open(source, "rb", opener=open_below) as original,
        open(open_below(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as copy,
    ):
        shutil.copyfileobj(original, copy)


def numbered(path: Path, number: int) -> Path:
    """The file itself for 0, else the renamed one of that number."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
