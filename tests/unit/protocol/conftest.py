"""Values for codec tests, made from the header types themselves."""

from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import strategies as st

from rmqnode.protocol.header_fields import I32, I64, Header
from tests.unit.protocol.header_types import HEADER_TYPES

VALUES: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bool: st.booleans(),
    I32: st.integers(-(2**31), 2**31 - 1),
    I64: st.integers(-(2**63), 2**63 - 1),
    type(None): st.none(),
}


def headers_of(header_type: type[Header]) -> st.SearchStrategy[Any]:
    """Any header of a type, each field within the bounds that Java's type has."""
    hints = get_type_hints(header_type, include_extras=True)
    fields = {field.name: values_of(hints[field.name]) for field in msgspec.structs.fields(header_type)}
    return st.builds(header_type, **fields)


def values_of(hint: object) -> st.SearchStrategy[Any]:
    is_union = get_origin(hint) in (UnionType, Union)
    return st.one_of(*(VALUES[member] for member in (get_args(hint) if is_union else (hint,))))


@pytest.fixture(params=HEADER_TYPES, ids=lambda each: each.__name__, scope="session")
def header_type(request: pytest.FixtureRequest) -> type[Header]:
    """Each header type of the protocol in turn."""
    chosen: type[Header] = request.param
    return chosen


@pytest.fixture(scope="session")
def header_types() -> list[type[Header]]:
    """All header types of the protocol."""
    return HEADER_TYPES


@pytest.fixture(scope="session")
def any_header() -> Callable[[type[Header]], st.SearchStrategy[Any]]:
    """Strategy for the headers of a type."""
    return headers_of
