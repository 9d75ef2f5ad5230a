"""Everything that bytes from a peer can be wrong about: one hierarchy, values first, the sentence made here.

Nothing else escapes from the codecs: a caller that handles `ProtocolError` has handled every possible input.
"""

from typing import TypeVar

E = TypeVar("E", bound=Exception)


def fresh(error: E) -> E:
    """Return an exception with the same class, arguments and attributes, and without the frames that it went through.

    Whoever keeps an exception raises this copy: each raise of the kept one would add frames to its traceback, and
    with them everything that their variables hold.
    """
    again: E = type(error).__new__(type(error), *error.args)
    again.__dict__.update(error.__dict__)
    again.__suppress_context__ = True
    return again


class ProtocolError(Exception):
    """Bytes of a peer (or of a file another engine wrote) do not follow RocketMQ's protocol."""


class FrameTooLarge(ProtocolError):
    """A frame announces more bytes than this side accepts."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(f"a frame of {size_bytes} bytes is above the maximum of {limit_bytes} bytes")


class MalformedFrame(ProtocolError):
    """Length, header length or serialization type of a frame contradict each other."""


class MalformedHeader(ProtocolError):
    """The header of a frame is neither valid JSON nor a valid ROCKETMQ binary header."""


class HeaderFieldError(ProtocolError):
    """A custom header field is missing or has a value that its type does not have."""

    def __init__(self, header: str, field: str, problem: str) -> None:
        self.header = header
        self.field = field
        self.problem = problem
        super().__init__(f"{header}: field '{field}' {problem}")
