"""Java's `.properties` text: parsed as Apache's nodes read it, and written so that it parses back identically.

Knows lines, escapes and encodings; does not know which keys exist or what a value may be (see `check`).

Source: `java.util.Properties#load`. Differs, each time with a notice:

- blanks at the end of a value are dropped (Java keeps them, and then silently drops the whole value where a
  number or an enum is expected);
- a UTF-8 byte order mark is skipped (Java makes it part of the first key);
- bytes above ASCII are read as UTF-8 where they are valid UTF-8 (Java reads Latin-1).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rmqnode.config.errors import ConfigError, place, shown

_BLANKS = " \t\f"
_BLANK_BYTES = _BLANKS.encode()
_SIZE_BYTES_MAX = 256 * 1024
"""Every key there is takes a tenth of it; a longer text comes from the network to keep a node busy."""

_NEWLINE = re.compile(rb"\r\n|\r|\n")
_KEY = re.compile(r"(?:\\.|[^\\=: \t\f])*", re.DOTALL)
_SEPARATOR = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_CONTROL_NAMES = {control: f"\\{name}" for name, control in _CONTROL_ESCAPES.items()}
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Property:
    """One `key=value` of a properties text.

    Attributes:
        key: With escapes resolved. May be empty.
        value: With escapes resolved, without unescaped trailing blanks.
        line: Line it begins on, from 1.
    """

    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class PropertiesText:
    """What a properties text contains.

    Attributes:
        properties: In the order of the text, duplicates included: the last one of a key counts.
        notices: What was read differently from how it looks, one sentence each.
        problems: What could not be read, one sentence each.
    """

    properties: list[Property] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_mapping(self) -> dict[str, str]:
        """Key → value, the last one of a key."""
        return {each.key: each.value for each in self.properties}


def parse_properties(data: bytes, source: str = "properties") -> PropertiesText:
    """Parse a properties text.

    Args:
        data: The bytes of the file or request body.
        source: What to call it in messages.

    Raises:
        ConfigError: Something in it could not be read.
    """
    text = scan_properties(data, source)
    if text.problems:
        raise ConfigError(text.problems)
    return text


def scan_properties(data: bytes, source: str) -> PropertiesText:
    """Parse a properties text as far as possible; what could not be read is in `problems`. Never raises."""
    text = PropertiesText()
    if len(data) > _SIZE_BYTES_MAX:
        text.problems.append(f"{place(source)}: is longer than {_SIZE_BYTES_MAX} bytes")
        return text
    if data.startswith(_UTF16_BOMS) or b"\0" in data:
        text.problems.append(f"{place(source)}: is not a text file in UTF-8 (it may be UTF-16): save it as UTF-8")
        return text
    if data.startswith(_UTF8_BOM):
        data = data[len(_UTF8_BOM) :]
        text.notices.append(f"{place(source, 1)}: byte order mark ignored (Apache's nodes take it as part of the key)")
    line_of_key: dict[str, int] = {}
    for line, content in _logical_lines(data):
        found = _read_property(content, line, source, text)
        if found is None:
            continue
        if found.key in line_of_key:
            text.notices.append(
                f"{place(source, line)}: {found.key} was already set on line {line_of_key[found.key]}:"
                f" the last value counts, {shown(found.value)}"
            )
        line_of_key[found.key] = line
        text.properties.append(found)
    return text


def render_properties(properties: Mapping[str, str]) -> str:
    """Write `key=value` lines in ASCII that Java and `parse_properties` read back identically."""
    return "".join(f"{_escape_key(key)}={_escape_value(value)}\n" for key, value in properties.items())


def _logical_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, content) without comments and blank lines, continued lines joined."""
    lines = _NEWLINE.split(data)
    index = 0
    while index < len(lines):
        number = index + 1
        line = lines[index].lstrip(_BLANK_BYTES)
        index += 1
        # A lone backslash continues nothing: what follows is a new line, and may be a comment (JDK 9 and later).
        if line[:1] in (b"#", b"!") or line == b"\\":
            continue
        parts = []
        while _ends_with_odd_backslashes(line):
            parts.append(line[:-1])
            # A comment sign at the start of a continuation is text, as in Java.
            line = lines[index].lstrip(_BLANK_BYTES) if index < len(lines) else b""
            index += 1
        parts.append(line)
        content = b"".join(parts)
        if content:
            yield number, content


def _ends_with_odd_backslashes(line: bytes) -> bool:
    return (len(line) - len(line.rstrip(b"\\"))) % 2 == 1


def _read_property(content: bytes, line: int, source: str, text: PropertiesText) -> Property | None:
    decoded = _decode(content, place(source, line), text)
    key_match = _KEY.match(decoded)
    assert key_match is not None, "the pattern matches the empty text"
    separator = _SEPARATOR.match(decoded, key_match.end())
    assert separator is not None, "the pattern matches the empty text"
    raw = decoded[separator.end() :]
    kept = _without_trailing_blanks(raw)
    try:
        found = Property(_unescape(key_match[0]), _unescape(kept), line)
    except ValueError as error:
        text.problems.append(f"{place(source, line)}: {error}")
        return None
    if kept != raw:
        text.notices.append(f"{place(source, line)}: trailing blank after {shown(found.value)} ignored")
    return found


def _decode(content: bytes, where: str, text: PropertiesText) -> str:
    if content.isascii():
        return content.decode("ascii")
    try:
        decoded = content.decode("utf-8")
    except UnicodeDecodeError:
        text.notices.append(f"{where}: read as Latin-1, because it is not valid UTF-8")
        return content.decode("latin-1")
    text.notices.append(f"{where}: read as UTF-8, where Apache's nodes read Latin-1: write \\uXXXX for both")
    return decoded


def _without_trailing_blanks(raw: str) -> str:
    """Drop blanks at the end, but not one that a backslash protects."""
    kept = raw.rstrip(_BLANKS)
    if kept != raw and (len(kept) - len(kept.rstrip("\\"))) % 2 == 1:
        return raw[: len(kept) + 1]
    return kept


def _unescape(raw: str) -> str:
    r"""Resolve backslash escapes.

    Raises:
        ValueError: A malformed `\uXXXX`, or half of a surrogate pair.
    """
    if "\\" not in raw:
        return raw
    plain = _ESCAPE.sub(_replace_escape, raw)
    if _SURROGATE.search(plain) is None:
        return plain
    try:
        return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise ValueError(f"half of a surrogate pair in {shown(raw)}") from None


def _replace_escape(match: re.Match[str]) -> str:
    escaped = match[1]
    if len(escaped) == 5:
        return chr(int(escaped[1:], 16))
    if escaped == "u":
        raise ValueError("\\u must be followed by four hexadecimal digits (a backslash itself is written \\\\)")
    return _CONTROL_ESCAPES.get(escaped, escaped)


def _escape_key(key: str) -> str:
    escaped = re.sub(r"[=: ]", lambda match: "\\" + match[0], _escape(key))
    return "\\" + escaped if escaped[:1] in ("#", "!") else escaped


def _escape_value(value: str) -> str:
    escaped = _escape(value)
    if escaped.startswith(" "):
        escaped = "\\" + escaped
    # After a leading blank got its backslash a value of one blank ends in a protected one already.
    if escaped.endswith(" ") and escaped != "\\ ":
        escaped = escaped[:-1] + "\\u0020"
    return escaped


def _escape(text: str) -> str:
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character in _CONTROL_NAMES:
        return _CONTROL_NAMES[character]
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04X}" for at in range(0, len(units), 2))
