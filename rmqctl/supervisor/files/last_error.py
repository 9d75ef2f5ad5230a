"""The last error that a node logged, in memory that outlives it: a full disk may have had no space for the line.

One page, shared by the process that forks the node and the node: what the node leaves there is read when it is reaped.
"""

import mmap
import re
from typing import Final

_SIZE: Final = 4096
_LENGTH_SIZE: Final = 2
_ERROR_LINE: Final = re.compile(r"\S+ \S+ (?:ERROR|CRITICAL) \S+ (.*)")
"""A line of a node's log: date, time, level, logger, message."""


class LastError:
    """The place for one node's last error."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _SIZE)

    def note(self, text: str) -> None:
        """Look for an error in what is about to be logged, and keep it."""
        if " ERROR " not in text and " CRITICAL " not in text:
            return
        for line in reversed(text.splitlines()):
            match = _ERROR_LINE.fullmatch(line)
            if match is not None:
                content = match[1].encode(errors="backslashreplace")[: _SIZE - _LENGTH_SIZE]
                self._page[_LENGTH_SIZE : _LENGTH_SIZE + len(content)] = content
                self._page[:_LENGTH_SIZE] = len(content).to_bytes(_LENGTH_SIZE, "big")
                return

    def take(self) -> str | None:
        """What was kept; the place is given back."""
        size = int.from_bytes(self._page[:_LENGTH_SIZE], "big")
        content = self._page[_LENGTH_SIZE : _LENGTH_SIZE + size]
        self._page.close()
        text = content.decode(errors="replace")
        # What a node logs may come from anybody, and this ends on terminals.
        return "".join(character if character.isprintable() else "?" for character in text) or None
