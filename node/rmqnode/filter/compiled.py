"""A filter ready for use. Source: `SqlFilter`, `ExpressionMessageFilter#isMatchedByCommitLog` (RocketMQ 4.5.2)."""

from collections.abc import Mapping
from typing import Final

from rmqnode.filter.errors import EvaluationFailed, InvalidExpression
from rmqnode.filter.expressions import Evaluate
from rmqnode.protocol.properties import decode_properties

LENGTH_MAX: Final = 16_384
"""Longest expression, in characters: compiling it takes 50 ms of the broker's only thread."""


class MessageFilter:
    """Says whether a message is wanted. Immutable and without memory of messages."""

    __slots__ = ("evaluate",)

    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate
        """The answer in three-valued logic: True, False or, where a property is missing, None.

        Raises:
            EvaluationFailed: A property cannot be compared as the expression asks.
        """

    def __call__(self, properties: Mapping[str, str]) -> bool:
        """Whether a message with these properties is wanted; neither an unknown nor a failed comparison wants it."""
        try:
            return self.evaluate(properties) is True
        except EvaluationFailed:
            return False

    def accepts(self, encoded: bytes) -> bool:
        """The same for properties in wire form."""
        return self(decode_properties(encoded.decode("utf-8", "replace")))


def compile_filter(text: str) -> MessageFilter:
    """Compile an expression.

    Raises:
        InvalidExpression: Names the problem and its place.
    """
    if len(text) > LENGTH_MAX:
        raise InvalidExpression(f"longer than {LENGTH_MAX} characters", 1, LENGTH_MAX + 1)
    # Imported here: the parser's library costs 3 MiB and 60 ms, which only brokers with SQL92 subscriptions pay.
    from rmqnode.filter.grammar import parse

    return MessageFilter(parse(text).evaluate)
