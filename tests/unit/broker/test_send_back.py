"""Messages that a consumer failed on: copied to the retry topic with a delay, at last to the dead letters."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.config import BrokerRole
from rmqnode.protocol.bodies import SubscriptionGroupConfig
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import ConsumerSendMsgBackRequestHeader

FAQ = "\nSee http://rocketmq.apache.org/docs/faq/ for further details."
SCHEDULE = "SCHEDULE_TOPIC_XXXX"


def send_back(rig: Any, offset: int = 0, group: str = "g", delay_level: int = 0, **fields: Any) -> Any:
    version = fields.pop("version", 317)
    header = ConsumerSendMsgBackRequestHeader(offset=offset, group=group, delay_level=delay_level, **fields)
    return rig.ask(RequestCode.CONSUMER_SEND_MSG_BACK, header, version=version)


def configure(rig: Any, **fields: Any) -> None:
    rig.broker.groups.put(SubscriptionGroupConfig(group_name="g", **fields))


def refusal(reply: Any) -> tuple[int, str]:
    return reply.code, reply.remark


def test_the_copy_waits_in_the_schedule_topic_for_its_retry_topic(rig: Any) -> None:
    rig.send("t", b"body", {"TAGS": "a", "KEYS": "k"}, flag=5, sys_flag=1, born_timestamp=77)
    (original,) = rig.messages("t")
    assert send_back(rig).code == ResponseCode.SUCCESS
    (copy,) = rig.messages(SCHEDULE, 2)
    assert (copy.body, copy.flag, copy.sys_flag, copy.born_timestamp) == (b"body", 5, 1, 77)
    assert copy.born_host == original.born_host
    assert copy.reconsume_times == 1
    assert copy.properties == {
        "TAGS": "a",
        "KEYS": "k",
        "RETRY_TOPIC": "t",
        "ORIGIN_MESSAGE_ID": original.offset_message_id,
        "WAIT": "false",
        "DELAY": "3",
        "REAL_TOPIC": "%RETRY%g",
        "REAL_QID": "0",
    }
    assert rig.broker.topics.get("%RETRY%g").read_queue_nums == 1


def test_a_compressed_body_is_copied_as_it_is(rig: Any) -> None:
    rig.send(body=b"not really deflated", sys_flag=1)
    send_back(rig, delay_level=-1)
    assert [message.body for message in rig.messages("%DLQ%g")] == [b"not really deflated"]


@pytest.mark.parametrize(
    ("delay_level", "tries", "queue_id"), [(0, 0, 2), (0, 4, 6), (1, 4, 0), (18, 0, 17), (99, 0, 17)]
)
def test_the_delay_is_the_consumers_or_grows(rig: Any, delay_level: int, tries: int, queue_id: int) -> None:
    rig.send(reconsume_times=tries)
    send_back(rig, delay_level=delay_level)
    assert [message.reconsume_times for message in rig.messages(SCHEDULE, queue_id)] == [tries + 1]


def test_topic_and_id_of_the_first_copy_are_kept(rig: Any) -> None:
    rig.send(properties={"RETRY_TOPIC": "first", "ORIGIN_MESSAGE_ID": "id"})
    send_back(rig)
    (copy,) = rig.messages(SCHEDULE, 2)
    assert (copy.properties["RETRY_TOPIC"], copy.properties["ORIGIN_MESSAGE_ID"]) == ("first", "id")


@pytest.mark.parametrize(
    ("tries", "fields", "is_dead"),
    [
        (16, {}, True),
        (15, {}, False),
        (2, {"max_reconsume_times": 2}, True),
        (2, {"max_reconsume_times": 3}, False),
        (2, {"max_reconsume_times": 2, "version": 120}, False),
        (0, {"delay_level": -1}, True),
        (0, {"delay_level": -(2**31)}, True),
    ],
    ids=str,
)
def test_after_too_many_tries_the_copy_is_a_dead_letter(
    rig: Any, tries: int, fields: dict[str, int], is_dead: bool
) -> None:
    rig.send(reconsume_times=tries, properties={"TAGS": "a"})
    assert send_back(rig, **fields).code == ResponseCode.SUCCESS
    assert len(rig.messages("%DLQ%g")) == is_dead


def test_a_dead_letter_is_not_delayed_and_names_its_origin(rig: Any) -> None:
    # A message that came back once still has the DELAY it waited with.
    rig.create_topic("%RETRY%g")
    rig.send("%RETRY%g", properties={"DELAY": "0", "REAL_TOPIC": "%RETRY%g"}, max_reconsume_times=9)
    rig.send("t")
    (original,) = rig.messages("t")
    send_back(rig, original.physical_offset, delay_level=-1)
    (dead,) = rig.messages("%DLQ%g")
    assert "DELAY" not in dead.properties
    assert dead.properties["ORIGIN_MESSAGE_ID"] == original.offset_message_id
    assert dead.properties["RETRY_TOPIC"] == "t"


def test_the_retry_queue_is_one_of_the_groups(rig: Any) -> None:
    configure(rig, retry_queue_nums=3)
    rig.send()
    for _ in range(60):
        send_back(rig, delay_level=1)
    assert {message.properties["REAL_QID"] for message in rig.messages(SCHEDULE, 0)} == {"0", "1", "2"}


def test_a_group_without_retry_queues_stores_nothing(rig: Any) -> None:
    configure(rig, retry_queue_nums=0)
    rig.send()
    before = rig.store.wrote_offset
    assert send_back(rig).code == ResponseCode.SUCCESS
    assert rig.store.wrote_offset == before
    assert rig.broker.topics.get("%RETRY%g") is None


def test_an_unknown_group_is_refused(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(auto_create_subscription_group=False)
    remark = f"subscription group not exist, g {FAQ}"
    assert refusal(send_back(rig)) == (ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)


def test_a_broker_without_write_permission_refuses(make_rig: Callable[..., Any]) -> None:
    reply = send_back(make_rig(broker_permission=4))
    assert refusal(reply) == (ResponseCode.NO_PERMISSION, "the broker[127.0.0.1] sending message is forbidden")


def test_a_retry_topic_without_write_permission_refuses(rig: Any) -> None:
    rig.create_topic("%RETRY%g", perm=4)
    rig.send()
    remark = "the topic[%RETRY%g] sending message is forbidden"
    assert refusal(send_back(rig)) == (ResponseCode.NO_PERMISSION, remark)


@pytest.mark.parametrize("offset", [-1, 5, 10**9, 2**63 - 1, -(2**63)])
def test_a_place_without_message_is_refused(rig: Any, offset: int) -> None:
    rig.send()
    remark = f"look message by offset failed, {offset}"
    assert refusal(send_back(rig, offset)) == (ResponseCode.SYSTEM_ERROR, remark)


@pytest.mark.parametrize("group", ["..", "", "a/b", "组"])
def test_an_illegal_group_is_an_unknown_one(rig: Any, group: str) -> None:
    rig.send()
    assert send_back(rig, group=group).code == ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST


def test_a_slave_stores_no_copy(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(broker_role=BrokerRole.SLAVE, broker_id=1)
    assert refusal(send_back(rig)) == (ResponseCode.SYSTEM_ERROR, "SERVICE_NOT_AVAILABLE")
    assert rig.broker.topics.get("%RETRY%g") is None
