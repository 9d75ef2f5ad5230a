"""Makes typed structs of a decoded text, with the coercions of fastjson that official clients rely on."""

import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from rmqnode.protocol.fastjson.reader import loads
from rmqnode.protocol.fastjson.references import has_references
from rmqnode.protocol.fastjson.values import FastjsonError, TextTooLarge

T = TypeVar("T")

PLAIN_BYTES_MAX: Final = 1024 * 1024
"""Largest plain JSON body of a request, 15 ms of work; a heartbeat of 5,000 subscriptions has so many bytes."""

OBJECTS_MAX: Final = 16_384
"""Most objects in a body above `DIALECT_BYTES_MAX`: empty ones take 1 us for 3 bytes."""

COERCED_BYTES_MAX: Final = 64 * 1024
"""Largest JSON body with values that only fastjson takes for what they should be: Go's ordinals of enums."""

DIALECT_BYTES_MAX: Final = 4 * 1024
"""Largest body in fastjson's own dialect, which is read character by character. No client writes such requests."""

_DROPPED: Final = object()
"""Stands for a member that Java would leave at its default."""


def decode(data: bytes | bytearray | memoryview | str, type_: type[T]) -> T:
    """Read a typed value.

    Unknown members are ignored and missing ones take their default. Numbers may be texts and the other way
    round, enums names or ordinals; null for something that can't be null and an unknown enum name mean the
    default.

    Raises:
        FastjsonError: Not JSON of the dialect, or a member has a value that its type does not have; names it.
    """
    if not has_references(data):
        try:
            # Four times as fast as by way of a value; nearly all bodies are such.
            return typing.cast(T, _typed_decoder(typing.cast(Any, type_))(data))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
    return _decode_by_value(loads(data), type_)


def decode_request(data: bytes, type_: type[T]) -> T:
    """Read a typed value as `decode` does, within what the loop of a node may be kept waiting for.

    Raises:
        FastjsonError: As `decode`; or more than may be read at once: `PLAIN_BYTES_MAX` of plain JSON with the values
            that its type has and `OBJECTS_MAX` objects, `COERCED_BYTES_MAX` of JSON with other values,
            `DIALECT_BYTES_MAX` of what is no JSON.
    """
    if len(data) <= DIALECT_BYTES_MAX:
        return decode(data, type_)
    if len(data) > PLAIN_BYTES_MAX:
        raise TextTooLarge(PLAIN_BYTES_MAX, "the body")
    if data.count(b"{") > OBJECTS_MAX:
        raise FastjsonError(f"the body has more than {OBJECTS_MAX} objects")
    if not has_references(data):
        try:
            return typing.cast(T, _typed_decoder(typing.cast(Any, type_))(data))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
    if len(data) > COERCED_BYTES_MAX:
        raise TextTooLarge(COERCED_BYTES_MAX, f"a body that is not the plain JSON of {type_.__name__}")
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise TextTooLarge(DIALECT_BYTES_MAX, "a body that is no plain JSON") from None
    return _decode_by_value(loads(data), type_)


@cache
def _typed_decoder(type_: Any) -> Callable[[bytes | bytearray | memoryview | str], Any]:
    try:
        return msgspec.json.Decoder(type_, strict=False).decode
    except TypeError:
        # A map with objects as keys, which no JSON has.
        return _refuse


def _refuse(_: object) -> typing.NoReturn:
    raise msgspec.ValidationError


def _decode_by_value(value: Any, type_: type[T]) -> T:
    try:
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError:
        # Only rare peers (Go's ordinals, hand-written bodies) need the coercions: pay for them only then.
        coerced = _coercion(typing.cast(Any, type_))(value)
    try:
        return msgspec.convert(coerced, type_, strict=False)
    except msgspec.ValidationError as error:
        raise FastjsonError(f"{type_.__name__}: {error}") from None


@cache
def _coercion(hint: Any) -> Callable[[Any], Any]:
    """Return the function that brings a decoded value nearer to a type."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _coercion(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        (member,) = (argument for argument in typing.get_args(hint) if argument is not types.NoneType)
        return _coerce_optional(_coercion(member))
    if origin is list:
        return _coerce_list(_coercion(typing.get_args(hint)[0]))
    if origin is dict:
        return _coerce_dict(*map(_coercion, typing.get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _coerce_struct(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _coerce_enum(hint)
    return _coerce_str if hint is str else _coerce_plain


def _coerce_optional(coerce: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else coerce(value)


def _coerce_list(coerce: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def coerce_list(value: Any) -> Any:
        if value is None:
            return _DROPPED
        if not isinstance(value, list):
            return value
        return [item for item in map(coerce, value) if item is not _DROPPED]

    return coerce_list


def _coerce_dict(coerce_key: Callable[[Any], Any], coerce: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def coerce_dict(value: Any) -> Any:
        if value is None:
            return _DROPPED
        if not isinstance(value, dict):
            return value
        members = ((coerce_key(key), coerce(member)) for key, member in value.items())
        return {key: member for key, member in members if member is not _DROPPED}

    return coerce_dict


def _coerce_struct(struct_type: type[msgspec.Struct]) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(struct_type, include_extras=True)
    names = zip(struct_type.__struct_encode_fields__, struct_type.__struct_fields__, strict=True)
    coercions = {wire_name: _coercion(hints[name]) for wire_name, name in names}

    def coerce_struct(value: Any) -> Any:
        if value is None:
            return _DROPPED
        if not isinstance(value, dict):
            return value
        members = ((name, coercions[name](member)) for name, member in value.items() if name in coercions)
        return {name: member for name, member in members if member is not _DROPPED}

    return coerce_struct


def _coerce_enum(enum_type: type[Enum]) -> Callable[[Any], Any]:
    by_name = {member.name: member.value for member in enum_type}
    by_ordinal = [member.value for member in enum_type]

    def coerce_enum(value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return by_ordinal[value] if 0 <= value < len(by_ordinal) else _DROPPED
        return by_name.get(value, _DROPPED) if isinstance(value, str) else _DROPPED

    return coerce_enum


def _coerce_str(value: Any) -> Any:
    if value is None:
        return _DROPPED
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def _coerce_plain(value: Any) -> Any:
    return _DROPPED if value is None else value
