"""Java properties text: what Java reads, what is reported, and that what we write reads back."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.config import ConfigError, Property, parse_properties, render_properties


def values(data: bytes) -> dict[str, str]:
    return parse_properties(data).as_mapping()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a=1\nb:2\nc 3\nd\t=\t4\n", {"a": "1", "b": "2", "c": "3", "d": "4"}),
        (b"a = b = c", {"a": "b = c"}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"=x", {"": "x"}),
        (b"  a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        (b"# x\n  ! y\n\n a=1", {"a": "1"}),
        (b"a=1,\\\n   2,\\\r\n  3", {"a": "1,2,3"}),
        (b"a=1\\\n# not a comment", {"a": "1# not a comment"}),
        (b"\\\n# comment\n  \\\n\\", {}),
        (b"a=1\\\n\nb=2", {"a": "1", "b": "2"}),
        (b"a=1\\", {"a": "1"}),
        (b"a=1\\\\\nb=2", {"a": "1\\", "b": "2"}),
        (b"a\\ b\\=c=d", {"a b=c": "d"}),
        (b"a=C:\\\\x\\ty\\q", {"a": "C:\\x\tyq"}),
        (b"a=\\u4ed8\\u6b3e", {"a": "付款"}),
        (b"a=\\uD83D\\uDE00", {"a": "😀"}),
        (b"a=x#y !z", {"a": "x#y !z"}),
    ],
)
def test_texts_are_read_as_java_reads_them(data: bytes, expected: dict[str, str]) -> None:
    assert values(data) == expected


def test_each_property_knows_the_line_it_begins_on() -> None:
    text = parse_properties(b"# one\na=1,\\\n2\n\nb=3\n")
    assert text.properties == [Property("a", "1,2", 2), Property("b", "3", 5)]
    assert text.notices == []


def test_trailing_blanks_are_dropped_with_a_notice_unless_escaped() -> None:
    text = parse_properties(b"brokerRole=SLAVE \t\r\nx=a\\ \n", "broker.conf")
    assert text.as_mapping() == {"brokerRole": "SLAVE", "x": "a "}
    assert text.notices == ["broker.conf:1: trailing blank after 'SLAVE' ignored"]


def test_the_last_duplicate_wins_with_a_notice_naming_both_lines() -> None:
    text = parse_properties(b"a=1\nb=2\na=3\n", "broker.conf")
    assert text.as_mapping() == {"a": "3", "b": "2"}
    assert text.notices == ["broker.conf:3: a was already set on line 1: the last value counts, '3'"]


def test_a_byte_order_mark_is_skipped_with_a_notice() -> None:
    text = parse_properties(b"\xef\xbb\xbfa=1", "broker.conf")
    assert text.as_mapping() == {"a": "1"}
    assert text.notices[0].startswith("broker.conf:1: byte order mark ignored")


def test_non_ascii_values_are_utf_8_or_else_latin_1_and_said_so() -> None:
    text = parse_properties("# 注释\na=付\n".encode() + b"b=\xe9\n", "broker.conf")
    assert text.as_mapping() == {"a": "付", "b": "é"}
    assert [notice.split(",")[0] for notice in text.notices] == [
        "broker.conf:2: read as UTF-8",
        "broker.conf:3: read as Latin-1",
    ]


@pytest.mark.parametrize("data", ["a=1\n".encode("utf-16"), "a=1\n".encode("utf-16-le"), b"a=\x00"])
def test_a_file_in_utf_16_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="UTF-16"):
        parse_properties(data, "broker.conf")


def test_a_text_that_can_be_no_configuration_is_not_read() -> None:
    with pytest.raises(ConfigError, match="is longer than 262144 bytes"):
        parse_properties(b"a=1\n" * 100_000)


def test_malformed_escapes_are_reported_all_at_once_with_their_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_properties(b"a=\\u12\nb=1\nc=\\uD83D\nd=\\uZZZZ", "broker.conf")
    assert [problem.split(":")[1] for problem in caught.value.problems] == ["1", "3", "4"]


characters = st.characters(exclude_categories=["Cs"])
awkward = st.sampled_from(list(" \t\n\r\f\\#!=:\u00e9\u0000"))
texts = st.lists(characters | awkward).map("".join)


@given(st.dictionaries(texts, texts))
def test_rendered_properties_parse_back_identically_and_without_notices(properties: dict[str, str]) -> None:
    text = parse_properties(render_properties(properties).encode("ascii"))
    assert text.as_mapping() == properties
    assert text.notices == []


@given(st.binary() | st.lists(st.sampled_from([b"\\", b"u", b"a", b"=", b"\n", b"\xc3", b" ", b"#"])).map(b"".join))
def test_random_bytes_give_properties_or_a_config_error(data: bytes) -> None:
    with suppress(ConfigError):
        assert parse_properties(data).problems == []
