"""Appending to files whose disk may be full: a line is written whole or not at all, and what was lost is counted."""

import os
from typing import Final

_UNWRITTEN_MAX: Final = 1_000_000_000
"""Enough to say that many were lost."""


def append_whole(descriptor: int, data: bytes) -> None:
    """Append bytes to a file that nobody else writes to now.

    Raises:
        OSError: Not all of them could be written; then none of them are there.
    """
    written = os.write(descriptor, data)
    if written == len(data):
        return
    try:
        # The rest fails for a reason; asking for it gives the reason, or writes it.
        written += os.write(descriptor, data[written:])
        if written < len(data):
            raise OSError("it takes only a part of each line")
    except OSError:
        # Without its end a line would swallow the beginning of the next one.
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise


class Unwritten:
    """Counts what could not be written, until that can be said in the same file."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, count: int) -> None:
        """Note lines that are lost."""
        self.count = min(self.count + count, _UNWRITTEN_MAX)

    def sentence(self, noun: str) -> str | None:
        """What is to be said; None for nothing. Counting begins anew with `forget`."""
        if not self.count:
            return None
        plural = "" if self.count == 1 else "s"
        verb = "was" if self.count == 1 else "were"
        return f"{self.count} {noun}{plural} {verb} not written: the disk was full or could not be written"

    def forget(self) -> None:
        """It has been said."""
        self.count = 0
