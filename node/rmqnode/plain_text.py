r"""Text of strangers for a terminal, a log or a file: what moves a cursor, colours, hides or begins a line is escaped.

Names, remarks, addresses and properties come from whoever reaches a port. Nothing outside this module decides which
characters are harmless: logs (`rmqnode.logs`), the command line (`rmqctl.cli.output`) and configuration use it.
"""

import re
from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

ACTING: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u2028\u2029"  # ends of lines for some viewers
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of what follows: a line reads as another
    "\ud800-\udfff"  # halves of pairs: no encoding can write them
)
"""Characters that a terminal or a viewer acts on, as the inside of a regular expression's set."""

_ACTING: Final = re.compile(f"[{ACTING}]")
_ACTING_IN_JSON: Final = re.compile(f"(?![\x00-\x1f])[{ACTING}]")
_ACTING_BUT_TABS_AND_LINES: Final = re.compile(f"(?![\t\n])[{ACTING}]")


def is_plain(text: str) -> bool:
    """Whether a text holds nothing that `escape_controls` would change."""
    return text.isprintable() or _ACTING.search(text) is None


def escape_controls(text: str) -> str:
    r"""Return the text with every character that a terminal acts on written as `\n`, `\x1b` or `\u202e`."""
    return text if text.isprintable() else _ACTING.sub(_escape, text)


def escape_lines(text: str) -> str:
    """Escape a text of several lines: its ends of lines and tabs stay."""
    return text if text.isprintable() else _ACTING_BUT_TABS_AND_LINES.sub(_escape, text)


def escape_bytes(data: bytes) -> str:
    r"""Return a body for a terminal: UTF-8 as text, other bytes as `\xff`, control characters escaped."""
    return escape_controls(data.decode("utf-8", "backslashreplace"))


def plain_json(document: bytes) -> bytes:
    r"""Write characters of a JSON text that a terminal acts on as `\uXXXX`; to a program the document is the same."""
    if document.isascii() and b"\x7f" not in document:
        return document
    return _ACTING_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", document.decode()).encode()


def shortened(text: str, length_max: int) -> str:
    """Cut a text that is longer, and say how much is missing."""
    if len(text) <= length_max:
        return text
    return f"{text[:length_max]}… ({len(text) - length_max} more characters)"


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if code <= 0xFF:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}"
