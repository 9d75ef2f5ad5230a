"""Where the body of a message comes from: an argument, a file, or standard input. The result is bytes.

Not responsible for sending, nor for the limits of brokers.
"""

import select
import sys
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from rmqctl.cli.output import narrate
from rmqctl.client.message import BODY_SIZE_BYTES_MAX
from rmqctl.errors import UsageError

_PATIENCE_SECONDS: Final = 0.5
"""How long standard input may be silent before the user is told what is being waited for."""

_USAGE: Final = "rmqctl send TOPIC[:TAG] 'text', or @FILE, or - to read standard input"


class BodyFormat(Enum):
    """What a body is checked for before it is sent."""

    TEXT = "text"
    """Any bytes; an argument goes as UTF-8."""
    JSON = "json"
    """One JSON value in UTF-8; it is sent as it was written."""


def read_body(argument: str | None, body_format: BodyFormat) -> bytes:
    """Return the body that the argument means.

    Args:
        argument: The text itself, `@FILE`, `-` for standard input; None also means standard input, unless that is a
            terminal.
        body_format: What the body is checked for.

    Raises:
        UsageError: There is no body, the file can't be read, the body is too large, or it is not what the format asks.
    """
    body, source = _read(argument)
    if len(body) > BODY_SIZE_BYTES_MAX:
        raise UsageError(
            f"{source} is too large for one message",
            f"a frame carries at most {BODY_SIZE_BYTES_MAX} bytes of body",
            "send less, for instance where the data can be found",
        )
    if not body:
        raise UsageError(f"{source} is empty: there is no body to send", "official clients refuse empty bodies", _USAGE)
    if body_format is BodyFormat.JSON:
        _check_json(body, source)
    return body


def _read(argument: str | None) -> tuple[bytes, str]:
    if argument is None and sys.stdin.isatty():
        raise UsageError("the message body is missing", "standard input is a terminal", _USAGE)
    if argument is None or argument == "-":
        return _read_stdin(), "standard input"
    if argument.startswith("@"):
        return _read_file(Path(argument[1:]).expanduser()), argument[1:]
    # Bytes of an argument that are no valid text were kept by Python as surrogates: they go back to what they were.
    return argument.encode("utf-8", "surrogateescape"), "the body argument"


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        narrate("reading the body from the terminal: Ctrl-D on an empty line ends it")
    elif not select.select([sys.stdin], [], [], _PATIENCE_SECONDS)[0]:
        narrate("waiting for the body on standard input")
    return sys.stdin.buffer.read(BODY_SIZE_BYTES_MAX + 1)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BODY_SIZE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"the body can't be read from {path}",
            error.strerror or str(error),
            f"{_USAGE}; - takes a text that starts with @",
        ) from None


def _check_json(body: bytes, source: str) -> None:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{source} is not JSON in UTF-8", str(error), "correct it, or send it with --format text"
        ) from None
