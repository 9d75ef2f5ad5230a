"""Nothing in a message may act on the terminal that shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.plain_text import escape_bytes, escape_controls


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain", "plain"),
        ("已付款 🎉".encode(), "已付款 🎉"),
        (b"a\x1b[31mred\x1b[0m", r"a\x1b[31mred\x1b[0m"),
        (b"one\ntwo\r\n\ttab", r"one\ntwo\r\n\ttab"),
        (b"\x00\x07\x7f", r"\x00\x07\x7f"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("\u009b31m".encode(), r"\x9b31m"),
        ("a\u202etxt.exe".encode(), r"a\u202etxt.exe"),
        ("\u2028\u2066".encode(), r"\u2028\u2066"),
        (b'{"a": "b\\n"}', '{"a": "b\\n"}'),
        ("no\u00a0break".encode(), "no\u00a0break"),
    ],
)
def test_what_a_terminal_would_act_on_is_shown_as_an_escape(data: bytes, shown: str) -> None:
    assert escape_bytes(data) == shown


@given(st.binary())
def test_any_bytes_become_one_line_without_control_characters(data: bytes) -> None:
    shown = escape_bytes(data)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F for character in shown)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_letters_digits_and_signs_stay_as_they_are(text: str) -> None:
    assert escape_controls(text) == text
