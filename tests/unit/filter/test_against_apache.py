"""Our evaluator against the answers of Apache's: a table of expressions, each for many sets of properties.

`tests/golden/sql_filter/` says how the answers were made; `tests/interop/test_sql_filter.py` makes them again.
"""

import json
from pathlib import Path

import pytest

from rmqnode.filter import BloomFilter, EvaluationFailed, InvalidExpression, compile_filter
from rmqnode.protocol.properties import decode_properties, encode_properties

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "sql_filter"
TABLE = json.loads((GOLDEN / "table.json").read_text())
APACHE = json.loads((GOLDEN / "results.json").read_text())

LETTERS = {True: "T", False: "F", None: "U"}


def letter(expression: str, properties: dict[str, str]) -> str:
    wants = compile_filter(expression)
    encoded = encode_properties({"KEYS": "k", **properties, "WAIT": "true"}).encode()
    answers = {wants.accepts(encoded), wants.accepts(encoded), wants(decode_properties(encoded.decode()))}
    assert len(answers) == 1, "found anew, remembered, and with all properties read"
    try:
        value = wants.evaluate(properties)
    except EvaluationFailed:
        assert not wants(properties)
        return "X"
    assert wants(properties) is (value is True)
    return LETTERS[value]  # type: ignore[index]


def results(expression: str) -> str:
    try:
        compile_filter(expression)
    except InvalidExpression:
        return "invalid"
    return "".join(letter(expression, properties) for properties in TABLE["property_sets"])


def test_table_is_judged_whole() -> None:
    assert list(APACHE["results"]) == TABLE["expressions"]
    assert len(TABLE["expressions"]) * len(TABLE["property_sets"]) > 5000


@pytest.mark.parametrize("expression", TABLE["expressions"])
def test_expression_means_what_apache_makes_of_it(expression: str) -> None:
    assert results(expression) == APACHE["results"][expression]


@pytest.mark.parametrize("text", TABLE["bloom_texts"])
def test_bits_of_a_subscription_are_those_of_apache(text: str) -> None:
    bloom = BloomFilter(20, 32)
    assert bloom.bit_count == 112
    assert bloom.bit_positions(text) == APACHE["bloom_bits"][text]
