"""Text that a stranger may send, in headers and bodies of every kind: line ends, escapes, half pairs, length."""

import json
import re
import struct
import types
from collections.abc import Iterator
from enum import Enum
from typing import Any, Union, get_args, get_origin

import msgspec

from rmqnode.protocol import bodies
from rmqnode.protocol.header_fields import Header, fields_of

STAMP = "2026-11-30 12:00:00,000"

HOSTILE = f"a\n{STAMP} ERROR forged \x1b[31m\x1b]0;title\x07\r\x08\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\u200f z"
"""Everything at once."""

HALF = "a\ud801b"
"""Half of a pair: a header that holds it cannot be read, a body may."""

LONG = "L" * 100_000

FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What may stand neither in a log nor on a terminal, lines ends aside."""

BODY_TYPES: tuple[type[Any], ...] = tuple(
    found
    for name in bodies.__all__
    if isinstance(found := getattr(bodies, name), type) and issubclass(found, bodies.Body) and found is not bodies.Body
)


class _Texts:
    """Gives the hostile text at one place (or at all of them) and a harmless one elsewhere."""

    def __init__(self, place: int | None, text: str) -> None:
        self._place = place
        self._text = text
        self.count = 0

    def next(self) -> str:
        self.count += 1
        return self._text if self._place in (None, self.count - 1) else "t"


def ext_fields_of(header_type: type[Header], text: str, number: str = "1") -> Iterator[dict[str, str]]:
    """The fields of a header: hostile in all texts, then in one after the other; all numbers are this one."""
    fields = fields_of(header_type)
    names = [field.wire_name for field in fields if field.kind == "text"]
    other = {
        field.wire_name: number if field.kind != "a boolean" else "true" for field in fields if field.kind != "text"
    }
    yield other | dict.fromkeys(names, text)
    for name in names:
        yield other | dict.fromkeys(names, "t") | {name: text}


def header_of(header_type: type[Header], text: str) -> Header:
    """A header with the text everywhere."""
    header: Header = _value(header_type, _Texts(None, text))
    return header


def body_of(body_type: type[Any], text: str = HOSTILE) -> bytes:
    """A body of this type with the text everywhere."""
    encoded: bytes = _value(body_type, _Texts(None, text)).encode()
    return encoded


def bodies_of(body_type: type[Any], text: str = HOSTILE) -> Iterator[bytes]:
    """Bodies of this type: hostile in all texts, then in one after the other."""
    texts = _Texts(None, text)
    yield _value(body_type, texts).encode()
    for place in range(texts.count):
        yield _value(body_type, _Texts(place, text)).encode()


def _value(hint: Any, texts: _Texts) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return _value(next(each for each in arguments if each is not type(None)), texts)
    if hasattr(hint, "__metadata__"):
        return _value(arguments[0], texts)
    if origin in (list, set, frozenset, tuple):
        return origin([_value(arguments[0], texts)])
    if (origin is not None and issubclass(origin, dict)) or hint is dict:
        return {_value(arguments[0], texts): _value(arguments[1], texts)} if arguments else {}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        values = {field.name: _value(field.type, texts) for field in msgspec.structs.fields(hint)}
        return hint(**values)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    return {str: texts.next, int: lambda: 1, bool: lambda: True, float: lambda: 1.0, bytes: lambda: b"x"}.get(
        hint, texts.next
    )()


def frame(code: int, opaque: int, ext_fields: dict[str, str], body: bytes = b"", flag: int = 0) -> bytes:
    """A request as any program could write it; texts with half pairs included."""
    header = {"code": code, "flag": flag, "language": "JAVA", "opaque": opaque, "version": 317, "extFields": ext_fields}
    encoded = json.dumps(header).encode()
    return struct.pack(">ii", 4 + len(encoded) + len(body), len(encoded)) + encoded + body
