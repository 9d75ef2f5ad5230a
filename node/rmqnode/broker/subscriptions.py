"""Which messages a consumer wants, and tag subscriptions as text.

Source: `FilterAPI#buildSubscriptionData`, `ExpressionType` (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from rmqnode.protocol.java_text import tag_hash


class Selection(NamedTuple):
    """Which messages of a queue are delivered: those that pass both."""

    tags_codes: frozenset[int] | None = None
    """Hashes of the tags, None for all tags."""
    accepts: Callable[[bytes], bool] | None = None
    """Asked about the properties of each message, in wire form; None lets all pass."""


EVERYTHING: Final = Selection()

TAGS_LENGTH_MAX: Final = 16_384
"""Longest subscription by tags that a pull may bring, in characters: it is read again with each pull."""

_KEPT_LENGTH_MAX: Final = 1024
"""Longest subscription whose tags are remembered, in characters: they come from the network."""


def is_tag_type(expression_type: str | None) -> bool:
    """Whether a subscription is one of tags, which is also what no type means."""
    return expression_type in (None, "", "TAG")


def parse_tag_subscription(text: str | None) -> Selection:
    """Read the tags in `a || b`; `*` or nothing is every message."""
    if text is None or text in ("", "*"):
        return EVERYTHING
    return _remembered(text) if len(text) <= _KEPT_LENGTH_MAX else _selection_of_tags(text)


def _selection_of_tags(text: str) -> Selection:
    return Selection(frozenset(tag_hash(tag.strip()) for tag in text.split("||") if tag.strip()))


_remembered: Final = lru_cache(maxsize=1024)(_selection_of_tags)


def tag_selection(text: str | None, tags_codes: Iterable[int]) -> Selection:
    """The same for tags that the client has hashed itself."""
    return EVERYTHING if text in (None, "", "*") else Selection(frozenset(tags_codes))
