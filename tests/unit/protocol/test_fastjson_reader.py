import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.fastjson import FastjsonError, ObjectKey, dumps, loads

GOLDEN = Path(__file__).parents[2] / "golden" / "fastjson"

STRICTER_THAN_FASTJSON = {"", " ", '{"a":1L}', "[1 2]", "{[1]:3}"}
"""Texts that fastjson reads and the documentation of our reader excludes."""
LAXER_THAN_FASTJSON = {"{ 1 : 2 }"}
"""Texts that fastjson refuses by accident: it looks for the colon right behind a number."""
READ_OTHERWISE = {'"\\ud800"'}
"""Half a surrogate pair is ? in fastjson's output, U+FFFD here."""

VECTORS = [tuple(json.loads(line)) for line in (GOLDEN / "reader.jsonl").read_text("utf-8").splitlines()]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)
DIALECT = st.text(st.sampled_from("{}[]:,'\"\\/*\n 01-+.eEux$rfntaluNd_é\ud800"), max_size=60)


@pytest.mark.parametrize(
    ("text", "written"), [vector for vector in VECTORS if vector[0] not in STRICTER_THAN_FASTJSON | READ_OTHERWISE]
)
def test_odd_texts_are_read_as_fastjson_reads_them(text, written):
    if written is None and text not in LAXER_THAN_FASTJSON:
        with pytest.raises(FastjsonError):
            loads(text)
    elif written is not None:
        assert without_nulls(loads(text)) == loads(written)


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return value


@pytest.mark.parametrize("text", sorted(STRICTER_THAN_FASTJSON))
def test_what_the_documentation_excludes_is_refused(text):
    with pytest.raises(FastjsonError):
        loads(text)


@given(VALUES)
def test_strict_json_is_read_as_any_parser_reads_it(value):
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(VALUES)
def test_the_dialect_reader_agrees_with_strict_parsers(value):
    assert loads("/**/" + json.dumps(value)) == value


@given(DIALECT | st.binary(max_size=60))
def test_any_text_is_a_value_or_a_protocol_error(data):
    with suppress(ProtocolError):
        dumps(loads(data))


@given(st.sampled_from(sorted(GOLDEN.glob("*.json"))), st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_gives_a_value_or_a_protocol_error(path, position, byte):
    data = bytearray(path.read_bytes())
    data[position % len(data)] = byte
    with suppress(ProtocolError):
        loads(data)


@given(st.dictionaries(st.integers(), VALUES), st.text(st.sampled_from('{,}[]:12"\\')))
def test_integers_as_keys_are_read_as_texts_wherever_they_are(value, text):
    written = dumps({1: value, 2: [text, {-3: text}]}, bare_keys=True)
    assert loads(written) == loads(b"/**/" + written)
    assert loads(written)["2"] == [text, {"-3": text}]


@pytest.mark.parametrize(
    "text", ['{1:"' + '\\"' * 500_000, '{1:"' + "\\" * 500_001, "{1," * 500_000, '{1:""""' * 200_000]
)
def test_long_texts_that_are_no_json_are_refused_in_linear_time(text):
    with pytest.raises(FastjsonError):
        loads(text)


def test_bare_keys_become_texts():
    assert loads(b"{0:1,-7:2,true:3,null:4,name:5}") == {"0": 1, "-7": 2, "true": 3, "null": 4, "name": 5}


def test_object_keys_are_equal_in_any_order_of_their_members():
    decoded = loads(b'{{"topic":"T","queueId":0}:5,{"queueId":1,"topic":"T"}:6}')
    key = next(iter(decoded))
    assert isinstance(key, ObjectKey)
    assert key.text == '{"queueId":0,"topic":"T"}'
    assert dict(key) == {"topic": "T", "queueId": 0}
    assert decoded == loads(b'{{"queueId":1,"topic":"T"}:6,{"queueId":0,"topic":"T"}:5}')


def test_object_keys_are_written_back_as_objects():
    text = b'{"offsetTable":{{"queueId":0,"topic":"T"}:5}}'
    assert dumps(loads(text)) == text


@pytest.mark.parametrize(
    ("text", "position"),
    [('{"a":1', 6), ("{a-b:1}", 2), ('{"a":1} x', 8), ("['x", 3), ("{\"a\":'\\q'}", 8), ("{a:tru}", 6)],
)
def test_an_error_names_the_position(text, position):
    with pytest.raises(FastjsonError, match=f"at character {position}$") as caught:
        loads(text)
    assert caught.value.position == position


@pytest.mark.parametrize("opening", ["[", '{"a":', "[{b:", "{{"])
@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
def test_deep_nesting_is_refused(opening, depth):
    with pytest.raises(FastjsonError):
        loads(opening * depth)


@pytest.mark.parametrize("filler", ["", "'x',"])
def test_nesting_is_limited_at_64_in_strict_and_odd_texts(filler):
    assert loads("[" * 64 + filler + "]" * 64)
    with pytest.raises(FastjsonError, match="deeper than 64"):
        loads("[" * 65 + filler + "]" * 65)


def test_a_number_without_end_is_refused():
    with pytest.raises(FastjsonError, match="number too long"):
        loads("1" * 100_000)


def test_invalid_utf8_is_read_as_java_reads_it():
    assert loads(b'{"a":"x\xffy"}') == {"a": "x�y"}


def test_a_lone_surrogate_does_not_reach_the_caller():
    assert loads('"\\ud83d\\ude00\\ud800"') == "😀�"


def test_references_are_replaced_by_copies():
    decoded = loads(
        '{"a":{"x":[1,{"y":2}]},"b":{"$ref":"$.a"},"c":{"$ref":"$.a.x[1]"},"d.e":3,"f":{"$ref":"$.d\\\\.e"}}'
    )
    assert decoded["b"] == decoded["a"]
    assert decoded["b"] is not decoded["a"]
    assert decoded["c"] == {"y": 2}
    assert decoded["f"] == 3


@pytest.mark.parametrize("path", ["$", "..", "@", "$.a", "$.missing", "$.a[0]", "$.list[9]", "$[", "$.", "nonsense"])
def test_references_to_holders_and_to_nothing_are_null(path):
    assert loads(json.dumps({"a": {"b": {"$ref": path}}, "list": [1]}))["a"]["b"] is None


def test_references_that_name_each_other_end():
    assert loads('{"a":{"x":{"$ref":"$.b"}},"b":{"y":{"$ref":"$.a"}}}') == {
        "a": {"x": {"y": None}},
        "b": {"y": {"x": None}},
    }
    with pytest.raises(FastjsonError, match="behind references"):
        loads('{"a":{"$ref":"$.b"},"b":{"$ref":"$.a"}}')


def test_references_can_not_blow_a_text_up():
    bomb = {"a0": list(range(10))} | {f"a{n}": [{"$ref": f"$.a{n - 1}"} for _ in range(10)] for n in range(1, 10)}
    with pytest.raises(FastjsonError, match="behind references"):
        loads(json.dumps(bomb))
