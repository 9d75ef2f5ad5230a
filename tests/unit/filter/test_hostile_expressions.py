"""Expressions that somebody made up: each compiles or is refused with the filter's own error, and none is expensive."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.filter import LENGTH_MAX, EvaluationFailed, InvalidExpression, compile_filter
from rmqnode.filter.expressions import NESTING_MAX
from rmqnode.filter.grammar import TOKENS_MAX
from rmqnode.protocol.properties import decode_properties

WORDS = [
    *("a", "b", "missing", "0", "1", "5.5", "3000000000", "1L", "1e3", ".5", "99999999999999999999", "1e999"),
    *("'x'", "'5'", "'it''s'", "'", "TRUE", "false", "NULL", "NOT", "AND", "or", "IN", "BETWEEN", "IS"),
    *("(", ")", ",", "=", "<>", "<", "<=", ">", ">=", "+", "-", "--", "/*", "*/", "~", "\n"),
]
PROPERTIES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text() | st.sampled_from(["1", "5.5", "true", "NaN"]))


def operands(conditions: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    simple = st.sampled_from(["a", "b", "missing", "1", "-5.5", "3000000000", "'x'", "'5'", "TRUE", "NULL", "-a"])
    return simple | conditions.map(lambda condition: f"({condition})")


def conditions(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operand = operands(smaller)
    signs = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    is_not = st.sampled_from(["", "NOT "])
    return st.one_of(
        st.builds("{} {} {}".format, operand, signs, operand),
        st.builds("{} IS {}NULL".format, operand, is_not),
        st.builds("{} {}BETWEEN {} AND {}".format, operand, is_not, operand, operand),
        st.builds("a {}IN ('x', '5')".format, is_not),
        st.builds("NOT {}".format, operand),
        st.builds("{} {} {}".format, smaller, st.sampled_from(["AND", "OR"]), smaller),
    )


EXPRESSIONS = st.recursive(st.just("a = 1"), conditions, max_leaves=12)


@given(EXPRESSIONS, PROPERTIES)
def test_expression_has_an_answer_or_says_why_not(expression: str, properties: dict[str, str]) -> None:
    with suppress(InvalidExpression):
        wants = compile_filter(expression)
        try:
            assert wants.evaluate(properties) in (True, False, None)
        except EvaluationFailed:
            assert not wants(properties)


@given(st.lists(st.sampled_from(WORDS)).map(" ".join), PROPERTIES)
def test_words_in_any_order_are_an_expression_or_an_error(text: str, properties: dict[str, str]) -> None:
    with suppress(InvalidExpression):
        assert compile_filter(text)(properties) in (True, False)


@given(st.text())
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    with suppress(InvalidExpression):
        compile_filter(text)


@given(st.binary())
def test_any_bytes_of_properties_are_judged(encoded: bytes) -> None:
    assert compile_filter("a = 1 OR b > 2 OR c IS NULL").accepts(encoded) in (True, False)


BITS = [b"a", b"ab", b"1", b"2.5", b"\x01", b"\x01", b"\x02", b"\x02", b"\xff", b"\n", b"x" * 300]
FILTERS = [
    compile_filter(text)
    for text in (
        "a = '1' OR ab = '1'",
        "a IS NULL AND ab IS NOT NULL",
        "a BETWEEN 1 AND 2 OR ab BETWEEN 2.0 AND 3.0",
        "a <> 'x'",
        "TRUE",
        " OR ".join(f"a{number} = 'x'" for number in range(20)) + " OR ab IS NULL",
    )
]


@given(st.lists(st.sampled_from(BITS), max_size=30).map(b"".join))
def test_properties_of_any_form_are_judged_as_if_all_of_them_were_read(encoded: bytes) -> None:
    properties = decode_properties(encoded.decode("utf-8", "replace"))
    for wants in FILTERS:
        assert wants.accepts(encoded) is wants.accepts(encoded) is wants(properties)


DEEP: list[Callable[[int], str]] = [
    lambda depth: "NOT " * depth + "a",
    lambda depth: "a = " + "- " * depth + "1",
    lambda depth: "a = 1" + " = TRUE" * depth,
    lambda depth: "a IS NULL" + " IS NULL" * depth,
    lambda depth: "NOT (" * depth + "a" + ")" * depth,
    lambda depth: "(b OR c AND " * depth + "a" + ")" * depth,
]


@pytest.mark.parametrize("deep", DEEP)
def test_deep_expression_is_refused_instead_of_overflowing(deep: Callable[[int], str]) -> None:
    with pytest.raises(InvalidExpression, match=f"nested more than {NESTING_MAX} levels|more than {TOKENS_MAX} words"):
        compile_filter(deep(1000))
    compile_filter(deep(NESTING_MAX // 3)).accepts(b"a\x011\x02")


@pytest.mark.parametrize("text", ["(" * LENGTH_MAX, "(" * 4000 + "a" + ")" * 4000, "NOT " * 4000, "- " * 8000])
def test_parentheses_and_signs_without_end_are_no_recursion(text: str) -> None:
    with suppress(InvalidExpression):
        compile_filter(text)


def test_an_expression_of_many_signs_does_not_look_for_comments_in_all_of_them() -> None:
    compile_filter("a = 1")
    begun = time.thread_time()
    with pytest.raises(InvalidExpression, match=f"more than {TOKENS_MAX} words and signs"):
        compile_filter("a > ".ljust(LENGTH_MAX, "-"))

    assert time.thread_time() - begun < 0.05


def test_too_long_an_expression_is_refused_unread() -> None:
    fits = "a = 'x'".ljust(LENGTH_MAX)
    compile_filter(fits)
    with pytest.raises(InvalidExpression, match=f"longer than {LENGTH_MAX} characters"):
        compile_filter(fits + " ")


@pytest.mark.parametrize(
    "text",
    [
        "a IN (" + "'x'," * 4000 + "'x')",
        " OR ".join(f"a = {number}" for number in range(1300)),
        "'" * LENGTH_MAX,
        "'" * (LENGTH_MAX - 1),
        "/*" + "*" * (LENGTH_MAX - 2),
        "a = " + "9" * (LENGTH_MAX - 4),
        "a = 1e" + "9" * (LENGTH_MAX - 6),
        "a = ." + "0" * (LENGTH_MAX - 5),
    ],
)
def test_longest_expressions_are_read_in_bounded_time(text: str) -> None:
    assert len(text) <= LENGTH_MAX
    started = time.process_time()
    with suppress(InvalidExpression):
        compile_filter(text)
    assert time.process_time() - started < 2, "a second would already be far too long"


def test_error_names_the_place() -> None:
    with pytest.raises(InvalidExpression) as caught:
        compile_filter("a = 1\nAND b = ")
    assert str(caught.value) == (
        "invalid SQL92 expression at line 2, column 8: the expression ends too early, "
        "expected a property, a constant, '('"
    )
    with pytest.raises(InvalidExpression) as caught:
        compile_filter("price > > 5")
    assert (caught.value.line, caught.value.column) == (1, 9)
    assert caught.value.problem == "unexpected '>', expected a property, a constant, '('"
