"""Names that a user types: topics, destinations (`topic:tag`), and which topics belong to the system.

The rules are those of the newer servers and clients (`Validators`, `TopicValidator` of 4.9), because what 4.5.2
tolerates is refused by the rest. Everything is checked before anything is sent.
"""

import re
from typing import Final, NamedTuple

from rmqctl.client.errors import InvalidArgument

TOPIC_LENGTH_MAX: Final = 127
"""The commit log has one byte for the length of a topic, signed in Java."""

GROUP_LENGTH_MAX: Final = 255
"""The longest name of a group that clients take; its retry topic is longer by a prefix."""

NEW_GROUP_LENGTH_MAX: Final = TOPIC_LENGTH_MAX - len("%RETRY%")
"""The longest name with which a group has a retry topic: with more its failed messages can't be sent back."""

AUTO_CREATE_TOPIC: Final = "TBW102"
"""The template of topics that a broker creates by itself (`defaultTopic` of a send)."""

RETRY_PREFIX: Final = "%RETRY%"
DLQ_PREFIX: Final = "%DLQ%"
REPLY_SUFFIX: Final = "_REPLY_TOPIC"
"""Behind a cluster's name: the topic for replies of request-reply messages."""

_SYSTEM_PREFIX: Final = "rmq_sys_"
_SYSTEM_TOPICS: Final = frozenset(
    {
        AUTO_CREATE_TOPIC,
        "BenchmarkTest",
        "OFFSET_MOVED_EVENT",
        "RMQ_SYS_TRACE_TOPIC",
        "RMQ_SYS_TRANS_HALF_TOPIC",
        "RMQ_SYS_TRANS_OP_HALF_TOPIC",
        "SCHEDULE_TOPIC_XXXX",
        "SELF_TEST_TOPIC",
        "TRANS_CHECK_MAX_TIME_TOPIC",
    }
)
_LEGAL: Final = re.compile(r"[%|a-zA-Z0-9_-]+")
_RULE: Final = "a name has 1 to 127 characters: letters, digits, and % | _ -"
_CURE: Final = "choose another name, as in orders-paid_v2"


class Destination(NamedTuple):
    """Where a message goes: one topic, at most one tag."""

    topic: str
    tag: str | None


class Subscription(NamedTuple):
    """What is read: one topic, all its messages, those with one of the tags, or those that an SQL92 text wants."""

    topic: str
    tags: tuple[str, ...]
    sql: str | None = None

    @property
    def expression(self) -> str:
        """The form on the wire: `*`, tags joined by `||`, or the SQL92 expression."""
        return self.sql or "||".join(self.tags) or "*"

    @property
    def expression_type(self) -> str:
        """The language of the expression: `TAG` or `SQL92`."""
        return "SQL92" if self.sql else "TAG"


def check_topic(topic: str) -> str:
    """Return the name of a topic if it is legal.

    Raises:
        InvalidArgument: It is empty, too long, or has a character that topics can't have.
    """
    if not topic:
        raise InvalidArgument("the topic name is empty", _RULE, _CURE)
    if len(topic) > TOPIC_LENGTH_MAX:
        raise InvalidArgument(f"topic name {topic[:32]}… has {len(topic)} characters", _RULE, _CURE)
    if not _LEGAL.fullmatch(topic):
        illegal = next(character for character in topic if not _LEGAL.fullmatch(character))
        raise InvalidArgument(f"topic name {topic!r} has the illegal character {illegal!r}", _RULE, _CURE)
    return topic


def check_own_topic(topic: str) -> str:
    """Return the name of a topic that may be created or deleted: legal, and none of the system's.

    Raises:
        InvalidArgument: The name is illegal, or it belongs to the system.
    """
    if is_system_topic(check_topic(topic)):
        raise InvalidArgument(
            f"{topic} is a system topic", "brokers create and use it themselves", "choose another name"
        )
    return topic


def check_group(group: str) -> str:
    """Return the name of a group if it is legal.

    Raises:
        InvalidArgument: It is empty, too long, or has a character that groups can't have.
    """
    if not group or len(group) > GROUP_LENGTH_MAX or not _LEGAL.fullmatch(group):
        raise InvalidArgument(
            f"{group[:32]!r} can't be the name of a group",
            f"a name has 1 to {GROUP_LENGTH_MAX} characters: letters, digits, and % | _ -",
            "choose another name, as in billing",
        )
    return group


def check_new_group(group: str) -> str:
    """Return the name of a group that may be created: legal, and so short that its retry topic is legal too.

    Raises:
        InvalidArgument: It is none.
    """
    if len(check_group(group)) > NEW_GROUP_LENGTH_MAX:
        raise InvalidArgument(
            f"group name {group[:32]}… has {len(group)} characters",
            f"failed messages go to {RETRY_PREFIX}GROUP, and a topic has at most {TOPIC_LENGTH_MAX}",
            f"choose a name of at most {NEW_GROUP_LENGTH_MAX} characters",
        )
    return group


def is_system_topic(topic: str) -> bool:
    """Whether brokers of some version create or use the topic for themselves."""
    return topic in _SYSTEM_TOPICS or topic.startswith(_SYSTEM_PREFIX) or topic.endswith(REPLY_SUFFIX)


def parse_destination(text: str) -> Destination:
    """Read `topic` or `topic:tag`.

    Raises:
        InvalidArgument: No or several topics, an illegal topic name, or more than one tag.
    """
    topic, colon, tag = text.partition(":")
    check_topic(topic)
    if not colon:
        return Destination(topic, None)
    if "||" in tag or ":" in tag:
        raise InvalidArgument(
            f"destination {text!r} names more than one tag", "a message has at most one", "write TOPIC:TAG"
        )
    return Destination(topic, _check_tag(tag, text))


def parse_subscription(text: str) -> Subscription:
    """Read `topic`, `topic:*` or `topic:a||b`; tags may be separated by commas, which no shell interprets.

    Raises:
        InvalidArgument: No or several topics, an illegal topic name, or an empty tag.
    """
    topic, colon, expression = text.partition(":")
    check_topic(topic)
    if not colon or expression.strip() == "*":
        return Subscription(topic, ())
    tags = [_check_tag(tag.strip(), text) for tag in re.split(r"\|\||,", expression)]
    return Subscription(topic, tuple(dict.fromkeys(tags)))


def _check_tag(tag: str, text: str) -> str:
    if not tag or tag != tag.strip() or not tag.isprintable():
        raise InvalidArgument(
            f"{text!r} has no usable tag after the colon",
            "a tag is not empty, has no control characters, and no blanks around it",
            "write TOPIC or TOPIC:TAG",
        )
    return tag
