"""Bytes of strangers on a terminal: what could move the cursor, colour or hide text is shown as an escape."""

from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_REORDERING: Final = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that change the direction of what follows: they can make a line read as another one."""


def escape_controls(text: str) -> str:
    r"""Return the text with every character that a terminal acts on written as `\n`, `\x1b` or `\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        character if _is_harmless(character) else _SHORT.get(character) or _escape(character) for character in text
    )


def escape_bytes(data: bytes) -> str:
    r"""Return a body for a terminal: UTF-8 as text, other bytes as `\xff`, control characters escaped."""
    return escape_controls(data.decode("utf-8", "backslashreplace"))


def _is_harmless(character: str) -> bool:
    # A space other than U+0020 and a character that this Python does not know yet are not "printable", yet harmless.
    return character.isprintable() or (ord(character) > 0x9F and character not in _REORDERING | {"\u2028", "\u2029"})


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
