"""Reader of the dialect: what fastjson accepts beyond JSON.

Bare keys (`{0:1}`, `{true:1}`, `{name:1}`), objects as keys, single quotes, superfluous commas, comments,
`+1`, `01`, `5.`, a byte order mark, raw control characters and Java's escapes in texts, `NaN` and `undefined`
(both null), `{"$ref":"$.a"}`. Every key that is not an object becomes a `str`, an object an `ObjectKey`.
Differs from fastjson: an empty text is an error here and null there; type suffixes (`1L`), a missing comma
and lists as keys are refused, for nobody writes them.
"""

import re
from typing import Any, Final

import msgspec

from rmqnode.protocol.fastjson.references import has_references, resolve_references
from rmqnode.protocol.fastjson.values import NESTING_MAX, FastjsonError, ObjectKey
from rmqnode.protocol.fastjson.writer import dumps

_NUMBER_LENGTH_MAX: Final = 400
"""Longer runs of digits are no number of anybody; the limit keeps `int()` linear."""

_STRING_OR_INTEGER_KEY: Final = re.compile(
    # Possessive, and satisfied with a string that never ends: linear, whatever it is given.
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|(?<=[{,])(?:0|-?[1-9][0-9]{0,18})(?=:)',
    re.DOTALL,
)

_BLANKS: Final = re.compile(r"(?:[\s\ufeff]+|/\*.*?\*/|//[^\n]*)*", re.DOTALL)
_COMMAS: Final = re.compile(r"(?:[\s,]+|/\*.*?\*/|//[^\n]*)*", re.DOTALL)
_NUMBER: Final = re.compile(r"([+-]?[0-9]+)(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_IDENTIFIER: Final = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_STRING_REST: Final = {quote: re.compile(rf"[^{quote}\\]*+(?:\\.[^{quote}\\]*+)*+", re.DOTALL) for quote in ('"', "'")}
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")
_WORDS: Final[dict[str, object]] = {
    "null": None, "undefined": None, "NaN": None, "true": True, "false": False,
}  # fmt: skip
_ESCAPES: Final = {
    "b": "\b", "f": "\f", "F": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "/": "/", "\\": "\\",
    '"': '"', "'": "'", **{str(digit): chr(digit) for digit in range(8)},
}  # fmt: skip


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """Read one JSON value of the dialect: dict, list, str, int, float, bool or None.

    Args:
        data: UTF-8 or text; bytes that are not UTF-8 are read as U+FFFD, as Java does.

    Raises:
        FastjsonError: Not JSON even by the dialect, or nested deeper than `NESTING_MAX`; says where.
    """
    try:
        value = _read_json(data)
    except RecursionError:
        raise FastjsonError(f"nested deeper than {NESTING_MAX}") from None
    except (msgspec.MsgspecError, UnicodeError):
        text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
        value = _Reader(text).read()
    else:
        _check_nesting(value)
    return resolve_references(value) if has_references(data) else value


def _read_json(data: bytes | bytearray | memoryview | str) -> object:
    """Read what is JSON, or is but for integers as keys: so Java writes its maps of numbers, which can be long."""
    try:
        return msgspec.json.decode(data)
    except msgspec.MsgspecError:
        text = data.encode() if isinstance(data, str) else data
        return msgspec.json.decode(_STRING_OR_INTEGER_KEY.sub(_with_quotes, text))


def _with_quotes(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0].startswith(b'"') else b'"%b"' % match[0]


def _check_nesting(value: object) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(NESTING_MAX):
        if not level:
            return
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, (dict, list))
        ]
    if level:
        raise FastjsonError(f"nested deeper than {NESTING_MAX}")


