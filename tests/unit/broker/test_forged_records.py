"""Bytes of a body that look like a record: no request takes them for a message, for no unit points to them."""

import logging
import zlib
from typing import Any

import pytest

from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import (
    ConsumerSendMsgBackRequestHeader,
    EndTransactionRequestHeader,
    QueryMessageRequestHeader,
    ResumeCheckHalfMessageRequestHeader,
    ViewMessageRequestHeader,
)
from rmqnode.protocol.headers.administration import ConsumeMessageDirectlyRequestHeader
from rmqnode.protocol.message import Host, StoredMessage, SysFlag, encode_record
from rmqnode.protocol.message_id import encode_offset_message_id
from rmqnode.store.record import RECORD_HEAD_SIZE

HALF = "RMQ_SYS_TRANS_HALF_TOPIC"
OP = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
GIVEN_UP = "TRANS_CHECK_MAX_TIME_TOPIC"
TO_OP = {"PGROUP": "pg", "REAL_TOPIC": OP, "REAL_QID": "0"}


def record(at: int, topic: str, properties: dict[str, str], queue_offset: int = 0, **fields: Any) -> bytes:
    """A record as it would lie at a physical offset."""
    values: dict[str, Any] = {
        "topic": topic,
        "queue_id": 0,
        "flag": 0,
        "queue_offset": queue_offset,
        "physical_offset": at,
        "sys_flag": 0,
        "born_timestamp": 0,
        "born_host": Host(bytes(4), 1),
        "store_timestamp": 0,
        "store_host": Host(bytes(4), 1),
        "reconsume_times": 0,
        "prepared_transaction_offset": 0,
        "body": b"0",
        "body_crc": zlib.crc32(b"0"),
        "properties": properties,
        "size_bytes": 0,
    }
    return encode_record(StoredMessage(**values | fields))


def forge(rig: Any, topic: str, properties: dict[str, str], **fields: Any) -> int:
    """Send a body that holds a record; returns the physical offset where that lies."""
    at: int = rig.store.wrote_offset + RECORD_HEAD_SIZE
    body = record(at, topic, properties, **fields)
    assert rig.send("t", body).code == ResponseCode.SUCCESS
    assert rig.store.read_record(at) is not None
    return at


def message_id(at: int) -> str:
    return encode_offset_message_id(bytes([127, 0, 0, 1]), 10911, at)


def end(rig: Any, at: int, queue_offset: int = 0) -> Any:
    header = EndTransactionRequestHeader(
        producer_group="pg", tran_state_table_offset=queue_offset, commit_log_offset=at, commit_or_rollback=8
    )
    return rig.ask(RequestCode.END_TRANSACTION, header)


@pytest.mark.parametrize("real_topic", [OP, "SCHEDULE_TOPIC_XXXX", "nobody", "  ", "\x1b[31mred", "t"])
def test_a_body_is_never_committed(rig: Any, real_topic: str) -> None:
    at = forge(rig, HALF, {**TO_OP, "REAL_TOPIC": real_topic})
    queues = dict(rig.store.queues())
    assert end(rig, at).remark == "Find prepared transaction message failed"
    assert dict(rig.store.queues()) == queues


def test_a_body_does_not_become_a_half_message_by_the_place_of_a_real_one(rig: Any) -> None:
    rig.send("t", b"real", {"TRAN_MSG": "true", "PGROUP": "pg", "UNIQ_KEY": "K"}, sys_flag=4)
    at = forge(rig, HALF, TO_OP, queue_offset=0)
    assert end(rig, at).remark == "Find prepared transaction message failed"
    assert rig.messages(OP) == []


def test_a_body_is_not_shown_by_its_offset_or_id(rig: Any) -> None:
    at = forge(rig, "t", {}, queue_offset=7)
    reply = rig.ask(RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequestHeader(offset=at))
    remark = f"can not find message by the offset, {at}"
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)
    header = ConsumeMessageDirectlyRequestHeader(consumer_group="g", client_id="c", msg_id=message_id(at))
    assert "can not find message by the id" in rig.ask(RequestCode.CONSUME_MESSAGE_DIRECTLY, header).remark


