import json
import math
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.java_text import (
    format_double,
    parse_boolean,
    parse_double,
    parse_int,
    parse_long,
    string_hash,
    tag_hash,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "java_text"


def vectors(name):
    return [tuple(json.loads(line)) for line in (GOLDEN / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("text", "expected"), vectors("parse_int.jsonl"))
def test_int_is_read_as_java_reads_it(text, expected):
    assert parse_int(text) == (None if expected is None else int(expected))


@pytest.mark.parametrize(("text", "expected"), vectors("parse_long.jsonl"))
def test_long_is_read_as_java_reads_it(text, expected):
    assert parse_long(text) == (None if expected is None else int(expected))


@pytest.mark.parametrize(("text", "expected"), vectors("parse_boolean.jsonl"))
def test_boolean_is_read_as_java_reads_it(text, expected):
    assert parse_boolean(text) is (expected == "true")


@pytest.mark.parametrize(("text", "expected"), vectors("parse_double.jsonl"))
def test_double_is_read_as_java_reads_it(text, expected):
    value = parse_double(text)
    assert (value if value is None else format_double(value)) == expected


@pytest.mark.parametrize(("bits", "expected"), vectors("format_double.jsonl"))
def test_double_is_written_as_java_writes_it(bits, expected):
    assert format_double(struct.unpack(">d", bytes.fromhex(bits))[0]) == expected


@pytest.mark.parametrize(("text", "expected"), vectors("string_hash.jsonl"))
def test_hash_is_javas(text, expected):
    assert string_hash(text) == tag_hash(text) == int(expected)


def test_hash_of_a_huge_tag_is_not_remembered_but_right():
    assert tag_hash("TagA" * 10_000) == string_hash("TagA" * 10_000)


def test_zeros_in_front_are_legal_in_any_number():
    assert parse_int("0" * 100_000 + "7") == 7
    assert parse_long("-" + "٠" * 10_000 + "12") == -12


def test_a_huge_run_of_digits_is_no_number_and_costs_nothing():
    assert parse_long("9" * 1_000_000) is None


@pytest.mark.parametrize("text", ["1" * 30_000 + "x", "0x" + "1" * 30_000 + "g", "." + "1" * 30_000 + "e"])
def test_a_long_text_that_is_nearly_a_number_costs_nothing(text):
    began = time.process_time()
    assert parse_double(text) is None
    assert time.process_time() - began < 1


@given(st.integers())
def test_integers_are_read_within_their_range_only(value):
    assert parse_int(str(value)) == (value if -(2**31) <= value < 2**31 else None)
    assert parse_long(str(value)) == (value if -(2**63) <= value < 2**63 else None)


@given(st.text())
def test_any_text_is_a_number_or_none(text):
    for parse in (parse_int, parse_long, parse_double):
        value = parse(text)
        assert value is None or isinstance(value, int | float)
    assert -(2**31) <= string_hash(text) < 2**31


@given(st.floats(allow_nan=False))
def test_doubles_come_back_as_they_were(value):
    text = format_double(value)
    read = parse_double(text)
    assert read == value
    assert math.copysign(1, read) == math.copysign(1, value)
    assert "." in text or "Infinity" in text


@given(st.text(st.characters(codec="utf-8")))
def test_hash_follows_its_definition(text):
    units = text.encode("utf-16-be")
    value = 0
    for i in range(0, len(units), 2):
        value = value * 31 + int.from_bytes(units[i : i + 2])
    assert string_hash(text) & 0xFFFFFFFF == value & 0xFFFFFFFF