class _Reader:
    """One pass over one text by recursive descent; `position` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0

    def read(self) -> object:
        value = self._value()
        self._skip(_BLANKS)
        if self.position != len(self.text):
            raise self._error("something follows the end of the JSON text")
        return value

    def _value(self) -> object:
        character = self._peek()
        if character == "{":
            return self._object()
        if character == "[":
            return self._list()
        if character in ('"', "'"):
            return self._string(character)
        if match := _NUMBER.match(self.text, self.position):
            return self._number(match)
        word = self._identifier()
        if word not in _WORDS:
            raise self._error(f"unknown word {word[:20]!r}")
        return _WORDS[word]

    def _object(self) -> dict[Any, object]:
        self._enter()
        members: dict[Any, object] = {}
        while self._peek(_COMMAS) != "}":
            key = self._key()
            if self._peek() != ":":
                raise self._error("':' expected")
            self.position += 1
            members[key] = self._value()
            self._expect_separator("}")
        self._leave()
        return members

    def _list(self) -> list[object]:
        self._enter()
        items: list[object] = []
        while self._peek(_COMMAS) != "]":
            items.append(self._value())
            self._expect_separator("]")
        self._leave()
        return items

    def _key(self) -> str | ObjectKey:
        character = self._peek()
        if character in ('"', "'"):
            return self._string(character)
        if character == "{":
            members = self._object()
            return ObjectKey(members, dumps(dict(sorted(members.items(), key=_key_text))).decode())
        if match := _NUMBER.match(self.text, self.position):
            return str(self._number(match))
        return self._identifier()

    def _number(self, match: re.Match[str]) -> int | float:
        whole, fraction, exponent = match.groups()
        if len(match[0]) > _NUMBER_LENGTH_MAX:
            raise self._error("number too long")
        self.position = match.end()
        return float(match[0]) if exponent or len(fraction or "") > 1 else int(whole)

    def _identifier(self) -> str:
        match = _IDENTIFIER.match(self.text, self.position)
        if match is None:
            raise self._error(f"unexpected character {self.text[self.position]!r}")
        self.position = match.end()
        return match[0]

    def _string(self, quote: str) -> str:
        start = self.position + 1
        match = _STRING_REST[quote].match(self.text, start)
        assert match is not None  # the pattern matches nothing as well
        self.position = end = match.end()
        if end >= len(self.text):
            raise self._error("the text ends inside a string")
        raw = self.text[start:end]
        self.position = end + 1
        if "\\" in raw:
            try:
                raw = _ESCAPE.sub(_unescaped, raw)
            except _UnknownEscape as error:
                self.position = start + error.position
                raise self._error("unknown escape in a string") from None
        return _without_surrogates(raw)

    def _enter(self) -> None:
        self.position += 1
        self.depth += 1
        if self.depth > NESTING_MAX:
            raise self._error(f"nested deeper than {NESTING_MAX}")

    def _leave(self) -> None:
        self.position += 1
        self.depth -= 1

    def _expect_separator(self, end: str) -> None:
        if self._peek() not in (",", end):
            raise self._error(f"',' or '{end}' expected")

    def _peek(self, skipped: re.Pattern[str] = _BLANKS) -> str:
        self._skip(skipped)
        if self.position >= len(self.text):
            raise self._error("the text ends too early")
        return self.text[self.position]

    def _skip(self, skipped: re.Pattern[str]) -> None:
        match = skipped.match(self.text, self.position)
        assert match is not None  # the pattern matches nothing as well
        self.position = match.end()

    def _error(self, problem: str) -> FastjsonError:
        return FastjsonError(problem, self.position)


class _UnknownEscape(Exception):
    def __init__(self, position: int) -> None:
        self.position = position


def _unescaped(match: re.Match[str]) -> str:
    letter = match[3]
    if letter is None:
        return chr(int(match[1] or match[2], 16))
    if letter not in _ESCAPES:
        raise _UnknownEscape(match.end())
    return _ESCAPES[letter]


def _key_text(member: tuple[object, object]) -> str:
    return member[0].text if isinstance(member[0], ObjectKey) else str(member[0])


def _without_surrogates(text: str) -> str:
    """Join pairs of escaped surrogates; a lone one becomes U+FFFD, for no UTF-8 can hold it."""
    if not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
