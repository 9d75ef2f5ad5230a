"""A filter ready for use. Source: `SqlFilter`, `ExpressionMessageFilter#isMatchedByCommitLog` (RocketMQ 4.5.2)."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from rmqnode.filter.errors import EvaluationFailed, InvalidExpression
from rmqnode.filter.expressions import Expression
from rmqnode.protocol.properties import decode_properties

LENGTH_MAX: Final = 16_384
"""Longest expression, in characters; `grammar.TOKENS_MAX` bounds the time that compiling it takes."""

_NAMES_MAX: Final = 16
"""Of an expression with more properties than this, finding them one by one costs more than reading them all."""

_REMEMBERED_BYTES_MAX: Final = 256
"""Longer pairs are judged each time anew, so that what is remembered stays small: a few MiB of all filters together."""


class MessageFilter:
    """Says whether a message is wanted. Immutable and without memory of messages."""

    __slots__ = ("_find_pairs", "evaluate")

    def __init__(self, expression: Expression) -> None:
        self.evaluate = expression.evaluate
        """The answer in three-valued logic: True, False or, where a property is missing, None.

        Raises:
            EvaluationFailed: A property cannot be compared as the expression asks.
        """
        self._find_pairs = _finder(expression.names) if 0 < len(expression.names) <= _NAMES_MAX else None

    def __call__(self, properties: Mapping[str, str]) -> bool:
        """Whether a message with these properties is wanted; neither an unknown nor a failed comparison wants it."""
        try:
            return self.evaluate(properties) is True
        except EvaluationFailed:
            return False

    def accepts(self, encoded: bytes) -> bool:
        """The same for properties in wire form.

        Only the pairs that the expression names are looked at, and those of many messages are the same.
        """
        if self._find_pairs is None:
            return self(decode_properties(encoded.decode("utf-8", "replace")))
        pairs = b"".join(self._find_pairs(b"\x02" + encoded))
        return _remembered_answer(self, pairs) if len(pairs) <= _REMEMBERED_BYTES_MAX else _answer(self, pairs)


def _answer(wants: MessageFilter, pairs: bytes) -> bool:
    """Judge pairs with a separator before each; with one behind each they are read faster."""
    return wants(decode_properties((pairs[1:] + b"\x02").decode("utf-8", "replace")))


# One memory for all filters, because clients may come up with any number of them.
_remembered_answer: Final = lru_cache(maxsize=4096)(_answer)


def _finder(names: frozenset[str]) -> Callable[[bytes], list[bytes]]:
    """Make what finds the pairs of these names in properties behind a separator, each with the separator before it.

    All of them, in their order and even if they turn out to be none: which one counts is decided by who decodes them.
    """
    alternatives = "|".join(re.escape(name) for name in sorted(names))
    return re.compile(f"\x02(?:{alternatives})\x01[^\x02]*".encode()).findall


def compile_filter(text: str) -> MessageFilter:
    """Compile an expression.

    Raises:
        InvalidExpression: Names the problem and its place.
    """
    if len(text) > LENGTH_MAX:
        raise InvalidExpression(f"longer than {LENGTH_MAX} characters", 1, LENGTH_MAX + 1)
    # Imported here: the parser's library costs 3 MiB and 60 ms, which only brokers with SQL92 subscriptions pay.
    from rmqnode.filter.grammar import parse

    return MessageFilter(parse(text))


def load_parser() -> None:
    """Load the parser before the first expression comes; for a worker thread."""
    from rmqnode.filter.grammar import load

    load()
