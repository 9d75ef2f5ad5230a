"""Writer of the dialect: compact for bodies, pretty for `config/*.json`.

Members of structs are sorted by wire name, None is left out (a list keeps its nulls), doubles look as Java
prints them, enums go by name, bytes in base64. Dicts keep their order, for Java's maps have none. Integer and
boolean keys are quoted (strict parsers and the Go client need that; all Java clients read both) unless
`bare_keys` asks for Java's own form. A struct or an `ObjectKey` as a key is written as an object.
Source: fastjson 1.2.51 `SerializeWriter`, `MapSerializer`, `JavaBeanSerializer`, `ListSerializer`; its
observed output is under tests/golden/fastjson.
"""

import binascii
import math
import re
from collections.abc import Generator, Mapping
from enum import Enum, Flag
from functools import cache
from typing import Any, Final

import msgspec

from rmqnode.protocol.fastjson.values import NESTING_MAX, ObjectKey, TextTooLarge
from rmqnode.protocol.java_text import format_double

_ESCAPED: Final = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_STEPPED_DEPTH: Final = 6
"""Containers inside one another down to which each is written step by step; what lies deeper is small."""

_PARTS_AT_ONCE: Final = 512
"""Parts of the text between two steps, about 0.1 ms."""

_SHORT_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r",
}  # fmt: skip


def dumps(value: object, *, pretty: bool = False, bare_keys: bool | None = None) -> bytes:
    """Write a value as UTF-8.

    Args:
        value: Structs, dicts, lists, tuples, sets, str, bytes, numbers, bools, enums, None.
        pretty: Members on own lines, indented with tabs, byte for byte as Apache writes its config files.
        bare_keys: Leave integer and boolean keys unquoted; None means: in the pretty form only.

    Raises:
        TypeError: The value holds something that has no JSON form.
        ValueError: It is nested deeper than `NESTING_MAX`.
    """
    writer = _Writer(pretty, pretty if bare_keys is None else bare_keys)
    writer.write(value)
    return "".join(writer.parts).encode()


def dump_steps(
    value: object, *, pretty: bool = False, bare_keys: bool | None = None, size_bytes_max: int | None = None
) -> Generator[None, None, bytes]:
    """Write a value as `dumps` does, with a yield wherever the work may be interrupted; the result is the same.

    What the value holds must not change meanwhile.

    Raises:
        TextTooLarge: It has more than `size_bytes_max` bytes.
        TypeError, ValueError: As `dumps`.
    """
    writer = _SteppingWriter(pretty, pretty if bare_keys is None else bare_keys, size_bytes_max)
    yield from writer.steps(value)
    writer.take_parts()
    return bytes(writer.text)


class _Writer:
    """Collects the parts of one text; `indent` counts open containers."""

    def __init__(self, pretty: bool, bare_keys: bool) -> None:
        self.parts: list[str] = []
        self._pretty = pretty
        self._bare_keys = bare_keys
        self._indent = 0

    def write(self, value: Any) -> None:
        kind = value.__class__
        if kind is str:
            self.parts.append(_quoted(value))
        elif kind is int:
            self.parts.append(str(value))
        elif value is None or kind is bool:
            self.parts.append(_WORDS[value])
        elif kind is dict:
            self._write_dict(value)
        elif kind is list or kind is tuple:
            self._write_list(value)
        elif isinstance(value, msgspec.Struct):
            self._write_members(_members(value))
        else:
            self._write_other(value)

    def _write_other(self, value: Any) -> None:
        if isinstance(value, float):
            self.parts.append(format_double(value) if math.isfinite(value) else "null")
        elif isinstance(value, Flag):
            # Java has no such enums: flags are ints on its side.
            self.write(int(value.value))
        elif isinstance(value, Enum):
            self.parts.append(_quoted(value.name))
        elif isinstance(value, (bytes, bytearray, memoryview)):
            self.parts.append(f'"{binascii.b2a_base64(value, newline=False).decode()}"')
        elif isinstance(value, (set, frozenset)):
            self._write_set(value)
        elif isinstance(value, (str, int)):
            self.write(str(value) if isinstance(value, str) else int(value))
        elif isinstance(value, ObjectKey):
            self._write_members([(f"{_quoted(name)}:", member) for name, member in value.items()])
        elif isinstance(value, Mapping):
            self._write_dict(value)
        else:
            raise TypeError(f"no JSON form for {value.__class__.__name__}")

    def _write_members(self, members: list[tuple[str, Any]]) -> None:
        """Write an object of fixed members, a Java bean; the names are given quoted, with their colon."""
        self._open("{")
        self._break()
        separator = ""
        for label, member in members:
            if member is None:
                continue
            if separator:
                self.parts.append(separator)
                self._break()
            separator = ","
            self.parts.append(label)
            self.write(member)
        self._close("}")

    def _write_dict(self, members: Mapping[Any, Any]) -> None:
        """Write a map. Pretty-printed only a text key starts a line: `{0:12,1:13` with the brace below."""
        if not members:
            self.parts.append("{}")
            return
        self._open("{")
        separator = ""
        for key, member in members.items():
            if member is None:
                continue
            self.parts.append(separator)
            separator = ","
            self._write_key(key)
            self.write(member)
        self._close("}")

    def _write_key(self, key: Any) -> None:
        if isinstance(key, Enum):
            key = key.name
        if isinstance(key, (int, bool)) and self._bare_keys:
            self.parts.append(f"{_key_text(key)}:")
        elif isinstance(key, (str, int)):
            self._break()
            self.parts.append(f"{_quoted(_key_text(key))}:")
        else:
            self.write(key)
            self.parts.append(":")

    def _write_list(self, items: list[Any] | tuple[Any, ...]) -> None:
        if not items:
            self.parts.append("[]")
            return
        self._open("[")
        separator = ""
        for item in items:
            self.parts.append(separator)
            separator = ","
            self._break()
            self.write(item)
        self._close("]")

    def _write_set(self, items: set[Any] | frozenset[Any]) -> None:
        """Write a set, sorted so that equal sets give equal texts; on one line also when pretty-printed."""
        self.parts.append("[")
        separator = ""
        for item in sorted(items):
            self.parts.append(separator)
            separator = ","
            self.write(item)
        self.parts.append("]")

    def _open(self, bracket: str) -> None:
        self._indent += 1
        if self._indent > NESTING_MAX:
            raise ValueError(f"nested deeper than {NESTING_MAX}")
        self.parts.append(bracket)

    def _close(self, bracket: str) -> None:
        self._indent -= 1
        self._break()
        self.parts.append(bracket)

    def _break(self) -> None:
        if self._pretty:
            self.parts.append("\n" + "\t" * self._indent)


