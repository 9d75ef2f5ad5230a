"""Apache's own evaluator of SQL92 filters, asked again: the committed answers are its answers, and ours.

Java clients that filter are in `test_java_client.py`.
"""

import random

import pytest

from rmqnode.filter import EvaluationFailed, InvalidExpression, compile_filter
from tests.interop import apache_filter
from tests.interop.toolchains import require_tools

RANDOM_EXPRESSIONS = 4000
NAMES = ("a", "b", "c", "s", "t", "missing")
NUMBERS = ("1", "5", "5.5", "0", "3000000000", "1L", "-5", "- 5.5", "+5", "-3000000000")
OTHERS = ("'x'", "'abc'", "'5'", "'1'", "TRUE", "FALSE", "NULL", "-a", "-'x'")
WORDS = (
    *NAMES,
    *NUMBERS,
    *OTHERS,
    *("NOT", "AND", "OR", "IN", "BETWEEN", "IS", "(", ")", ",", "=", "<>", "<", "<=", ">", ">=", "+", "-", "--"),
    *("\n", "/*x*/", "~", "''", "'O''R'", "007", "1e3"),
)


@pytest.fixture(autouse=True)
def _tools() -> None:
    require_tools("java", "mvn")


def test_committed_answers_are_those_of_apaches_evaluator() -> None:
    assert apache_filter.evaluate(apache_filter.load("table.json")) == apache_filter.load("results.json")


def test_random_expressions_mean_the_same_to_both() -> None:
    source = random.Random(452)
    texts = [_words(source) if index % 4 == 0 else _condition(source, 3) for index in range(RANDOM_EXPRESSIONS)]
    table = apache_filter.load("table.json") | {"expressions": list(dict.fromkeys(texts))}
    judged = apache_filter.evaluate(table)["results"]
    assert sum(results != "invalid" for results in judged.values()) > RANDOM_EXPRESSIONS / 10
    ours = {expression: _results(expression, table["property_sets"]) for expression in judged}
    assert ours == judged


def _results(expression: str, property_sets: list[dict[str, str]]) -> str:
    try:
        wants = compile_filter(expression)
    except InvalidExpression:
        return "invalid"
    letters = ""
    for properties in property_sets:
        try:
            letters += {True: "T", False: "F", None: "U"}[wants.evaluate(properties)]  # type: ignore[index]
        except EvaluationFailed:
            letters += "X"
    return letters


def _words(source: random.Random) -> str:
    return " ".join(source.choice(WORDS) for _ in range(source.randint(1, 9)))


def _condition(source: random.Random, depth: int) -> str:
    def operand() -> str:
        kind = source.choice((NAMES, NAMES, NAMES, NUMBERS, NUMBERS, OTHERS, None))
        if kind is None:
            return f"({_condition(source, depth - 1)})" if depth else "a"
        return source.choice(kind)

    def maybe_not() -> str:
        return source.choice(("", "NOT "))

    forms = [
        lambda: f"{operand()} {source.choice(('=', '<>', '<', '<=', '>', '>='))} {operand()}",
        lambda: f"{operand()} IS {maybe_not()}NULL",
        lambda: f"{operand()} {maybe_not()}BETWEEN {operand()} AND {operand()}",
        lambda: f"{source.choice(NAMES)} {maybe_not()}IN ('5', 'x')",
    ]
    if depth:
        forms += [
            lambda: f"NOT {_condition(source, depth - 1)}",
            lambda: f"{_condition(source, depth - 1)} {source.choice(('AND', 'OR'))} {_condition(source, depth - 1)}",
        ] * 2
    return source.choice(forms)()
