"""What a slave takes of a master's tables, entry by entry."""

import pytest

from rmqnode.broker.replication import checked_tables
from rmqnode.broker.replication.checked_tables import (
    TableRefused,
    checked_delay_offsets,
    checked_groups,
    checked_offsets,
    checked_topics,
)
from rmqnode.protocol.bodies import (
    DataVersion,
    SubscriptionGroupConfig,
    SubscriptionGroupWrapper,
    TopicConfig,
    TopicConfigSerializeWrapper,
)


def topics(*entries: TopicConfig, **named: TopicConfig) -> TopicConfigSerializeWrapper:
    return TopicConfigSerializeWrapper(topic_config_table={each.topic_name: each for each in entries} | named)


@pytest.mark.parametrize(
    "bad",
    [
        TopicConfig(topic_name="../../etc"),
        TopicConfig(topic_name=""),
        TopicConfig(topic_name=".."),
        TopicConfig(topic_name="x" * 128),
        TopicConfig(topic_name="a\x1b[2Jb"),
        TopicConfig(topic_name="line\nfeed"),
        TopicConfig(topic_name="t", read_queue_nums=-1),
        TopicConfig(topic_name="t", write_queue_nums=65_537),
        TopicConfig(topic_name="t", perm=2**31 - 1),
    ],
)
def test_a_topic_that_cannot_be_is_left_out_and_the_others_are_taken(bad: TopicConfig) -> None:
    good = TopicConfig(topic_name="orders")
    kept, left_out = checked_topics(topics(good, bad))
    assert (kept.topic_config_table, left_out) == ({"orders": good}, 1)


def test_a_topic_under_another_name_is_left_out() -> None:
    assert checked_topics(topics(other=TopicConfig(topic_name="t"))) == (topics(), 1)


def test_the_topics_of_an_ordinary_master_are_taken() -> None:
    names = ("TBW102", "%RETRY%g", "%DLQ%g", "broker.example.com", "größer", "a|b", "x" * 127)
    wrapper = topics(*(TopicConfig(topic_name=name, perm=perm) for name in names for perm in (1, 4, 6, 7)))
    assert checked_topics(wrapper) == (wrapper, 0)


@pytest.mark.parametrize("version", [DataVersion(timestamp=-1), DataVersion(counter=2**63 - 1)])
def test_a_version_that_no_change_follows_is_refused(version: DataVersion) -> None:
    with pytest.raises(TableRefused, match="version"):
        checked_topics(TopicConfigSerializeWrapper(data_version=version))
    with pytest.raises(TableRefused, match="version"):
        checked_groups(SubscriptionGroupWrapper(data_version=version))


def test_groups_offsets_and_levels_that_cannot_be_are_left_out() -> None:
    good = SubscriptionGroupConfig(group_name="g")
    bad = {
        "other": good,
        "a\nb": SubscriptionGroupConfig(group_name="a\nb"),
        "n": SubscriptionGroupConfig(group_name="n", retry_queue_nums=-3),
    }
    kept, left_out = checked_groups(SubscriptionGroupWrapper(subscription_group_table={"g": good} | bad))
    assert (kept.subscription_group_table, left_out) == ({"g": good}, 3)
    offsets = {"t@g": {0: 5}, "t@": {0: 1}, "..@g": {0: 1}, "t@h": {0: -1}, "t@i": {-1: 1}, "t@j": {0: 2**63 - 1}}
    assert checked_offsets(offsets) == ({"t@g": {0: 5}}, 5)
    assert checked_delay_offsets({1: 7, 18: 0, 0: 1, -1: 1, 2: -5, 100_000: 1}) == ({1: 7, 18: 0}, 4)


def test_a_table_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_tables, "ENTRIES_MAX", 2)
    monkeypatch.setattr(checked_tables, "OFFSETS_MAX", 3)
    with pytest.raises(TableRefused, match="has 3 entries, the limit is 2"):
        checked_topics(topics(*(TopicConfig(topic_name=name) for name in "abc")))
    with pytest.raises(TableRefused, match="more than 3 consumer offsets"):
        checked_offsets({"t@g": dict.fromkeys(range(4), 1)})
