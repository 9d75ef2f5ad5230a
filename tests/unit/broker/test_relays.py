"""What tools ask of consumers through the broker."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.broker.outcome import AfterClients
from rmqnode.net.errors import ConnectionLost, RemotingError, RequestTimeout
from rmqnode.protocol.bodies import GetConsumerStatusBody, MessageQueue, ResetOffsetBody, ResetOffsetBodyForC
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.headers.administration import (
    ConsumeMessageDirectlyRequestHeader,
    GetConsumerRunningInfoRequestHeader,
    GetConsumerStatusRequestHeader,
    ResetOffsetRequestHeader,
)
from rmqnode.protocol.message import decode_record
from rmqnode.protocol.routes import Reply

RESET = RequestCode.INVOKE_BROKER_TO_RESET_OFFSET
STATUS = RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS
INFO = RequestCode.GET_CONSUMER_RUNNING_INFO
CONSUME = RequestCode.CONSUME_MESSAGE_DIRECTLY


def queue(queue_id: int = 0) -> MessageQueue:
    return MessageQueue(topic="t", broker_name="broker-a", queue_id=queue_id)


def with_backlog(rig: Any, committed: int = 4) -> list[int]:
    """A topic of one queue with a message each second, and a group that is there; returns the store times."""
    rig.create_topic("t", read_queue_nums=1, write_queue_nums=1)
    times = []
    for _ in range(5):
        rig.clock.now_ms += 1000
        times.append(rig.clock.now_ms)
        rig.send()
    rig.broker.offsets.commit("g", "t", 0, committed)
    return times


# --- reset of offsets ---


@pytest.mark.parametrize(
    ("committed", "index", "force", "expected"),
    [(4, 1, False, 1), (2, 3, False, 2), (2, 3, True, 3), (2, None, True, 5), (2, None, False, 2)],
)
def test_members_are_told_where_to_go_on(
    rig: Any, committed: int, index: int | None, force: bool, expected: int
) -> None:
    times = with_backlog(rig, committed)
    rig.heartbeat("g")
    rig.connection.pushed.clear()
    timestamp = -1 if index is None else times[index]
    reply = rig.ask(RESET, ResetOffsetRequestHeader("t", "g", timestamp, force))
    assert reply.code == ResponseCode.SUCCESS
    assert ResetOffsetBody.decode(reply.body).offset_table == {queue(): expected}
    (told,) = rig.connection.pushed
    assert (told.code, told.flag) == (RequestCode.RESET_CONSUMER_CLIENT_OFFSET, FLAG_ONEWAY)
    assert told.ext_fields == {
        "topic": "t",
        "group": "g",
        "timestamp": str(timestamp),
        "isForce": "false",
        "queueId": "-1",
    }
    assert ResetOffsetBody.decode(told.body).offset_table == {queue(): expected}
    assert rig.broker.offsets.find("g", "t", 0) == committed, "the consumer commits, not the broker"


def test_one_queue_is_reset_to_an_offset_for_tools_of_5(rig: Any) -> None:
    with_backlog(rig)
    rig.heartbeat("g")
    reply = rig.ask(RESET, ResetOffsetRequestHeader("t", "g", 0, True, 0, 3))
    assert ResetOffsetBody.decode(reply.body).offset_table == {queue(): 3}


def test_members_are_told_in_a_list_when_a_tool_in_c_asks(rig: Any) -> None:
    with_backlog(rig)
    rig.heartbeat("g")
    rig.connection.pushed.clear()
    reply = rig.ask(RESET, ResetOffsetRequestHeader("t", "g", -1, True), language="CPP")
    (entry,) = ResetOffsetBodyForC.decode(rig.connection.pushed[0].body).offset_table
    assert (entry.topic, entry.broker_name, entry.queue_id, entry.offset) == ("t", "broker-a", 0, 5)
    assert ResetOffsetBody.decode(reply.body).offset_table == {queue(): 5}


def test_a_reset_that_cannot_be_is_refused_in_apaches_words(rig: Any) -> None:
    reply = rig.ask(RESET, ResetOffsetRequestHeader("missing", "g", 7))
    remark = "[reset-offset] reset offset failed, no topic in this broker. topic=missing"
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)
    with_backlog(rig)
    reply = rig.ask(RESET, ResetOffsetRequestHeader("t", "unknown", 7))
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, "THe consumer group <unknown> not exist")
    reply = rig.ask(RESET, ResetOffsetRequestHeader("t", "g", 7))
    remark = "Consumer not online, so can not reset offset, Group: g Topic: t Timestamp: 7"
    assert (reply.code, reply.remark) == (ResponseCode.CONSUMER_NOT_ONLINE, remark)


def test_an_old_member_cannot_be_told(rig: Any, old_member: Callable[[int], None]) -> None:
    with_backlog(rig)
    old_member(27)
    for code, header in (
        (RESET, ResetOffsetRequestHeader("t", "g", 7)),
        (STATUS, GetConsumerStatusRequestHeader("t", "g")),
    ):
        reply = rig.ask(code, header)
        remark = "the client does not support this feature. version=version 27"
        assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)


@pytest.fixture
def old_member(rig: Any) -> Callable[[int], None]:
    """Let a client of a version join the group."""

    def join(version: int) -> None:
        rig.heartbeat("g")
        for member in rig.broker.clients.consumer_group("g").members.values():
            member.version = version

    return join


# --- status ---


def test_all_members_are_asked_how_far_they_are(rig: Any, new_connection: Callable[..., Any]) -> None:
    connections = [new_connection(f"10.0.0.{index}:1") for index in range(3)]
    for index, connection in enumerate(connections):
        rig.heartbeat("g", client_id=f"c{index}", connection=connection)
    outcome = rig.ask(STATUS, GetConsumerStatusRequestHeader("t", "g"))
    assert [call.connection for call in outcome.calls] == connections
    assert {call.command.code for call in outcome.calls} == {RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT}
    assert outcome.calls[0].command.ext_fields == {"topic": "t", "group": "g"}
    answers: list[Command | RemotingError] = [
        Command(code=0, body=GetConsumerStatusBody(message_queue_table={queue(): 7}).encode()),
        RequestTimeout("10.0.0.1:1", "no answer"),
        Command(code=1, remark="no"),
    ]
    body = GetConsumerStatusBody.decode(outcome.answer(answers).body)
    assert body.consumer_table == {"c0": {queue(): 7}}
    answers[1] = Command(code=0, body=b"{what")
    assert GetConsumerStatusBody.decode(outcome.answer(answers).body).consumer_table == {"c0": {queue(): 7}}


def test_one_member_is_asked_how_far_it_is(rig: Any, new_connection: Callable[..., Any]) -> None:
    for name in ("a", "b"):
        rig.heartbeat("g", client_id=name, connection=new_connection(f"10.0.0.1:{ord(name)}"))
    outcome = rig.ask(STATUS, GetConsumerStatusRequestHeader("t", "g", "b"))
    assert [call.connection.peer for call in outcome.calls] == ["10.0.0.1:98"]


def test_a_group_that_is_not_online_has_no_status(rig: Any) -> None:
    reply = rig.ask(STATUS, GetConsumerStatusRequestHeader("t", "g"))
    assert reply.remark == "No Any Consumer online in the consumer group: [g]"


# --- passed on as it is ---


def test_running_info_is_passed_on_and_back(rig: Any) -> None:
    rig.heartbeat("g")
    outcome = rig.ask(INFO, GetConsumerRunningInfoRequestHeader("g", "c1", True))
    assert isinstance(outcome, AfterClients)
    (call,) = outcome.calls
    assert call.connection is rig.connection
    assert call.command.code == INFO
    assert call.command.ext_fields == {"consumerGroup": "g", "clientId": "c1", "jstackEnable": "true"}
    assert call.timeout_seconds == 10
    assert outcome.answer([Command(code=0, body=b"{}")]) == Reply(0, None, body=b"{}")
    assert outcome.answer([Command(code=1, remark="why")]) == Reply(1, "why")


def test_a_message_is_handed_to_one_consumer(rig: Any) -> None:
    rig.heartbeat("g")
    message_id = rig.send(body=b"again").header.msg_id
    outcome = rig.ask(CONSUME, ConsumeMessageDirectlyRequestHeader("g", "c1", message_id))
    (call,) = outcome.calls
    assert call.command.ext_fields == {
        "consumerGroup": "g",
        "clientId": "c1",
        "msgId": message_id,
        "brokerName": "broker-a",
    }
    assert decode_record(call.command.body).body == b"again"


def test_a_client_that_does_not_answer_is_told_of(rig: Any) -> None:
    rig.heartbeat("g")
    outcome = rig.ask(INFO, GetConsumerRunningInfoRequestHeader("g", "c1"))
    late = outcome.answer([RequestTimeout("10.0.0.1:1", "no answer within 10 s")])
    assert late.code == ResponseCode.CONSUME_MSG_TIMEOUT
    assert late.remark == "consumer <g> <c1> Timeout: 10.0.0.1:1: no answer within 10 s"
    gone = outcome.answer([ConnectionLost("10.0.0.1:1", "the peer closed it")])
    assert gone.code == ResponseCode.SYSTEM_ERROR
    assert gone.remark == "invoke consumer <g> <c1> Exception: 10.0.0.1:1: the peer closed it"


def test_a_client_that_is_not_there_or_too_old_is_not_asked(rig: Any, old_member: Callable[[int], None]) -> None:
    header = GetConsumerRunningInfoRequestHeader("g", "c1")
    assert rig.ask(INFO, header).remark == "The Consumer <g> <c1> not online"
    rig.heartbeat("g", client_id="c2")
    assert rig.ask(INFO, header).remark == "The Consumer <g> <c1> not online"
    rig.heartbeat("g", client_id="c1")
    old_member(61)
    remark = "The Consumer <c2> Version <version 61> too low to finish, please upgrade it to V3_1_8_SNAPSHOT"
    rig.heartbeat("g", client_id="c2")
    old_member(61)
    for member in rig.broker.clients.consumer_group("g").members.values():
        member.client_id = "c2"
    assert rig.ask(INFO, GetConsumerRunningInfoRequestHeader("g", "c2")).remark == remark


def test_a_message_that_is_not_there_is_not_handed_on(rig: Any) -> None:
    rig.heartbeat("g")
    message_id = "7F00000100002A9F00000000000000FF"
    reply = rig.ask(CONSUME, ConsumeMessageDirectlyRequestHeader("g", "c1", message_id))
    assert (reply.code, reply.remark) == (1, f"can not find message by the id, {message_id}")


@pytest.mark.parametrize("message_id", [None, "", "xyz"])
def test_what_is_no_message_id_is_not_looked_for(rig: Any, message_id: str | None) -> None:
    rig.heartbeat("g")
    with pytest.raises(ProtocolError, match="no message id"):
        rig.ask(CONSUME, ConsumeMessageDirectlyRequestHeader("g", "c1", message_id))
