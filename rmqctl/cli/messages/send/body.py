"""The body of a message: where it comes from (an argument, a file, standard input), and how it is written there.

Not responsible for sending, nor for the limits of brokers. Input with a message on each line is `lines`.
"""

import base64
import binascii
import os
import select
import sys
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from rmqctl.cli.output import narrate
from rmqctl.client.message import BODY_SIZE_BYTES_MAX
from rmqctl.documents import decode_json
from rmqctl.errors import UsageError

_PATIENCE_SECONDS: Final = 0.5
"""How long standard input may be silent before the user is told what is being waited for."""

_USAGE: Final = "rmqctl send TOPIC[:TAG] 'text', or @FILE, or - to read standard input"

_WRITTEN_SIZE_MAX: Final = 3
"""Bytes of input for one byte of body, at most: hexadecimal with blanks is the longest way to write one."""


class BodyFormat(Enum):
    """How bodies are written in the input."""

    TEXT = "text"
    """Any bytes; an argument goes as UTF-8."""
    JSON = "json"
    """One JSON value in UTF-8; it is sent as it was written."""
    HEX = "hex"
    """Hexadecimal digits, with blanks between bytes if you like."""
    BASE64 = "base64"
    """Base64."""
    JSONL = "jsonl"
    """Whole messages as `rmqctl tail --format jsonl` prints them, one a line."""


def read_body(argument: str | None, body_format: BodyFormat) -> bytes:
    """Return the body that the argument means.

    Args:
        argument: The text itself, `@FILE`, `-` for standard input; None also means standard input, unless that is a
            terminal.
        body_format: How the body is written there; not JSONL.

    Raises:
        UsageError: There is no body, the file can't be read, the body is too large, or it is not what the format asks.
    """
    is_plain = body_format in (BodyFormat.TEXT, BodyFormat.JSON)
    limit = BODY_SIZE_BYTES_MAX * (1 if is_plain else _WRITTEN_SIZE_MAX)
    data, source = _read(argument, limit)
    body = decode_body(data, body_format, source) if len(data) <= limit else data
    if len(body) > BODY_SIZE_BYTES_MAX:
        raise UsageError(
            f"{source} is too large for one message",
            f"a frame carries at most {BODY_SIZE_BYTES_MAX} bytes of body",
            "send less, for instance where the data can be found; --lines makes a message of each line",
        )
    if not body:
        raise UsageError(f"{source} is empty: there is no body to send", "official clients refuse empty bodies", _USAGE)
    return body


def decode_body(data: bytes, body_format: BodyFormat, source: str) -> bytes:
    """Return the bytes of a body that is written in a format.

    Args:
        data: What was read.
        body_format: Not JSONL.
        source: Where it was read, for the error.

    Raises:
        UsageError: It is not what the format asks.
    """
    try:
        match body_format:
            case BodyFormat.JSON if data:
                decode_json(data)
            case BodyFormat.HEX:
                return bytes.fromhex(data.decode("ascii"))
            case BodyFormat.BASE64:
                return base64.b64decode(b"".join(data.split()), validate=True)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        what = {BodyFormat.JSON: "JSON in UTF-8", BodyFormat.HEX: "hexadecimal"}.get(body_format, "base64")
        why = "bytes are pairs of hexadecimal digits" if body_format is BodyFormat.HEX else str(error)
        raise UsageError(f"{source} is not {what}", why, "correct it, or send it with --format text") from None
    return data


def open_input(argument: str | None) -> tuple[int, str]:
    """Return the descriptor of the file or standard input that an argument means, and its name for people.

    Raises:
        UsageError: It is neither, standard input is a terminal that was not asked for, or the file can't be read.
    """
    if argument is not None and argument.startswith("@"):
        path = Path(argument[1:]).expanduser()
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC), str(path)
        except OSError as error:
            raise _unreadable(path, error) from None
    if argument not in (None, "-"):
        raise UsageError(
            "the messages shall be read line by line, and a body was given",
            "lines come from a file or from standard input",
            "@FILE, or - for standard input",
        )
    if argument is None and sys.stdin.isatty():
        raise _no_body()
    if sys.stdin.isatty():
        narrate("reading messages from the terminal, one a line: Ctrl-D on an empty line ends it")
    return sys.stdin.fileno(), "standard input"


def _read(argument: str | None, size_bytes_max: int) -> tuple[bytes, str]:
    if argument is None and sys.stdin.isatty():
        raise _no_body()
    if argument is None or argument == "-":
        return _read_stdin(size_bytes_max), "standard input"
    if argument.startswith("@"):
        return _read_file(Path(argument[1:]).expanduser(), size_bytes_max), argument[1:]
    # Bytes of an argument that are no valid text were kept by Python as surrogates: they go back to what they were.
    return argument.encode("utf-8", "surrogateescape"), "the body argument"


def _read_stdin(size_bytes_max: int) -> bytes:
    if sys.stdin.isatty():
        narrate("reading the body from the terminal: Ctrl-D on an empty line ends it")
    elif not select.select([sys.stdin], [], [], _PATIENCE_SECONDS)[0]:
        narrate("waiting for the body on standard input")
    return sys.stdin.buffer.read(size_bytes_max + 1)


def _read_file(path: Path, size_bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size_bytes_max + 1)
    except OSError as error:
        raise _unreadable(path, error) from None


def _no_body() -> UsageError:
    return UsageError("the message body is missing", "standard input is a terminal", _USAGE)


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the body can't be read from {path}",
        error.strerror or str(error),
        f"{_USAGE}; - takes a text that starts with @",
    )
