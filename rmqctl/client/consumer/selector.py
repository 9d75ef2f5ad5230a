"""What a consumer wants of a topic: everything, tags, or an SQL92 expression; and what that looks like to a broker.

Source: `FilterAPI#build`, `PullAPIWrapper#processPullResult` (RocketMQ 4.5.2).
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from rmqctl.client.errors import InvalidArgument
from rmqctl.client.names import check_topic
from rmqnode.protocol.bodies import SubscriptionData
from rmqnode.protocol.java_text import string_hash
from rmqnode.protocol.message import StoredMessage
from rmqnode.protocol.properties import PropertyName

ALL: Final = "*"
"""The expression for every message."""


class Selector(msgspec.Struct, frozen=True):
    """One subscription. Made by `selector`."""

    topic: str
    kind: Literal["TAG", "SQL92"]
    expression: str
    """`*`, tags joined by `||`, or SQL92."""
    tags: tuple[str, ...] = ()
    """Empty: every message."""

    def subscription(self, version: int) -> SubscriptionData:
        """Return the form of heartbeats; `version` is the time of the last change, ms since the epoch."""
        return SubscriptionData(
            topic=self.topic,
            sub_string=self.expression,
            tags_set=list(self.tags),
            code_set=[string_hash(tag) for tag in self.tags],
            sub_version=version,
            expression_type=self.kind,
        )

    def wanted(self, messages: list[StoredMessage]) -> list[StoredMessage]:
        """Return those with one of the tags: the broker compares hashes only, which may collide."""
        if not self.tags:
            return messages
        tags = self.tags
        return [message for message in messages if message.properties.get(PropertyName.TAGS) in tags]


def selector(topic: str, tags: str | Iterable[str] | None = None, sql: str | None = None) -> Selector:
    """Make a subscription.

    Args:
        topic: Its name.
        tags: `a || b`, several tags one by one, or None and `*` for everything.
        sql: An SQL92 expression over the properties of messages, as in `price > 10 AND region IN ('a', 'b')`.

    Raises:
        InvalidArgument: The topic is illegal, a tag is empty, or both tags and SQL are given.
    """
    check_topic(topic)
    if sql is not None:
        if tags is not None:
            raise InvalidArgument(f"topic {topic} is subscribed by tags and by SQL", cure="give one of the two")
        if not sql.strip():
            raise InvalidArgument(f"the SQL expression for topic {topic} is empty", cure="leave it out")
        return Selector(topic, "SQL92", sql)
    words = [] if tags is None else re.split(r"\|\|", tags) if isinstance(tags, str) else list(tags)
    found = tuple(dict.fromkeys(word.strip() for word in words))
    if not found or found == (ALL,):
        return Selector(topic, "TAG", ALL)
    for tag in found:
        if not tag or tag == ALL or "|" in tag or not tag.isprintable():
            raise InvalidArgument(
                f"{tag!r} is no tag to subscribe topic {topic} by",
                "a tag is not empty, is not *, and has no | or control character",
                'write tags="paid || shipped", or tags=["paid", "shipped"]',
            )
    return Selector(topic, "TAG", "||".join(found), found)