class _SteppingWriter(_Writer):
    """Yields after each few members of long containers, as deep as tables lie in bodies."""

    def __init__(self, pretty: bool, bare_keys: bool, size_bytes_max: int | None) -> None:
        super().__init__(pretty, bare_keys)
        self.text = bytearray()
        self._size_bytes_max = size_bytes_max

    def take_parts(self) -> None:
        """Move what was written into `text`: a long list of parts would be joined in one go."""
        self.text += "".join(self.parts).encode()
        self.parts.clear()
        if self._size_bytes_max is not None and len(self.text) > self._size_bytes_max:
            raise TextTooLarge(self._size_bytes_max)

    def steps(self, value: Any) -> Generator[None, None, None]:
        """Write a value."""
        if self._indent < _STEPPED_DEPTH:
            if value.__class__ is dict:
                return (yield from self._dict_steps(value))
            if value.__class__ is list:
                return (yield from self._list_steps(value))
            if isinstance(value, msgspec.Struct) and not _is_flat(value.__class__):
                return (yield from self._member_steps(_members(value)))
        self.write(value)
        if len(self.parts) > _PARTS_AT_ONCE:
            self.take_parts()
            yield

    def _member_steps(self, members: list[tuple[str, Any]]) -> Generator[None, None, None]:
        self._open("{")
        self._break()
        separator = ""
        for label, member in members:
            if member is None:
                continue
            if separator:
                self.parts.append(separator)
                self._break()
            separator = ","
            self.parts.append(label)
            yield from self.steps(member)
        self._close("}")

    def _dict_steps(self, members: dict[Any, Any]) -> Generator[None, None, None]:
        if not members:
            self.parts.append("{}")
            return
        self._open("{")
        separator = ""
        for key, member in members.items():
            if member is None:
                continue
            self.parts.append(separator)
            separator = ","
            self._write_key(key)
            yield from self.steps(member)
        self._close("}")

    def _list_steps(self, items: list[Any]) -> Generator[None, None, None]:
        if not items:
            self.parts.append("[]")
            return
        self._open("[")
        separator = ""
        for item in items:
            self.parts.append(separator)
            separator = ","
            self._break()
            yield from self.steps(item)
        self._close("]")


_WORDS: Final = {None: "null", True: "true", False: "false"}


def _members(struct: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(label, getattr(struct, attribute)) for label, attribute in _labels(struct.__class__)]


@cache
def _is_flat(struct_type: type[msgspec.Struct]) -> bool:
    """Whether a struct holds no containers and no other structs."""
    kinds = (field.type for field in msgspec.inspect.type_info(struct_type).fields)  # type: ignore[attr-defined]
    return not any(_holds_values(kind) for kind in kinds)


def _holds_values(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_holds_values, kind.types))
    return isinstance(kind, (msgspec.inspect.CollectionType, msgspec.inspect.DictType, msgspec.inspect.StructType))


@cache
def _labels(struct_type: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """Return the quoted wire names and the attributes of a struct in the order of the wire names."""
    names = zip(struct_type.__struct_encode_fields__, struct_type.__struct_fields__, strict=True)
    return tuple((f"{_quoted(wire_name)}:", attribute) for wire_name, attribute in sorted(names))


def _key_text(key: str | int) -> str:
    return _WORDS[key] if isinstance(key, bool) else str(key)


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\ud800" <= character <= "\udfff":
        return "?"  # what Java's UTF-8 encoder makes of half a pair
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04X}"
