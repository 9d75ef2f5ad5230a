"""Expressions as functions of a message's properties: constants, properties, NOT, AND, OR and what may be their parts.

Each expression knows the Java class its values would have in Apache's evaluator, because that decides how two of them
compare (`comparisons`). A property is a text or missing; a missing one is NULL, which makes most answers unknown:

    AND   false if any part is false, else unknown if any is unknown, else true
    OR    true if any part is true, else unknown if any is unknown, else false
    NOT   unknown stays unknown

Source: `ConstantExpression`, `PropertyExpression`, `LogicExpression`, `UnaryExpression` (RocketMQ 4.5.2).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final

import msgspec

Properties = Mapping[str, str]
Value = str | int | float | bool | None
Evaluate = Callable[[Properties], Value]

_INT_MAX: Final = 2**31 - 1
_LONG_MAX: Final = 2**63 - 1
_LONG_DIGITS_MAX: Final = 19

NESTING_MAX: Final = 200
"""How deep an expression may be: evaluating it takes one Python call a level, of which 1000 may be open."""


class Unsuitable(Exception):
    """An expression stands where it cannot; whoever reads the text knows the place."""


class Kind(Enum):
    """The Java class of an expression's values."""

    TEXT = auto()
    """`String`: a property, a constant in quotes."""
    INT = auto()
    LONG = auto()
    DOUBLE = auto()
    BOOLEAN = auto()
    """`Boolean`: TRUE, FALSE, NULL, and every expression with an operator but the sign."""


class Expression(msgspec.Struct, frozen=True):
    """Something that has a value for each message."""

    kind: Kind
    evaluate: Evaluate
    depth: int = 1
    known: Value = None
    """The value, where it is the same for every message."""
    names: frozenset[str] = frozenset()
    """The properties that the value depends on."""


class Property(Expression, frozen=True, kw_only=True):
    """A property of the message."""

    name: str


class Constant(Expression, frozen=True):
    """A value that stands in the expression: NULL where `known` is None."""

    def __str__(self) -> str:
        if isinstance(self.known, str):
            return "'" + self.known.replace("'", "''") + "'"
        return "NULL" if self.known is None else str(self.known).upper()


def property_of_message(name: str) -> Property:
    """The property of this name; names are told apart by case."""
    return Property(Kind.TEXT, lambda properties: properties.get(name), names=frozenset((name,)), name=name)


def text_constant(value: str) -> Constant:
    """A text."""
    return _constant(Kind.TEXT, value)


def boolean_constant(value: bool | None) -> Constant:
    """TRUE, FALSE or NULL."""
    return _constant(Kind.BOOLEAN, value)


def integer_constant(text: str) -> Constant:
    """A whole number of up to 64 bits, `L` at its end allowed; up to 32 bits it is an `Integer`, as in Java."""
    digits = text.rstrip("lL")
    value = int(digits) if len(digits) <= _LONG_DIGITS_MAX else _LONG_MAX + 1
    if value > _LONG_MAX:
        raise Unsuitable(f"{digits[:30]} is more than {_LONG_MAX}")
    return _constant(Kind.INT if value <= _INT_MAX else Kind.LONG, value)


def float_constant(text: str) -> Constant:
    """A number with a point or an exponent. Neither zero nor infinite: Apache refuses `0.0` as too small."""
    value = float(text)
    if value == 0 or math.isinf(value):
        raise Unsuitable(f"{text[:30]} is too {'small' if value == 0 else 'large'} for a number")
    return _constant(Kind.DOUBLE, value)


def _constant(kind: Kind, value: Value) -> Constant:
    return Constant(kind, lambda _: value, known=value)


def negative(operand: Expression) -> Expression:
    """The operand with its sign turned; what is no number has no sign, so that it becomes NULL, also a property."""
    if operand.kind in (Kind.TEXT, Kind.BOOLEAN):
        return node(Kind.TEXT, lambda _: None, operand)
    assert isinstance(operand.known, int | float), "only constants are numbers"
    value = -operand.known
    return node(operand.kind, lambda _: value, operand, known=value)


def condition(expression: Expression) -> Expression:
    """The expression as a condition. A property alone is one that never holds: it is a text, not a boolean."""
    if expression.kind is Kind.BOOLEAN:
        return expression
    if isinstance(expression, Property):
        evaluate = expression.evaluate
        return node(Kind.BOOLEAN, lambda properties: None if evaluate(properties) is None else False, expression)
    raise Unsuitable(f"{expression if isinstance(expression, Constant) else 'a number'} is no condition")


def negation(expression: Expression) -> Expression:
    """NOT."""
    part = condition(expression)
    evaluate = part.evaluate

    def evaluate_negation(properties: Properties) -> Value:
        value = evaluate(properties)
        return None if value is None else not value

    return node(Kind.BOOLEAN, evaluate_negation, part)


def disjunction(parts: Sequence[Expression]) -> Expression:
    """OR of two or more; what stands behind the first true one is not looked at."""
    conditions = [condition(part) for part in parts]
    evaluates = tuple(part.evaluate for part in conditions)

    def evaluate_disjunction(properties: Properties) -> Value:
        is_unknown = False
        for evaluate in evaluates:
            value = evaluate(properties)
            if value:
                return True
            if value is None:
                is_unknown = True
        return None if is_unknown else False

    return node(Kind.BOOLEAN, evaluate_disjunction, *conditions)


def conjunction(parts: Sequence[Expression]) -> Expression:
    """AND of two or more; what stands behind the first false one is not looked at."""
    conditions = [condition(part) for part in parts]
    evaluates = tuple(part.evaluate for part in conditions)

    def evaluate_conjunction(properties: Properties) -> Value:
        is_unknown = False
        for evaluate in evaluates:
            value = evaluate(properties)
            if value is None:
                is_unknown = True
            elif not value:
                return False
        return None if is_unknown else True

    return node(Kind.BOOLEAN, evaluate_conjunction, *conditions)


def node(kind: Kind, evaluate: Evaluate, *parts: Expression, known: Value = None) -> Expression:
    """An expression made of others."""
    depth = 1 + max(part.depth for part in parts)
    if depth > NESTING_MAX:
        raise Unsuitable(f"nested more than {NESTING_MAX} levels deep")
    return Expression(kind, evaluate, depth, known, frozenset().union(*(part.names for part in parts)))
