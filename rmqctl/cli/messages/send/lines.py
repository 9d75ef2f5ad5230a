"""Input with a message on each line: a file or standard input, read piece by piece and without blocking anybody."""

import os
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import trio

from rmqctl.client.message import BODY_SIZE_BYTES_MAX
from rmqctl.errors import UsageError

_PIECE_BYTES: Final = 256 * 1024
_LINE_BYTES_MAX: Final = 3 * BODY_SIZE_BYTES_MAX


class Line(NamedTuple):
    """One line that is not empty, without its end."""

    number: int
    """From 1."""
    data: bytes
    end: int
    """Bytes of input up to its end."""


class LineReader:
    """Reads the lines of a descriptor.

    Args:
        descriptor: Of a file, a pipe or a terminal.
        name: For errors: `standard input`, or the path.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self.empty_count = 0
        """Empty lines that were passed over."""

    @property
    def size_bytes(self) -> int | None:
        """How much there is to read; None for pipes and terminals."""
        return os.fstat(self._descriptor).st_size or None

    async def lines(self) -> AsyncIterator[Line]:
        """Give every line that is not empty, as soon as it is whole; the last one needs no end.

        Raises:
            UsageError: A line is longer than any message, or reading fails.
        """
        number, end = 0, 0
        rest = bytearray()
        while piece := await self._read():
            rest += piece
            whole, found, rest = rest.rpartition(b"\n")
            for data in bytes(whole).split(b"\n") if found else ():
                number += 1
                end += len(data) + 1
                if data:
                    self._check(number, len(data))
                    yield Line(number, data, end)
                else:
                    self.empty_count += 1
            self._check(number + 1, len(rest))
        if rest:
            yield Line(number + 1, bytes(rest), end + len(rest))

    def _check(self, number: int, size_bytes: int) -> None:
        if size_bytes > _LINE_BYTES_MAX:
            raise UsageError(
                f"line {number} of {self._name} has more than {_LINE_BYTES_MAX} bytes",
                "no message is that long",
                "leave out --lines to send the whole input as one message",
            )

    async def _read(self) -> bytes:
        try:
            # `os.read`: a thread that is left behind in a read of sys.stdin would hold its lock at exit.
            return await trio.to_thread.run_sync(os.read, self._descriptor, _PIECE_BYTES, abandon_on_cancel=True)
        except OSError as error:
            raise UsageError(f"{self._name} can't be read any further", error.strerror or str(error)) from None
