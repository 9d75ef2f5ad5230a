"""Subscriptions: what users write, and what brokers and clients make of it."""

import pytest

from rmqctl.client.consumer.selector import selector
from rmqctl.client.errors import InvalidArgument
from tests.unit.client.consumer.records import stored_message


@pytest.mark.parametrize("tags", [None, "*", [], ["*"]])
def test_no_tag_or_a_star_means_every_message(tags: str | list[str] | None) -> None:
    chosen = selector("orders", tags)
    subscription = chosen.subscription(7)
    assert (subscription.sub_string, subscription.tags_set, subscription.code_set) == ("*", [], [])
    assert (subscription.topic, subscription.sub_version, subscription.expression_type) == ("orders", 7, "TAG")
    messages = [stored_message(0, tag="a"), stored_message(1)]
    assert chosen.wanted(messages) == messages


@pytest.mark.parametrize("tags", ["paid || shipped", "paid||shipped||paid", ["paid", " shipped "]])
def test_tags_travel_with_their_java_hashes(tags: str | list[str]) -> None:
    subscription = selector("orders", tags).subscription(1)
    assert subscription.sub_string == "paid||shipped"
    assert subscription.tags_set == ["paid", "shipped"]
    assert subscription.code_set == [3433164, 2061557075]


def test_tags_with_the_same_hash_are_told_apart_by_the_client() -> None:
    chosen = selector("orders", "Aa")
    messages = [stored_message(0, tag="Aa"), stored_message(1, tag="BB"), stored_message(2)]
    assert [message.queue_offset for message in chosen.wanted(messages)] == [0]


def test_sql_travels_as_it_is_and_is_not_judged_here() -> None:
    chosen = selector("orders", sql="price > 10")
    subscription = chosen.subscription(1)
    assert (subscription.sub_string, subscription.expression_type, subscription.tags_set) == ("price > 10", "SQL92", [])
    assert len(chosen.wanted([stored_message(0)])) == 1


@pytest.mark.parametrize("tags", ["a ||", "||", "", ["a|b"], ["a", "*"], "a\x01"])
def test_what_is_no_tag_is_refused(tags: str | list[str]) -> None:
    with pytest.raises(InvalidArgument, match="is no tag"):
        selector("orders", tags)


def test_tags_and_sql_exclude_each_other_and_empty_sql_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="by tags and by SQL"):
        selector("orders", "a", "b > 1")
    with pytest.raises(InvalidArgument, match="is empty"):
        selector("orders", sql=" ")
