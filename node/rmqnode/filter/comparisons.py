"""Comparisons: `=`, `<>`, `<`, `BETWEEN`, `IN`, `IS NULL`, and how values of different kinds meet.

A text that meets a number is read as one of the number's own class, so that `price > 5` fails for the price 5.5 and
`price > 5.0` does not. Two texts are ordered as numbers. What Java would throw at is `EvaluationFailed`.
With NULL the answers follow Apache's code, not the standard: `a = b` is true if both are NULL, unknown if only the
left one is, false if only the right one is.

Source: `ComparisonExpression`, `UnaryInExpression` (RocketMQ 4.5.2), evaluated with CONVERT_STRING_EXPRESSIONS as
`SelectorParser` does.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from rmqnode.filter.errors import EvaluationFailed
from rmqnode.filter.expressions import (
    Constant,
    Expression,
    Kind,
    Properties,
    Property,
    Unsuitable,
    Value,
    conjunction,
    disjunction,
    negation,
    node,
)
from rmqnode.protocol.java_text import parse_boolean, parse_double, parse_int, parse_long

Test = Callable[[Any, Any], bool]
Convert = Callable[[Any], Any]

ORDER_TESTS: Final[dict[str, Test]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

_NUMBERS: Final = (Kind.INT, Kind.LONG, Kind.DOUBLE)


def equal(left: Expression, right: Expression) -> Expression:
    """`left = right`."""
    for side in (left, right):
        if isinstance(side, Constant) and side.known is None:
            raise Unsuitable("NULL cannot be compared: use IS NULL")
    is_boolean = isinstance(left, Constant) and left.kind is Kind.BOOLEAN
    if is_boolean and isinstance(right, Constant) and right.kind is not Kind.BOOLEAN:
        raise Unsuitable(f"{left} cannot be compared with {right}")
    return _equality(left, right)


def not_equal(left: Expression, right: Expression) -> Expression:
    """`left <> right`: NOT of the equality, unknown where that is."""
    return negation(equal(left, right))


def is_null(operand: Expression) -> Expression:
    """`operand IS NULL`: true or false, never unknown."""
    evaluate = operand.evaluate
    return node(Kind.BOOLEAN, lambda properties: evaluate(properties) is None, operand)


def is_not_null(operand: Expression) -> Expression:
    """`operand IS NOT NULL`."""
    evaluate = operand.evaluate
    return node(Kind.BOOLEAN, lambda properties: evaluate(properties) is not None, operand)


def ordered(left: Expression, sign: str, right: Expression) -> Expression:
    """`left < right` and its like; unknown when either side is NULL."""
    for side in (left, right):
        if side.kind is Kind.BOOLEAN or (isinstance(side, Constant) and side.kind not in _NUMBERS):
            raise Unsuitable(f"{side if isinstance(side, Constant) else 'a condition'} cannot be ordered, only numbers")
    test = ORDER_TESTS[sign]
    convert_left, convert_right = _converters_for_order(left.kind, right.kind)
    if isinstance(left, Property) and right.known is not None:
        return _with_constant(left, lambda text, value: test(convert_left(text), value), right)
    evaluate_left, evaluate_right = left.evaluate, right.evaluate

    def evaluate_order(properties: Properties) -> Value:
        left_value = evaluate_left(properties)
        if left_value is None:
            return None
        right_value = evaluate_right(properties)
        if right_value is None:
            return None
        return test(convert_left(left_value), convert_right(right_value))

    return node(Kind.BOOLEAN, evaluate_order, left, right)


def between(operand: Expression, low: Expression, high: Expression) -> Expression:
    """`operand BETWEEN low AND high`: both ends belong to it; constant ends must be in order."""
    at_least, at_most = ordered(operand, ">=", low), ordered(operand, "<=", high)
    if isinstance(low, Constant) and isinstance(high, Constant):
        assert isinstance(low.known, int | float)
        assert isinstance(high.known, int | float)
        if high.known < low.known:
            raise Unsuitable(f"BETWEEN has its ends the wrong way round: {low} is more than {high}")
    if isinstance(operand, Property) and low.known is not None and high.known is not None and low.kind is high.kind:
        return _between_constants(operand, low, high, (at_least, at_most))
    return conjunction((at_least, at_most))


def _between_constants(operand: Property, low: Expression, high: Expression, parts: Sequence[Expression]) -> Expression:
    """The conjunction of two comparisons that read the property in the same way: once for both."""
    name, read, lowest, highest = operand.name, _ORDER_READERS[low.kind], low.known, high.known

    def evaluate_between(properties: Properties) -> Value:
        text = properties.get(name)
        return None if text is None else bool(lowest <= read(text) <= highest)

    return node(Kind.BOOLEAN, evaluate_between, *parts)


def not_between(operand: Expression, low: Expression, high: Expression) -> Expression:
    """`operand NOT BETWEEN low AND high`; here Apache lets the ends come in any order."""
    return disjunction((ordered(operand, "<", low), ordered(operand, ">", high)))


def is_in(operand: Expression, texts: Sequence[str], *, is_negated: bool) -> Expression:
    """`property IN ('a', 'b')`, or NOT IN; unknown when the property is missing."""
    if not isinstance(operand, Property):
        raise Unsuitable("IN needs a property on its left")
    evaluate = operand.evaluate
    members = frozenset(texts)

    def evaluate_in(properties: Properties) -> Value:
        value = evaluate(properties)
        return None if value is None else (value in members) is not is_negated

    return node(Kind.BOOLEAN, evaluate_in, operand)


def _equality(left: Expression, right: Expression) -> Expression:
    test = _equality_test(left.kind, right.kind)
    if isinstance(left, Property) and right.known is not None:
        return _with_constant(left, test, right)
    evaluate_left, evaluate_right = left.evaluate, right.evaluate

    def evaluate_equality(properties: Properties) -> Value:
        left_value = evaluate_left(properties)
        right_value = evaluate_right(properties)
        if left_value is None:
            return True if right_value is None else None
        return False if right_value is None else test(left_value, right_value)

    return node(Kind.BOOLEAN, evaluate_equality, left, right)


def _with_constant(left: Property, test: Test, right: Expression) -> Expression:
    """What most filters are made of, without the calls that other operands need."""
    name, constant = left.name, right.known

    def evaluate(properties: Properties) -> Value:
        text = properties.get(name)
        return None if text is None else test(text, constant)

    return node(Kind.BOOLEAN, evaluate, left, right)


def _equality_test(left: Kind, right: Kind) -> Test:
    if left is right:
        return operator.eq
    if left in _NUMBERS and right in _NUMBERS:
        as_number = _as_is if Kind.DOUBLE not in (left, right) else float
        return lambda one, other: bool(as_number(one) == as_number(other))
    if left is Kind.TEXT:
        read = _READERS[right]
        return lambda text, value: bool(read(text) == value)
    if right is Kind.TEXT and left is not Kind.BOOLEAN:
        read = _READERS[left]
        return lambda value, text: bool(value == read(text))
    if right is Kind.TEXT:
        return _fail_on_boolean
    return lambda _one, _other: False


def _converters_for_order(left: Kind, right: Kind) -> tuple[Convert, Convert]:
    if left is Kind.TEXT and right is Kind.TEXT:
        return _order_key, _order_key
    if left is Kind.TEXT:
        return _ORDER_READERS[right], _as_is
    if right is Kind.TEXT:
        return _as_is, _ORDER_READERS[left]
    return (float, float) if Kind.DOUBLE in (left, right) else (_as_is, _as_is)


def _as_is(value: Any) -> Any:
    return value


def _fail_on_boolean(_one: Any, _other: Any) -> bool:
    raise EvaluationFailed("a condition cannot be compared with a text on its right")  # Java: ClassCastException


def _read_int(text: str) -> int:
    value = parse_int(text)
    if value is None:
        raise EvaluationFailed(f"not a number of 32 bits: {text!r}")
    return value


def _read_long(text: str) -> int:
    value = parse_long(text)
    if value is None:
        raise EvaluationFailed(f"not a number of 64 bits: {text!r}")
    return value


def _read_double(text: str) -> float:
    value = parse_double(text)
    if value is None:
        raise EvaluationFailed(f"not a number: {text!r}")
    return value


def _read_double_for_order(text: str) -> float:
    value = _read_double(text)
    # Java orders NaN above all others. A constant is finite, so that infinity stands on the same side of it.
    return math.inf if math.isnan(value) else value


def _order_key(text: str) -> tuple[bool, float, float]:
    """A key that orders as `Double.compareTo`: -0.0 below 0.0, NaN above all others and equal to itself."""
    value = _read_double(text)
    return (True, 0.0, 1.0) if math.isnan(value) else (False, value, math.copysign(1.0, value))


_READERS: Final[dict[Kind, Convert]] = {
    Kind.INT: _read_int,
    Kind.LONG: _read_long,
    Kind.DOUBLE: _read_double,
    Kind.BOOLEAN: parse_boolean,
}
"""How a text is read that meets a value of another kind."""

_ORDER_READERS: Final[dict[Kind, Convert]] = {
    Kind.INT: _read_int,
    Kind.LONG: _read_long,
    Kind.DOUBLE: _read_double_for_order,
}
