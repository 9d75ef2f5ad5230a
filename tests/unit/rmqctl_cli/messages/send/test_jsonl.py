"""A message as a line of JSON and back: nothing is lost."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqctl.cli.messages.rendering.line import json_line
from rmqctl.cli.messages.send.jsonl import read_line
from rmqctl.client.message import RESERVED_PROPERTIES, Message, check_message, wire_properties
from rmqctl.errors import UsageError
from tests.unit.rmqctl_cli.messages.samples import QUEUE, stored_message

TEXT = st.text(st.characters(exclude_characters="\x01\x02", exclude_categories=("Cs",)), min_size=1, max_size=20)
WORD = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
PROPERTIES = st.dictionaries(TEXT.filter(lambda name: name not in RESERVED_PROPERTIES), TEXT, max_size=5)


def message_of(**line: Any) -> Message:
    return read_line(json.dumps(line).encode(), "B", "line 1").message


@given(
    body=st.binary(min_size=1, max_size=50),
    own=PROPERTIES,
    tag=st.none() | WORD,
    keys=st.lists(WORD, max_size=3),
    blanks=st.sampled_from([" ", "  "]),
    flag=st.integers(-(2**31), 2**31 - 1),
)
def test_what_tail_prints_is_read_as_the_same_message(
    body: bytes, own: dict[str, str], tag: str | None, keys: list[str], blanks: str, flag: int
) -> None:
    properties = {**own, "UNIQ_KEY": "ID", "WAIT": "true"}
    properties |= {"TAGS": tag} if tag else {}
    properties |= {"KEYS": blanks.join(keys)} if keys else {}
    line = json_line(QUEUE, stored_message(body=body, properties=properties, flag=flag))
    message = check_message(read_line(line, "B", "line 1").message)
    assert (message.topic, message.body, message.flag) == ("B", body, flag)
    assert wire_properties(message, "another id") == properties


def test_a_line_by_hand_needs_only_a_body() -> None:
    assert message_of(body="已付款") == Message("B", "已付款".encode())


@pytest.mark.parametrize(
    ("value", "body"), [({"a": [1, "好"]}, '{"a": [1, "\\u597d"]}'), ([1], "[1]"), (7, "7"), (True, "true"), ("", "")]
)
def test_a_body_may_be_any_json_value_and_goes_as_it_was_written(value: Any, body: str) -> None:
    assert message_of(body=value).body == body.encode()


def test_tag_keys_flag_delay_and_order_key_have_members_of_their_own() -> None:
    written = read_line(
        b'{"body":"x","tag":"t","keys":["a","b"],"flag":3,"delay_level":2,"order_key":"k","properties":{"p":"q"}}',
        "B",
        "line 1",
    )
    message = written.message
    assert (message.tag, message.keys, message.flag, message.delay_level) == ("t", ("a", "b"), 3, 2)
    assert (message.properties, written.order_key) == ({"p": "q"}, "k")


def test_what_was_changed_on_the_way_goes_before_the_property() -> None:
    message = message_of(body="x", tag="new", keys=["n"], properties={"TAGS": "old", "KEYS": "o", "UNIQ_KEY": "ID"})
    assert wire_properties(message, "?") == {"KEYS": "n", "UNIQ_KEY": "ID", "WAIT": "true", "TAGS": "new"}
    removed = message_of(body="x", tag=None, keys=[], properties={"TAGS": "old", "KEYS": "o"})
    assert wire_properties(removed, "?")["TAGS"] == "old"


def test_a_half_message_becomes_an_ordinary_one() -> None:
    message = message_of(body="x", properties={"TRAN_MSG": "true", "PGROUP": "g"})
    assert "TRAN_MSG" not in wire_properties(message, "?")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"text",
        b'{"body":null}',
        b'{"body":"x","body_base64":"eA=="}',
        b'{"body_base64":"?"}',
        b'{"body":"x","flag":"1"}',
        b'{"body":"x","properties":{"a":1}}',
        b'{"body":"\xff"}',
        b'{"body":null,"body_base64":"eA==","body_problem":"compressed by LZ4"}',
        rb'{"body":"x","properties":{"KEYS":"a\u0001b"}}',
    ],
)
def test_a_line_that_is_no_message_is_named(line: bytes) -> None:
    with pytest.raises(UsageError, match="line 7 of stdin"):
        read_line(line, "B", "line 7 of stdin")


@given(st.binary(max_size=60))
def test_any_line_is_a_message_or_a_usage_error(line: bytes) -> None:
    with suppress(UsageError):
        read_line(line, "B", "line 1")
