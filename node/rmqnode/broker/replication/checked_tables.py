"""A master's tables as a slave takes them: bounded, and without entries that no broker of ours would make.

An entry that is not right is left out and counted, the rest is taken: a client of a Java master can create a topic of
any name there, and must not keep a slave from the other topics. A table that is too large is refused as a whole.
Pure functions.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from msgspec.structs import replace

from rmqnode.broker.names import QUEUE_NUMS_MAX, is_legal_group
from rmqnode.protocol.bodies import (
    DataVersion,
    SubscriptionGroupConfig,
    SubscriptionGroupWrapper,
    TopicConfig,
    TopicConfigSerializeWrapper,
)
from rmqnode.store.queue_table import names_a_queue

ENTRIES_MAX: Final = 200_000
"""Topics, groups, or topics of groups: ten times what large clusters have."""
OFFSETS_MAX: Final = 1_000_000
"""Consumer offsets in all, and of those that a slave keeps though its master has forgotten them."""
_LEVELS_MAX: Final = 1000
_NUMBER_MAX: Final = 1 << 62
"""Offsets and versions stay within 64 bits when something is added."""
_PERM_MAX: Final = 15

T = TypeVar("T")


class TableRefused(Exception):
    """The master's table is not taken."""


def checked_topics(wrapper: TopicConfigSerializeWrapper) -> tuple[TopicConfigSerializeWrapper, int]:
    """Return the topics that can be here, and how many can't.

    Raises:
        TableRefused: There are too many, or the version is none.
    """
    _check_version(wrapper.data_version)
    kept, left_out = _checked(wrapper.topic_config_table, _is_topic)
    return replace(wrapper, topic_config_table=kept), left_out


def checked_groups(wrapper: SubscriptionGroupWrapper) -> tuple[SubscriptionGroupWrapper, int]:
    """Return the groups that can be here, and how many can't.

    Raises:
        TableRefused: As `checked_topics`.
    """
    _check_version(wrapper.data_version)
    kept, left_out = _checked(wrapper.subscription_group_table, _is_group)
    return replace(wrapper, subscription_group_table=kept), left_out


def checked_offsets(table: dict[str, dict[int, int]]) -> tuple[dict[str, dict[int, int]], int]:
    """Return the consumer offsets that can be, and the number of topics of groups that are not right.

    Raises:
        TableRefused: There are too many.
    """
    if sum(map(len, table.values())) > OFFSETS_MAX:
        raise TableRefused(f"the master has more than {OFFSETS_MAX} consumer offsets")
    return _checked(table, _is_offsets)


def checked_delay_offsets(table: dict[int, int]) -> tuple[dict[int, int], int]:
    """Return the offsets of delay levels that can be, and how many can't."""
    kept = {level: offset for level, offset in table.items() if 0 < level <= _LEVELS_MAX and 0 <= offset < _NUMBER_MAX}
    return kept, len(table) - len(kept)


def _checked(table: Mapping[str, T], is_right: Callable[[str, T], bool]) -> tuple[dict[str, T], int]:
    if len(table) > ENTRIES_MAX:
        raise TableRefused(f"the master's table has {len(table)} entries, the limit is {ENTRIES_MAX}")
    kept = {name: entry for name, entry in table.items() if is_right(name, entry)}
    return kept, len(table) - len(kept)


def _check_version(version: DataVersion) -> None:
    if not (0 <= version.timestamp < _NUMBER_MAX and 0 <= version.counter < _NUMBER_MAX):
        raise TableRefused(f"the master's table has version {version.counter} of {version.timestamp}")


def _is_topic(name: str, topic: TopicConfig) -> bool:
    return (
        name == topic.topic_name
        and names_a_queue(name, 0)
        and 0 <= topic.read_queue_nums <= QUEUE_NUMS_MAX
        and 0 <= topic.write_queue_nums <= QUEUE_NUMS_MAX
        and 0 <= topic.perm <= _PERM_MAX
    )


def _is_group(name: str, group: SubscriptionGroupConfig) -> bool:
    return (
        name == group.group_name
        and is_legal_group(name)
        and 0 <= group.retry_queue_nums <= QUEUE_NUMS_MAX
        and group.retry_max_times >= -1
        and group.broker_id >= 0
        and group.which_broker_when_consume_slowly >= 0
    )


def _is_offsets(key: str, offsets: dict[int, int]) -> bool:
    topic, _, group = key.partition("@")
    return (
        names_a_queue(topic, 0)
        and is_legal_group(group)
        and all(0 <= queue_id < QUEUE_NUMS_MAX and 0 <= offset < _NUMBER_MAX for queue_id, offset in offsets.items())
    )