@pytest.mark.parametrize("flags", [0, int(SysFlag.BORN_HOST_IPV6 | SysFlag.STORE_HOST_IPV6)])
def test_a_body_is_not_sent_back(rig: Any, flags: int) -> None:
    host = Host(bytes(16 if flags else 4), 1)
    at = forge(rig, "t", {}, sys_flag=flags, born_host=host, store_host=host)
    header = ConsumerSendMsgBackRequestHeader(offset=at, group="g", delay_level=0)
    reply = rig.ask(RequestCode.CONSUMER_SEND_MSG_BACK, header)
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, f"look message by offset failed, {at}")
    assert [key for key in rig.store.queues() if key[0] != "t"] == []


def test_neither_a_body_nor_an_ordinary_message_becomes_a_half_message_by_a_resume(rig: Any) -> None:
    forged = forge(rig, GIVEN_UP, TO_OP)
    rig.send("t", b"plain", TO_OP)
    plain = rig.messages("t")[-1].physical_offset
    for at in (forged, plain):
        header = ResumeCheckHalfMessageRequestHeader(msg_id=message_id(at))
        assert rig.ask(RequestCode.RESUME_CHECK_HALF_MESSAGE, header).code == ResponseCode.SYSTEM_ERROR
    assert rig.messages(HALF) == []


def test_a_message_of_a_deleted_topic_is_not_found(rig: Any) -> None:
    rig.send("t", b"old", {"KEYS": "k"})
    (old,) = rig.messages("t")
    assert rig.store.delete_topic("t") == 1
    rig.send("t", b"new", {"KEYS": "k"})
    reply = rig.ask(RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequestHeader(offset=old.physical_offset))
    assert reply.code == ResponseCode.SYSTEM_ERROR
    header = QueryMessageRequestHeader(topic="t", key="k", max_num=9, begin_timestamp=0, end_timestamp=1 << 60)
    rig.ask(RequestCode.QUERY_MESSAGE, header)
    (found,) = rig.connection.replies[-1][1].body
    assert b"new" in bytes(found)


@pytest.mark.parametrize(
    "fields",
    [{"queue_id": -1}, {"queue_id": 2**31 - 1}, {"queue_offset": -1}, {"queue_offset": 2**62}, {"topic": "../../x"}],
    ids=str,
)
def test_a_record_whose_place_cannot_be_is_not_found(rig: Any, caplog: Any, fields: dict[str, Any]) -> None:
    at = forge(rig, **{"topic": "t", "properties": {}, **fields})
    with caplog.at_level(logging.WARNING):
        assert rig.store.find_record(at) is None
    assert caplog.records == []


@pytest.mark.parametrize("real_topic", [OP, HALF, "SCHEDULE_TOPIC_XXXX", "TBW102", "  ", "a\x1b[31mb", "x" * 128])
def test_a_half_message_of_another_broker_is_not_committed_to_where_no_producer_may_send(
    rig: Any, real_topic: str
) -> None:
    # 4.5.2 lets everybody send to the topic of half messages.
    properties = f"PGROUP\x01pg\x02REAL_TOPIC\x01{real_topic}\x02REAL_QID\x010".encode()
    at = rig.store.put(HALF, 0, 0, 0, 0, bytes(8), b"forged", properties, 0).physical_offset
    queues = set(rig.store.queues())
    assert end(rig, at).code in (ResponseCode.NO_PERMISSION, ResponseCode.SYSTEM_ERROR)
    assert set(rig.store.queues()) == queues
    assert rig.broker.topics.get(real_topic) is None or real_topic == "TBW102"


def test_a_commit_to_a_queue_that_the_topic_has_no_more_leaves_the_message_undecided(rig: Any) -> None:
    rig.create_topic("t")
    rig.send("t", b"paid", {"TRAN_MSG": "true", "PGROUP": "pg"}, queue_id=3, sys_flag=4)
    (half,) = rig.messages(HALF)
    rig.create_topic("t", read_queue_nums=2, write_queue_nums=2)
    assert end(rig, half.physical_offset).remark.startswith("queueId[3] is illegal")
    rig.create_topic("t")
    assert end(rig, half.physical_offset).code == ResponseCode.SUCCESS
    assert [message.body for message in rig.messages("t", 3)] == [b"paid"]
