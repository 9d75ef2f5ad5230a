"""Standard output and standard error of a command, whose readers may go away at any moment (`| head -1`).

What is told on stderr is never worth ending for, and neither is a result where the command changes something: a cluster
must not stay half up because somebody has read enough. So such a stream endures: from its first failure on everything
goes nowhere. A command that only looks ends when nobody reads its stdout any more.

Imports nothing of rmqctl, so that the very first lines of a command can use it.
"""

import io
import os
import sys
from typing import TextIO


class StandardFile(io.RawIOBase):
    """The descriptor below a standard stream.

    Args:
        descriptor: Never closed.
        endures: Whether a write never fails.
    """

    def __init__(self, descriptor: int, *, endures: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.endures = endures
        self.failure: OSError | None = None
        """Why nothing is written any more; None as long as it is."""

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: bytes | bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        """Write what fits; None when nothing does without waiting.

        Raises:
            OSError: As the system has it, unless it endures.
        """
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return None
        except OSError as error:
            if not self.endures:
                raise
            self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
            return len(data)


def prepare_standard_streams() -> None:
    """Let stderr endure, and stdout be able to."""
    sys.stdout = _over(sys.stdout, endures=False)
    sys.stderr = _over(sys.stderr, endures=True)


def endure(stream: TextIO) -> None:
    """Let what is written to a stream fail no more."""
    if (file := _file_of(stream)) is not None:
        file.endures = True


def failure_of(stream: TextIO) -> OSError | None:
    """Why a stream that endures has lost what was written to it; None when it has not, or only its reader left."""
    file = _file_of(stream)
    failure = None if file is None else file.failure
    return None if isinstance(failure, BrokenPipeError) else failure


def _over(stream: TextIO, *, endures: bool) -> TextIO:
    assert isinstance(stream, io.TextIOWrapper), "nobody has replaced it yet"
    stream.flush()
    raw = StandardFile(stream.fileno(), endures=endures)
    buffer = io.BufferedWriter(raw)  # type: ignore[type-var]  # the stub wants a seekable one
    # PYTHONUNBUFFERED makes a stream that writes through, and has no need of lines then.
    by_lines = stream.line_buffering or stream.write_through or endures
    return io.TextIOWrapper(buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=by_lines)


def _file_of(stream: TextIO) -> StandardFile | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, StandardFile) else None
