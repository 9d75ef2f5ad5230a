"""Reads JSON and TOML that somebody else wrote: files of a home, the control socket, bodies of messages.

The decoders of the libraries also fail in ways of the interpreter: by its recursion limit for deep nesting, by
`UnicodeDecodeError` for bytes that are no UTF-8. Here each failure is the library's own error for a bad document.
"""

import tomllib
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_TOO_DEEP = "it is nested too deeply"


@overload
def decode_json(data: bytes | str) -> Any: ...
@overload
def decode_json(data: bytes | str, type: type[T]) -> T: ...
def decode_json(data: bytes | str, type: Any = Any) -> Any:
    """Return a JSON document as a value of the type.

    Raises:
        msgspec.DecodeError: It is no JSON, no UTF-8, nested too deeply, or not of the type.
    """
    try:
        return msgspec.json.decode(data, type=type)
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"it is no UTF-8: {error}") from None


def decode_toml(data: bytes) -> dict[str, Any]:
    """Return a TOML document.

    Raises:
        tomllib.TOMLDecodeError: It is no TOML, no UTF-8, or nested too deeply.
    """
    try:
        return tomllib.loads(data.decode())
    except RecursionError:
        raise tomllib.TOMLDecodeError(_TOO_DEEP) from None
    except UnicodeDecodeError as error:
        raise tomllib.TOMLDecodeError(f"it is no UTF-8: {error}") from None
