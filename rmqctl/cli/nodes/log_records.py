"""Reads the logs of nodes as records: a line with a time, and the lines below it that have none.

Reads backwards, so that the last records of a large log cost little, and through renamed files (`x.log.1`, older), so
that a rotation loses nothing. Both engines write `date time level logger message`.
"""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from rmqctl.supervisor.files.rotating_log import numbered

_BLOCK_BYTES = 1 << 16
_FILES_MAX = 100
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[,.](\d{3}) ([A-Z]+) ")

LEVELS = {"TRACE": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}
"""Names of levels, as either engine writes them, in order."""


class LogRecord(NamedTuple):
    """One record; compares by time."""

    time: str
    """`2026-11-23 10:00:00,123`, local time; empty for lines that stand before the first time."""
    node: str
    level: str
    """Empty for lines without one."""
    text: str
    """The lines, without the last line end."""

    def is_at_least(self, level: str | None) -> bool:
        """Whether it is as severe as asked; lines without a level are what a node printed, and count as INFO."""
        return level is None or LEVELS.get(self.level or "INFO", 20) >= LEVELS[level]


def stamp_of(moment: datetime) -> str:
    """A moment in the form of `LogRecord.time`, which compares as text."""
    return moment.strftime("%Y-%m-%d %H:%M:%S,") + f"{moment.microsecond // 1000:03}"


def moment_of(stamp: str) -> str | None:
    """`LogRecord.time` for programs: `2026-11-23T10:00:00.123+08:00`; None for lines without a time."""
    if not stamp:
        return None
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").astimezone().isoformat(timespec="milliseconds")


def read_backwards(node: str, path: Path) -> Iterator[LogRecord]:
    """The records of a log and of its renamed files, the last one first."""
    below: list[str] = []
    for line in _lines_backwards(path):
        match = _STAMP.match(line)
        if match is None:
            below.append(line)
            continue
        yield LogRecord(f"{match[1]},{match[2]}", node, match[3], "\n".join([line, *reversed(below)]))
        below = []
    if below:
        yield LogRecord("", node, "", "\n".join(reversed(below)))


def _lines_backwards(path: Path) -> Iterator[str]:
    for number in range(_FILES_MAX + 1):
        try:
            descriptor = os.open(numbered(path, number), os.O_RDONLY)
        except FileNotFoundError:
            if number:
                return
            continue
        try:
            yield from _lines_of_file_backwards(descriptor)
        finally:
            os.close(descriptor)


def _lines_of_file_backwards(descriptor: int) -> Iterator[str]:
    start = os.fstat(descriptor).st_size
    data = b""
    while start > 0:
        step = min(_BLOCK_BYTES, start)
        start -= step
        data = os.pread(descriptor, step, start) + data
        first, newline, rest = data.partition(b"\n")
        if start > 0 and newline:
            yield from reversed(_text_lines(rest))
            data = first + newline
    yield from reversed(_text_lines(data))


def _text_lines(data: bytes) -> list[str]:
    return [line.decode(errors="replace") for line in data.split(b"\n") if line]


class LogFollower:
    """Reads what is appended to a log, through its renaming, as records.

    Begins at the end of the file as it is now.
    """

    def __init__(self, node: str, path: Path) -> None:
        self._node = node
        self._path = path
        self._partial = b""
        self._inode: int | None = None
        self._position = 0
        try:
            found = path.stat()
            self._inode, self._position = found.st_ino, found.st_size
        except FileNotFoundError:
            pass

    def read_new(self) -> list[LogRecord]:
        """The records that were written since the last call."""
        return self._records(self._new_lines())

    def _new_lines(self) -> list[str]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return []
        data = b""
        if self._inode is not None and found.st_ino != self._inode:
            data += self._rest_of_renamed()
            self._position = 0
        elif found.st_size < self._position:
            # It was emptied in place.
            self._position, self._partial = 0, b""
        self._inode = found.st_ino
        with self._path.open("rb") as log:
            log.seek(self._position)
            new = log.read()
        self._position += len(new)
        *whole, self._partial = (self._partial + data + new).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def _rest_of_renamed(self) -> bytes:
        """What came to the file that has another name now, if it still has one."""
        for number in range(1, _FILES_MAX + 1):
            try:
                with numbered(self._path, number).open("rb") as log:
                    if os.fstat(log.fileno()).st_ino == self._inode:
                        log.seek(self._position)
                        return log.read()
            except FileNotFoundError:
                return b""
        return b""

    def _records(self, lines: list[str]) -> list[LogRecord]:
        records: list[LogRecord] = []
        for line in lines:
            match = _STAMP.match(line)
            if match is not None:
                records.append(LogRecord(f"{match[1]},{match[2]}", self._node, match[3], line))
            elif records:
                last = records[-1]
                records[-1] = last._replace(text=f"{last.text}\n{line}")
            else:
                records.append(LogRecord("", self._node, "", line))
        return records
