"""A command on a terminal of its own, and what a person would see there."""

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from types import TracebackType

import pyte

COLUMNS, LINES = 120, 40

_SECONDS = 60
_UNSET = frozenset({"COLUMNS", "LINES", "NO_COLOR"})
"""The terminal itself says how large it is, and it has colours."""


class Terminal:
    """Runs `rmqctl` on a pseudo-terminal, with an emulator as its screen. A context manager: leaving kills it.

    Args:
        environment: Of the command.
        arguments: What follows `rmqctl`.
        columns: Width of the window.
    """

    def __init__(self, environment: Mapping[str, str], *arguments: str, columns: int = COLUMNS) -> None:
        self._screen = pyte.HistoryScreen(columns, LINES, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._output = b""
        self._terminal, slave = pty.openpty()
        termios.tcsetwinsize(slave, (LINES, columns))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rmqctl", *arguments],
            env={name: value for name, value in environment.items() if name not in _UNSET} | {"TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # Ctrl-C reaches the processes of the terminal that controls their session.
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        # Not before nobody reads: the number of a closed descriptor may soon be that of another file.
        self._reader.join(_SECONDS)
        os.close(self._terminal)

    @property
    def output(self) -> bytes:
        """Everything that was written, control sequences included."""
        with self._lock:
            return self._output

    @property
    def rows(self) -> list[str]:
        """What is on the screen now, without what scrolled out of it."""
        with self._lock:
            return [row.rstrip() for row in self._screen.display if row.strip()]

    def row(self, pattern: str) -> str | None:
        """The one row in which a pattern is found now."""
        found = [row for row in self.rows if re.search(pattern, row)]
        assert len(found) <= 1, f"{pattern} is there more than once:\n{self}"
        return found[0] if found else None

    def wait_for(self, pattern: str) -> str:
        """Wait until a pattern is on the screen; returns its row."""
        deadline = time.monotonic() + _SECONDS
        while True:
            has_ended = not self._reader.is_alive()
            row = self.row(pattern)
            if row is not None:
                return row
            assert not has_ended, f"the command ended without: {pattern}\n{self}"
            assert time.monotonic() < deadline, f"not within {_SECONDS} s: {pattern}\n{self}"
            time.sleep(0.02)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._terminal, keys.encode())

    def press_ctrl_c(self) -> None:
        """Interrupt."""
        self.press("\x03")

    def wait(self) -> int:
        """Wait for the end of the command, and of what it wrote; returns its exit code."""
        code = self._process.wait(_SECONDS)
        self._reader.join(_SECONDS)
        return code

    def __str__(self) -> str:
        return "\n".join(self.rows)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                # The last process that had the terminal has closed it.
                return
            with self._lock:
                self._output += data
                self._stream.feed(data)
