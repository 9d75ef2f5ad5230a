import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.properties import (
    PropertyName,
    append_property,
    decode_properties,
    encode_properties,
    find_property,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "java_text" / "properties.jsonl"
VECTORS = [tuple(json.loads(line)) for line in GOLDEN.read_text("utf-8").splitlines()]

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x01\x02"), min_size=1, max_size=8)
NEAR_MISSES = st.text(st.sampled_from("\x01\x02AXé"), max_size=40)


@pytest.mark.parametrize(("text", "expected"), VECTORS)
def test_properties_are_read_as_java_reads_them(text, expected):
    assert decode_properties(text) == expected


@given(st.dictionaries(WORDS, WORDS))
def test_properties_come_back_as_they_were(properties):
    assert decode_properties(encode_properties(properties)) == properties
    assert decode_properties(encode_properties(properties)[:-1]) == properties


@pytest.mark.parametrize("properties", [{"a\x01": "b"}, {"a": "b\x02"}, {"a": "b\x02c\x01d"}])
def test_a_separator_inside_a_property_is_refused(properties):
    with pytest.raises(ValueError, match="0x01 and 0x02"):
        encode_properties(properties)


@pytest.mark.parametrize("text", ["", "a\x01b\x02", "a\x01b"])
def test_appending_adds_the_separator_that_is_missing(text):
    assert decode_properties(append_property(text, "c", "d")) == {**decode_properties(text), "c": "d"}


@given(NEAR_MISSES)
def test_search_finds_what_reading_all_finds(text):
    for name in ("A", "X", "é", "AA", "XA"):
        found = find_property(text.encode(), name)
        assert (found if found is None else found.decode()) == decode_properties(text).get(name)


def test_search_is_not_misled_by_other_names_and_values():
    data = b"XTAGS\x01no\x02KEYS\x01TAGS\x02NOTE\x01TAGS no\x02TAGS\x01TagA\x02DELAY\x013"
    assert find_property(data, PropertyName.TAGS) == b"TagA"
    assert find_property(data, PropertyName.DELAY) == b"3"
    assert find_property(data, PropertyName.WAIT) is None
