"""Expressions that were compiled before, and those that do not compile: bounded, whatever clients come up with.

Pulls that bring their own expression come again and again with the same one, and so do heartbeats with one that is
wrong. Source: `SelectorParser.PARSE_CACHE` (RocketMQ 4.5.2), differs: bounded by length, not by number.
"""

from typing import Final

from rmqnode.filter import FilterError, MessageFilter, UnknownExpressionType, compile_filter
from rmqnode.protocol.errors import fresh

_LENGTH_MAX: Final = 512 * 1024
"""Characters of all expressions that are kept; compiled they take up to 60 bytes each."""

_SQL92: Final = "SQL92"


class CompiledFilters:
    """Filters by type and text of their expression; those used last are kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], MessageFilter | FilterError] = {}
        self._length = 0

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._kept

    def get(self, expression_type: str, expression: str) -> MessageFilter:
        """Compile an expression, or take it as it was compiled before.

        Raises:
            FilterError: What is wrong with it.
        """
        key = (expression_type, expression)
        kept = self._kept.pop(key, None)
        if kept is None:
            kept = _compile(expression_type, expression)
            self._length += len(expression)
        self._kept[key] = kept  # as the one used last
        while self._length > _LENGTH_MAX:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._length -= len(oldest[1])
        if isinstance(kept, FilterError):
            raise fresh(kept)
        return kept


def _compile(expression_type: str, expression: str) -> MessageFilter | FilterError:
    try:
        if expression_type != _SQL92:
            raise UnknownExpressionType(expression_type)
        return compile_filter(expression)
    except FilterError as error:
        # Without the frames that it went through: it may stay for long.
        return fresh(error)
