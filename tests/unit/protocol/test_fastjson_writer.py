import json
from enum import Enum
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.fastjson import dumps, loads

GOLDEN = Path(__file__).parents[2] / "golden" / "fastjson"


class Colour(Enum):
    DARK_RED = 7


class Key(msgspec.Struct, frozen=True, rename="camel"):
    topic: str
    queue_id: int


class Thing(msgspec.Struct, kw_only=True, rename="camel"):
    zebra: int = 1
    apple_pie: str | None = None
    table: dict[object, object] | None = None


GENERIC = {
    "list": [1, None, "x", [], [True, 1.5], {}],
    "nothing": None,
    "keys": {2: "int", 3: "long", True: "bool"},
    "bytes": b"\x01\x02\xff",
    "nulls": {"a": None},
    "objects": [{"a": 1}, {"b": 2}],
}


def test_every_kind_of_value_looks_as_fastjson_writes_it():
    assert dumps(GENERIC, bare_keys=True) == (GOLDEN / "generic.compact.json").read_bytes()
    assert dumps(GENERIC, pretty=True) == (GOLDEN / "generic.pretty.json").read_bytes()


def test_every_character_is_escaped_where_fastjson_escapes_it():
    lines = (GOLDEN / "escapes.txt").read_bytes().decode().split("\n")
    escaped = {chr(int(number, 16)): text for number, text in (line.split(" ", 1) for line in lines if line)}
    halves_of_pairs = range(0xD800, 0xE000)
    for character in (chr(number) for number in range(0x10000) if number not in halves_of_pairs):
        assert dumps(character).decode() == escaped.get(character, f'"{character}"')


def test_members_of_structs_are_sorted_and_nulls_left_out():
    assert dumps(Thing(table={"b": None, "a": 1})) == b'{"table":{"a":1},"zebra":1}'
    assert dumps(Thing(apple_pie="x")) == b'{"applePie":"x","zebra":1}'


def test_integer_keys_are_quoted_unless_asked_otherwise():
    assert dumps({0: "a", True: "b"}) == b'{"0":"a","true":"b"}'
    assert dumps({0: "a", True: "b"}, bare_keys=True) == b'{0:"a",true:"b"}'
    assert dumps({0: "a"}, pretty=True) == b'{0:"a"\n}'
    assert dumps({0: "a"}, pretty=True, bare_keys=False) == b'{\n\t"0":"a"\n}'


def test_structs_as_keys_are_written_as_objects():
    assert dumps({Key("T", 3): 5}) == b'{{"queueId":3,"topic":"T"}:5}'


def test_enums_sets_and_odd_numbers_have_javas_form():
    value = [Colour.DARK_RED, {3, 1, 2}, 1e10, float("nan"), float("inf"), -0.0]
    assert dumps(value) == b'["DARK_RED",[1,2,3],1.0E10,null,null,-0.0]'


def test_half_a_surrogate_pair_is_written_as_java_writes_it():
    assert dumps("a\ud800b") == b'"a?b"'


def test_what_has_no_json_form_is_a_type_error():
    with pytest.raises(TypeError, match="no JSON form for complex"):
        dumps({"a": 1j})


def test_endless_nesting_is_a_value_error():
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="deeper than 64"):
        dumps(value)


LEAVES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back_by_us_and_by_strict_parsers(value):
    for text in (dumps(value), dumps(value, pretty=True)):
        assert loads(text) == value
        assert json.loads(text) == value


@given(st.dictionaries(st.integers(), LEAVES))
def test_bare_keys_are_read_back(value):
    assert loads(dumps(value, bare_keys=True)) == {str(key): member for key, member in value.items()}
