"""Tag subscriptions as text. Source: `FilterAPI#buildSubscriptionData`, `ExpressionType` (RocketMQ 4.5.2)."""

from functools import lru_cache

from rmqnode.protocol.java_text import tag_hash


def is_tag_type(expression_type: str | None) -> bool:
    """Whether a subscription is one of tags, which is also what no type means."""
    return expression_type in (None, "", "TAG")


@lru_cache(maxsize=1024)
def parse_tag_subscription(text: str | None) -> frozenset[int] | None:
    """Return the hashes of the tags in `a || b`; None for `*` or nothing, which is every message."""
    if text is None or text in ("", "*"):
        return None
    return frozenset(tag_hash(tag.strip()) for tag in text.split("||") if tag.strip())
