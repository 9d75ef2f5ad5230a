"""The countdown of a broker that is being drained: one line that changes on a terminal, few lines elsewhere."""

import shutil
import sys
from types import TracebackType

from rmqctl.cli.output import is_terminal, narrate
from rmqctl.supervisor.messages import DrainProgress
from rmqnode.plain_text import escape_controls

_ROOM = 3
"""Columns at the right that stay empty: for the cursor, and the ^C that terminals show."""


class DrainLine:
    """Shows progress; a context manager that ends the line."""

    def __init__(self) -> None:
        self._shown: tuple[str, str] | None = None
        self._is_terminal = is_terminal(sys.stderr)

    def __enter__(self) -> "DrainLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, progress: DrainProgress) -> None:
        """Show what is waited for and for how long."""
        said = (progress.node, progress.waits_for)
        text = f"{progress.node}: draining, waiting for {progress.waits_for}"
        seconds = f"{max(1, round(progress.seconds_left))} s"
        if self._is_terminal:
            line = f"{escape_controls(text)}: {seconds} left (Ctrl-C: leave it running)"
            # A line that the terminal breaks could not be written over.
            sys.stderr.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - _ROOM]}")
            sys.stderr.flush()
        elif said != self._shown:
            narrate(f"{text}: at most {seconds}")
        self._shown = said

    def clear(self) -> None:
        """Make room for another line."""
        if self._is_terminal and self._shown is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._shown = None
