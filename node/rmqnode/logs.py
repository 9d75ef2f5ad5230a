"""The form of a node's log: one line a record, beginning with its time, whatever strangers put into what is logged.

Names, addresses and remarks reach logs from the network. Here, and nowhere else, control characters are escaped and
lengths limited: a record cannot begin a line of its own, colour a terminal or fill a disk. The lines of a traceback are
indented, so that none of them passes for a record.
"""

import logging
import sys
import traceback
from types import TracebackType
from typing import Final

from rmqnode.plain_text import escape_controls, shortened

MESSAGE_LENGTH_MAX: Final = 4096
"""Characters of a record: the longest of our own names every key of a configuration."""

_TRACEBACK_LINES_MAX: Final = 200
_INDENT: Final = "    "

_FORM: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PlainFormatter(logging.Formatter):
    """Writes records so that foreign text in them is only text."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """One line, whatever the message holds."""
        return escape_controls(shortened(super().formatMessage(record), MESSAGE_LENGTH_MAX))

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802
        """A traceback in indented lines."""
        return plain_traceback("".join(traceback.format_exception(*ei)))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """A stack in indented lines."""
        return plain_traceback(stack_info)


def plain_traceback(text: str) -> str:
    """Indent a traceback and escape what strangers put into the message of its exception."""
    lines = text.rstrip("\n").split("\n")
    if len(lines) > _TRACEBACK_LINES_MAX:
        half = _TRACEBACK_LINES_MAX // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half} more lines", *lines[-half:]]
    return "\n".join(_INDENT + escape_controls(shortened(line, MESSAGE_LENGTH_MAX)) for line in lines)


def log_to_stderr() -> None:
    """Log from INFO on to stderr, as nodes do."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter(_FORM))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def keep_last_resort_plain() -> None:
    """Let what is logged in a process that configured no log reach stderr in the same form."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PlainFormatter())


def print_crash() -> None:
    """Write the exception that is being handled to stderr; for the last edge of a process."""
    print(plain_traceback(traceback.format_exc()), file=sys.stderr, flush=True)
