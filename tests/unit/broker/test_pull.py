"""Pulls: the order of the checks, every status with its code and next offset, tags, and the offset that rides along."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rmqnode.broker.outcome import Hold
from rmqnode.config import BrokerRole
from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies import MessageModel, SubscriptionGroupConfig
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.header_fields import header_to_ext_fields

FAQ = "\nSee http://rocketmq.apache.org/docs/faq/ for further details."
Read = Callable[[Any], Any]


def refusal(reply: Any) -> tuple[int, str]:
    assert reply.header is None
    return reply.code, reply.remark


def status(reply: Any) -> tuple[int, str, int]:
    return reply.code, reply.remark, reply.header.next_begin_offset


def test_stored_messages_come_back_unmodified(rig: Any, read: Read) -> None:
    rig.send(body=b"one", properties={"TAGS": "a"})
    rig.send(body=b"two")
    reply = rig.pull()
    assert status(reply) == (ResponseCode.SUCCESS, "FOUND", 2)
    assert read(reply) == rig.messages("t")
    assert header_to_ext_fields(reply.header) == {
        "suggestWhichBrokerId": "0",
        "nextBeginOffset": "2",
        "minOffset": "0",
        "maxOffset": "2",
    }


def test_the_checks_come_in_apaches_order(make_rig: Callable[..., Any]) -> None:
    """One broker that is wrong in every respect; mending one after the other shows the next."""
    rig = make_rig(broker_permission=2, auto_create_subscription_group=False)
    pull = {"sys_flag": 0, "queue_id": 9, "sub_version": 5}
    assert refusal(rig.pull(**pull)) == (16, "the broker[127.0.0.1] pulling message is forbidden")
    rig.broker.config = make_rig(auto_create_subscription_group=False).config
    assert refusal(rig.pull(**pull)) == (26, f"subscription group [g] does not exist, {FAQ}")
    rig.broker.groups.put(SubscriptionGroupConfig(group_name="g", consume_enable=False, consume_broadcast_enable=False))
    assert refusal(rig.pull(**pull)) == (16, "subscription group no permission, g")
    rig.broker.groups.put(SubscriptionGroupConfig(group_name="g", consume_broadcast_enable=False))
    assert refusal(rig.pull(**pull)) == (17, f"topic[t] not exist, apply first please! {FAQ}")
    rig.create_topic("t", perm=2)
    assert refusal(rig.pull(**pull)) == (16, "the topic[t] pulling message is forbidden")
    rig.create_topic("t", read_queue_nums=2)
    remark = "queueId[9] is illegal, topic:[t] topicConfig.readQueueNums:[2] consumer:[/10.1.2.3:4567]"
    assert refusal(rig.pull(**pull)) == (1, remark)
    pull["queue_id"] = 1
    assert refusal(rig.pull(**pull)) == (24, f"the consumer's group info not exist{FAQ}")
    rig.heartbeat("g", topics={"u": "*"}, message_model=MessageModel.BROADCASTING)
    assert refusal(rig.pull(**pull)) == (16, "the consumer group[g] can not consume by broadcast way")
    rig.heartbeat("g", topics={"u": "*"}, message_model=MessageModel.CLUSTERING)
    assert refusal(rig.pull(**pull)) == (24, f"the consumer's subscription not exist{FAQ}")
    rig.heartbeat("g", topics={"t": "*"}, sub_version=4)
    assert refusal(rig.pull(**pull)) == (25, "the consumer's subscription not latest")
    rig.heartbeat("g", topics={"t": "*"}, sub_version=5)
    assert status(rig.pull(**pull)) == (19, "NO_MESSAGE_IN_QUEUE", 0)


@pytest.mark.parametrize("queue_id", [-1, 4, 2**31 - 1, -(2**31)])
def test_a_queue_that_cannot_be_read_is_refused(rig: Any, queue_id: int) -> None:
    rig.create_topic("t", read_queue_nums=4, write_queue_nums=8)
    assert rig.pull(queue_id=queue_id).code == ResponseCode.SYSTEM_ERROR


def test_sql_is_refused_in_request_and_heartbeat(rig: Any) -> None:
    rig.create_topic()
    remark = "The broker does not support consumer to filter message by SQL92"
    assert refusal(rig.pull(expression_type="SQL92", subscription="a > 1")) == (1, remark)


def test_a_pull_creates_its_group(rig: Any) -> None:
    rig.create_topic()
    rig.pull(consumer_group="fresh")
    assert "fresh" in rig.broker.groups.wrapper().subscription_group_table


@pytest.mark.parametrize(
    ("queue_offset", "expected"),
    [
        (0, (0, "FOUND", 3)),
        (2, (0, "FOUND", 3)),
        (3, (19, "OFFSET_OVERFLOW_ONE", 3)),
        (4, (21, "OFFSET_OVERFLOW_BADLY", 3)),
        (2**63 - 1, (21, "OFFSET_OVERFLOW_BADLY", 3)),
        (-1, (21, "OFFSET_TOO_SMALL", 0)),
        (-(2**63), (21, "OFFSET_TOO_SMALL", 0)),
    ],
)
def test_each_offset_has_its_status(rig: Any, queue_offset: int, expected: tuple[int, str, int]) -> None:
    for _ in range(3):
        rig.send()
    reply = rig.pull(queue_offset=queue_offset)
    assert status(reply) == expected
    assert (reply.header.min_offset, reply.header.max_offset) == (0, 3)
    assert bool(reply.body) == (expected[0] == 0)


@pytest.mark.parametrize(("queue_offset", "code"), [(0, 19), (1, 21), (-1, 21)])
def test_an_empty_queue_sends_everybody_to_its_beginning(rig: Any, queue_offset: int, code: int) -> None:
    rig.create_topic()
    assert status(rig.pull(queue_offset=queue_offset)) == (code, "NO_MESSAGE_IN_QUEUE", 0)


def test_a_moved_offset_leaves_an_event(rig: Any) -> None:
    rig.send()
    rig.pull(queue_offset=7)
    (event,) = rig.messages("OFFSET_MOVED_EVENT")
    assert event.properties == {"TAGS": "g", "KEYS": "g", "DELAY": "0"}
    assert fastjson.loads(event.body) == {
        "consumerGroup": "g",
        "messageQueue": {"brokerName": "broker-a", "queueId": 0, "topic": "t"},
        "offsetNew": 1,
        "offsetRequest": 7,
    }


def test_a_slave_never_moves_an_offset_unless_told_to(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(broker_role=BrokerRole.SLAVE, broker_id=1)
    rig.create_topic()
    assert status(rig.pull(queue_offset=7)) == (20, "NO_MESSAGE_IN_QUEUE", 7)
    rig = make_rig(broker_role=BrokerRole.SLAVE, broker_id=1, offset_check_in_slave=True)
    rig.create_topic()
    assert status(rig.pull(queue_offset=7)) == (21, "NO_MESSAGE_IN_QUEUE", 0)
    assert rig.store.wrote_offset == 0


# --- tags ---


def fill(rig: Any, *tags: str) -> None:
    for tag in tags:
        rig.send(body=tag.encode(), properties={"TAGS": tag} if tag else {})


@pytest.mark.parametrize(
    ("subscription", "found"),
    [
        ("*", ["a", "b", "", "a"]),
        ("", ["a", "b", "", "a"]),
        (None, ["a", "b", "", "a"]),
        ("a", ["a", "a"]),
        (" a  ||b ", ["a", "b", "a"]),
        ("a||", ["a", "a"]),
    ],
)
def test_tags_of_the_request_filter(rig: Any, read: Read, subscription: str | None, found: list[str]) -> None:
    fill(rig, "a", "b", "", "a")
    reply = rig.pull(subscription=subscription)
    assert [message.body.decode() for message in read(reply)] == found
    assert reply.header.next_begin_offset == 4


def test_tags_of_the_heartbeat_filter_when_the_request_brings_none(rig: Any, read: Read) -> None:
    fill(rig, "a", "b", "a")
    rig.heartbeat("g", topics={"t": "b"})
    assert [message.body for message in read(rig.pull(sys_flag=0, subscription="a"))] == [b"b"]


def test_tags_with_the_same_hash_pass_together(rig: Any, read: Read) -> None:
    fill(rig, "Aa", "BB", "C")
    assert [message.body for message in read(rig.pull(subscription="Aa"))] == [b"Aa", b"BB"]


def test_nothing_that_matches_sends_the_client_on_at_once(rig: Any) -> None:
    fill(rig, "a", "a")
    assert status(rig.pull(subscription="z", sys_flag=2 | 4)) == (20, "NO_MATCHED_MESSAGE", 2)


# --- amount ---


@pytest.mark.parametrize(("asked", "got"), [(1, 1), (5, 5), (32, 32), (1000, 32), (0, 1), (-1, 1)])
def test_a_pull_brings_as_many_as_asked_up_to_32(rig: Any, read: Read, asked: int, got: int) -> None:
    for _ in range(40):
        rig.send()
    reply = rig.pull(max_msg_nums=asked)
    assert len(read(reply)) == got
    assert reply.header.next_begin_offset == got


def test_a_pull_brings_256_kib_but_always_one_message(rig: Any, read: Read) -> None:
    for _ in range(3):
        rig.send(body=bytes(200_000))
    assert len(read(rig.pull())) == 1
    rig.send(body=bytes(2_000_000))
    assert len(read(rig.pull(queue_offset=3))) == 1


# --- the offset that rides along ---


@pytest.mark.parametrize(("sys_flag", "committed"), [(1 | 4, 7), (4, None)])
def test_an_offset_rides_along_with_its_flag(rig: Any, sys_flag: int, committed: int | None) -> None:
    rig.create_topic()
    rig.pull(sys_flag=sys_flag, commit_offset=7)
    assert rig.broker.offsets.find("g", "t", 0) == committed


async def test_an_offset_rides_along_with_a_held_pull_too(rig: Any) -> None:
    rig.create_topic()
    assert isinstance(rig.pull(sys_flag=1 | 2 | 4, commit_offset=7), Hold)
    assert rig.broker.offsets.find("g", "t", 0) == 7


def test_a_slave_and_a_refused_pull_commit_nothing(make_rig: Callable[..., Any]) -> None:
    slave = make_rig(broker_role=BrokerRole.SLAVE, broker_id=1)
    slave.create_topic()
    slave.pull(sys_flag=1 | 4, commit_offset=7)
    assert slave.broker.offsets.find("g", "t", 0) is None
    rig = make_rig()
    rig.pull("missing", sys_flag=1 | 4, commit_offset=7)
    assert rig.broker.offsets.find("g", "missing", 0) is None


# --- which broker to ask next ---


def test_a_slave_is_suggested_only_where_slaves_may_be_read(make_rig: Callable[..., Any]) -> None:
    group = SubscriptionGroupConfig(group_name="g", broker_id=3, which_broker_when_consume_slowly=5)
    for read_slaves, ratio, expected in ((False, 0, 0), (True, 40, 3), (True, 0, 5)):
        rig = make_rig(slave_read_enable=read_slaves, access_message_in_memory_max_ratio=ratio)
        rig.broker.groups.put(group)
        rig.send()
        assert rig.pull().header.suggest_which_broker_id == expected


def test_a_slave_is_suggested_for_what_is_further_behind_than_memory_reaches(rig: Any) -> None:
    rig.broker.config = replace(rig.config, slave_read_enable=True)
    for _ in range(3):
        rig.send()
    # What counts is the last unit that was looked at: the one that found the answer full.
    behind = rig.store.wrote_offset - rig.store.unit("t", 0, 1)[0]
    for in_memory_bytes_max, expected in ((behind, 0), (behind - 1, 1)):
        rig.store._options = replace(rig.store._options, in_memory_bytes_max=in_memory_bytes_max)
        assert rig.pull(max_msg_nums=1).header.suggest_which_broker_id == expected
