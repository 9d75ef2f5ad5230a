"""What is confirmed can be kept: whatever could only be refused later is refused at once, in Apache's words."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.protocol.bodies import SubscriptionGroupConfig, SubscriptionGroupList
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import ConsumerSendMsgBackRequestHeader
from rmqnode.protocol.message.batch import BatchPart, encode_batch
from rmqnode.protocol.properties import encode_properties

SCHEDULE = "SCHEDULE_TOPIC_XXXX"
ILLEGAL = (
    "the message is illegal, maybe msg body or properties length not matched. "
    "msg body length limit 128k, msg properties length limit 32k."
)
LONG = "g" * 121
"""A consumer group of this name has a retry topic of 128 characters."""


def send_back(rig: Any, group: str, delay_level: int = 0) -> Any:
    header = ConsumerSendMsgBackRequestHeader(offset=0, group=group, delay_level=delay_level)
    return rig.ask(RequestCode.CONSUMER_SEND_MSG_BACK, header)


def refusal(reply: Any) -> tuple[int, str]:
    return reply.code, reply.remark


# --- sending back ---


@pytest.mark.parametrize("delay_level", [0, 3, 18])
def test_a_group_whose_retry_topic_cannot_be_named_sends_nothing_back(rig: Any, delay_level: int) -> None:
    rig.send()
    assert refusal(send_back(rig, LONG, delay_level)) == (ResponseCode.SYSTEM_ERROR, "MESSAGE_ILLEGAL")
    assert send_back(rig, LONG[:-1], delay_level).code == ResponseCode.SUCCESS
    assert sum(topic == SCHEDULE for topic, _ in rig.store.queues()) == 1
    assert f"%RETRY%{LONG}" not in rig.broker.topics.all


def test_dead_letters_of_a_group_whose_topic_cannot_be_named_are_refused(rig: Any) -> None:
    rig.send()
    assert refusal(send_back(rig, "g" * 123, -1)) == (ResponseCode.SYSTEM_ERROR, "MESSAGE_ILLEGAL")
    assert send_back(rig, "g" * 122, -1).code == ResponseCode.SUCCESS
    assert [topic for topic in rig.broker.topics.all if topic.startswith("%")] == ["%DLQ%" + "g" * 122]


def test_a_message_whose_properties_have_no_room_for_its_origin_is_not_sent_back(rig: Any) -> None:
    assert rig.send(properties={"X": "y" * 32_700}).code == ResponseCode.SUCCESS
    assert refusal(send_back(rig, "g")) == (ResponseCode.SYSTEM_ERROR, "PROPERTIES_SIZE_EXCEEDED")
    assert not any(topic == SCHEDULE for topic, _ in rig.store.queues())


# --- sending ---


@pytest.mark.parametrize("properties", [{"DELAY": "3"}, {"TRAN_MSG": "true", "PGROUP": "pg"}], ids=str)
def test_properties_that_have_no_room_for_the_real_topic_are_refused(rig: Any, properties: dict[str, str]) -> None:
    reply = rig.send(properties={**properties, "X": "y" * 32_740}, sys_flag=4 if "PGROUP" in properties else 0)
    assert refusal(reply) == (ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    assert rig.store.wrote_offset == 0


def test_a_delayed_message_to_a_topic_that_cannot_be_named_is_refused(rig: Any) -> None:
    topic = f"%RETRY%{LONG}"
    rig.create_topic(topic)  # as a table of Apache's may have it
    assert refusal(rig.send(topic, properties={"DELAY": "3"})) == (ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    assert rig.store.wrote_offset == 0


@pytest.mark.parametrize("sys_flag", [4, 12])
@pytest.mark.parametrize("properties", [{}, {"TRAN_MSG": "false"}], ids=str)
def test_a_message_marked_as_prepared_that_is_no_half_message_is_refused(
    rig: Any, sys_flag: int, properties: dict[str, str]
) -> None:
    for code in (RequestCode.SEND_MESSAGE_V2, RequestCode.SEND_REPLY_MESSAGE_V2):
        reply = rig.send(sys_flag=sys_flag, properties=properties, code=code)
        remark = f"sysFlag[{sys_flag}] marks a prepared message, TRAN_MSG does not"
        assert refusal(reply) == (ResponseCode.MESSAGE_ILLEGAL, remark)
    assert rig.store.wrote_offset == 0


def test_a_committed_message_that_an_old_consumer_sends_back_itself_comes_again(rig: Any) -> None:
    # Java's producer marks everything with TRAN_MSG as prepared, also a message that a consumer forwards.
    properties = {"TRAN_MSG": "true", "PGROUP": "pg", "DELAY": "1"}
    rig.send("%RETRY%g", b"again", properties, reconsume_times=1, max_reconsume_times=16, sys_flag=4)
    assert [message.body for message in rig.messages(SCHEDULE, 0)] == [b"again"]
    rig.send("%RETRY%g", b"dead", properties, reconsume_times=16, max_reconsume_times=16, sys_flag=4)
    assert [message.body for message in rig.messages("%DLQ%g")] == [b"dead"]


@pytest.mark.parametrize("properties", [{"DELAY": "1"}, {"DELAY": "99"}, {"TRAN_MSG": "true", "PGROUP": "pg"}], ids=str)
def test_a_batch_with_a_message_that_would_have_to_wait_is_refused_whole(rig: Any, properties: dict[str, str]) -> None:
    parts = [BatchPart(0, b"a", b""), BatchPart(0, b"b", encode_properties(properties).encode())]
    reply = rig.send("t", encode_batch(parts), code=RequestCode.SEND_BATCH_MESSAGE, batch=True)
    assert reply.code == ResponseCode.MESSAGE_ILLEGAL
    assert "can't be delayed (DELAY) or transactional (TRAN_MSG)" in reply.remark
    assert rig.store.wrote_offset == 0


def test_a_batch_whose_messages_only_mention_delays_is_taken(rig: Any) -> None:
    properties = encode_properties({"DELAY": "0", "TRAN_MSG": "false", "MY_DELAY": "5"}).encode()
    body = encode_batch([BatchPart(0, b"DELAY\x013", properties)])
    assert rig.send("t", body, code=RequestCode.SEND_BATCH_MESSAGE, batch=True).code == ResponseCode.SUCCESS


def test_a_reply_that_can_never_be_stored_is_refused_and_not_handed_on(
    make_rig: Callable[..., Any], new_connection: Callable[..., Any]
) -> None:
    rig = make_rig(max_message_size_bytes=1_000)
    asker = new_connection()
    rig.heartbeat(producers=("pg",), client_id="asker", connection=asker)
    for properties, size in (({}, 1_000), ({"X": "y" * 32_767}, 10), ({"DELAY": "2"}, 870)):
        properties = {"REPLY_TO_CLIENT": "asker", **properties}
        reply = rig.send(body=bytes(size), properties=properties, code=RequestCode.SEND_REPLY_MESSAGE_V2)
        assert refusal(reply) == (ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    assert asker.pushed == []


# --- groups ---


@pytest.mark.parametrize("is_list", [False, True])
def test_a_group_without_room_for_its_retry_topic_is_not_created(rig: Any, is_list: bool) -> None:
    def create(name: str, **fields: Any) -> Any:
        group = SubscriptionGroupConfig(group_name=name, **fields)
        if is_list:
            body = SubscriptionGroupList(group_config_list=[group]).encode()
            return rig.ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, body=body)
        return rig.ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body=group.encode())

    reply = create(LONG)
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert reply.remark.startswith("the name of a consumer group has at most 120 characters, this one has 121")
    assert rig.broker.groups.get(LONG) is None
    assert create(LONG[:-1]).code == ResponseCode.SUCCESS
    rig.heartbeat(LONG)
    assert create(LONG, consume_enable=False).code == ResponseCode.SUCCESS  # it is there, and can be switched off


def test_consumers_of_a_group_that_can_send_nothing_back_read_as_with_apache(rig: Any, caplog: Any) -> None:
    rig.send("t", b"read")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert rig.heartbeat(LONG).code == ResponseCode.SUCCESS
    (line,) = caplog.messages
    assert "group can send nothing back" in line
    assert f"%RETRY%{LONG}" not in rig.broker.topics.all
    assert rig.pull("t", consumer_group=LONG).code == ResponseCode.SUCCESS
