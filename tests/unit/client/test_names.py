"""What users type as topics, destinations and subscriptions."""

import pytest

from rmqctl.client.errors import InvalidArgument
from rmqctl.client.names import (
    Destination,
    check_group,
    check_new_group,
    check_own_topic,
    check_topic,
    is_system_topic,
    parse_destination,
    parse_subscription,
)
from rmqctl.errors import ExitCode


@pytest.mark.parametrize("topic", ["orders", "a", "A-b_c%d|e", "%RETRY%group", "x" * 127])
def test_a_legal_topic_passes(topic: str) -> None:
    assert check_topic(topic) == topic


@pytest.mark.parametrize("topic", ["", "x" * 128, "a b", "a.b", "订单", "a/b", "a\n", "orders:paid"])
def test_an_illegal_topic_is_refused_with_the_rule_and_the_usage_exit_code(topic: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_topic(topic)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "127 characters" in (caught.value.why or "")


def test_the_error_shows_the_first_illegal_character() -> None:
    with pytest.raises(InvalidArgument, match=r"illegal character '\$'"):
        check_topic("a$b c")


@pytest.mark.parametrize("topic", ["TBW102", "SCHEDULE_TOPIC_XXXX", "rmq_sys_anything", "RMQ_SYS_TRACE_TOPIC"])
def test_a_system_topic_can_not_be_created_or_deleted(topic: str) -> None:
    assert is_system_topic(topic)
    with pytest.raises(InvalidArgument, match="system topic"):
        check_own_topic(topic)


def test_a_destination_is_a_topic_with_or_without_a_tag() -> None:
    assert parse_destination("orders") == Destination("orders", None)
    assert parse_destination("orders:paid") == Destination("orders", "paid")
    assert parse_destination("orders:已付款") == Destination("orders", "已付款")


@pytest.mark.parametrize("text", ["orders:a||b", "orders:a:b", "orders:", "orders: a", "orders:a\tb", ":a", "a b:c"])
def test_a_destination_with_no_or_several_tags_or_topics_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_destination(text)


@pytest.mark.parametrize(
    ("text", "tags", "expression"),
    [
        ("orders", (), "*"),
        ("orders:*", (), "*"),
        ("orders:a", ("a",), "a"),
        ("orders:a||b", ("a", "b"), "a||b"),
        ("orders:a || b", ("a", "b"), "a||b"),
        ("orders:a,b,a", ("a", "b"), "a||b"),
    ],
)
def test_a_subscription_names_any_number_of_tags(text: str, tags: tuple[str, ...], expression: str) -> None:
    subscription = parse_subscription(text)
    assert subscription.topic == "orders"
    assert subscription.tags == tags
    assert subscription.expression == expression


@pytest.mark.parametrize("text", ["orders:", "orders:a||", "orders:,a", "o o:a"])
def test_a_subscription_with_an_empty_tag_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_subscription(text)


def test_a_new_group_has_a_name_that_leaves_room_for_its_retry_topic() -> None:
    assert check_new_group("g" * 120) == "g" * 120
    assert check_group("g" * 255) == "g" * 255
    with pytest.raises(InvalidArgument) as caught:
        check_new_group("g" * 121)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "at most 127" in (caught.value.why or "")
