"""Custom headers: typed structs on our side, a map of texts (`extFields`) on the wire.

The rules of conversion are Java's: decimal text by `Integer.parseInt` and `Long.parseLong`, booleans by
`Boolean.parseBoolean`. Differs from Java in one thing: a required field that is missing or can't be parsed is
an error that names it, where Java logs it and runs into a NullPointerException later.
Source: `RemotingCommand#decodeCommandCustomHeader`, `#makeCustomHeaderToNet` (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from rmqnode.protocol.errors import HeaderFieldError
from rmqnode.protocol.java_text import parse_boolean, parse_int, parse_long

I32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""Java's `int` or `Integer`."""

I64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Java's `long` or `Long`."""


class Header(msgspec.Struct, rename="camel", gc=False):
    """Base of all custom headers. A field without a default is required; its wire name is in camel case."""


class NoHeader(Header):
    """For requests and responses without a custom header."""


H = TypeVar("H", bound=Header)

_PARSERS: Final[dict[object, tuple[str, Callable[[str], object | None]]]] = {
    str: ("text", lambda text: text),
    bool: ("a boolean", parse_boolean),
    I32: ("a decimal int", parse_int),
    I64: ("a decimal long", parse_long),
}


class HeaderField(msgspec.Struct):
    """One field of a header type: its name here and on the wire, and how its text is read."""

    name: str
    wire_name: str
    kind: str
    parse: Callable[[str], object | None]
    required: bool


def header_from_ext_fields(header_type: type[H], ext_fields: Mapping[str, str]) -> H:
    """Read a typed header from the map of a frame; unknown entries are ignored.

    Raises:
        HeaderFieldError: A required field is missing or can't be parsed.
    """
    values: dict[str, Any] = {}
    for field in fields_of(header_type):
        text = ext_fields.get(field.wire_name)
        value = None if text is None else field.parse(text)
        if value is not None:
            values[field.name] = value
        elif field.required:
            problem = "is missing" if text is None else f"is not {field.kind}: {text[:64]!r}"
            raise HeaderFieldError(header_type.__name__, field.wire_name, problem)
    return header_type(**values)


def header_to_ext_fields(header: Header) -> dict[str, str]:
    """Write a typed header as the map of a frame; fields that are None are left out."""
    # Texts and ints are most of all values, and this runs for every answer: no call for them.
    return {
        name: value if value.__class__ is str else str(value) if value.__class__ is int else _text(value)
        for name, value in zip(header.__struct_encode_fields__, msgspec.structs.astuple(header))  # noqa: B905
        if value is not None
    }


def boolean_fields(header_type: type[Header]) -> tuple[str, ...]:
    """Return the names of the fields that are booleans."""
    return tuple(field.name for field in fields_of(header_type) if field.parse is parse_boolean)


def _text(value: object) -> str:
    if value is True:
        return "true"
    return "false" if value is False else str(value)


@cache
def fields_of(header_type: type[Header]) -> tuple[HeaderField, ...]:
    """Return the fields of a header type in the order of declaration."""
    hints = get_type_hints(header_type, include_extras=True)
    return tuple(
        HeaderField(field.name, field.encode_name, *_PARSERS[_without_none(hints[field.name])], field.required)
        for field in msgspec.structs.fields(header_type)
    )


def _without_none(hint: object) -> object:
    if get_origin(hint) in (UnionType, Union):
        (hint,) = (member for member in get_args(hint) if member is not type(None))
    return hint
