"""Sends: where a message lands, what the producer is told, and what is refused in which words."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from rmqnode.broker.outcome import AfterFlush
from rmqnode.config import BrokerRole, FlushDiskType
from rmqnode.protocol.bodies import TopicFilterType
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers import SendMessageRequestHeader
from rmqnode.protocol.message import Host, SysFlag
from rmqnode.protocol.message.batch import BatchPart, encode_batch
from rmqnode.protocol.properties import encode_properties

FAQ = "\nSee http://rocketmq.apache.org/docs/faq/ for further details."
ILLEGAL = (
    "the message is illegal, maybe msg body or properties length not matched. "
    "msg body length limit 128k, msg properties length limit 32k."
)
BATCH = RequestCode.SEND_BATCH_MESSAGE


def refusal(reply: Any) -> tuple[int, str]:
    return reply.code, reply.remark


def test_a_message_is_stored_as_it_was_sent(rig: Any) -> None:
    reply = rig.send(
        "t",
        b"\x00body",
        {"TAGS": "a", "KEYS": "k1 k2", "UNIQ_KEY": "7F"},
        queue_id=3,
        flag=9,
        born_timestamp=123,
        reconsume_times=2,
    )
    assert (reply.code, reply.remark, reply.body) == (ResponseCode.SUCCESS, None, b"")
    (message,) = rig.messages("t", 3)
    assert (message.topic, message.queue_id, message.queue_offset) == ("t", 3, 0)
    assert (message.body, message.flag, message.sys_flag) == (b"\x00body", 9, 0)
    assert (message.born_timestamp, message.store_timestamp) == (123, rig.clock.now_ms)
    assert message.properties == {"TAGS": "a", "KEYS": "k1 k2", "UNIQ_KEY": "7F"}
    assert message.born_host == Host(bytes([10, 1, 2, 3]), 4567)
    assert message.store_host == Host(bytes([127, 0, 0, 1]), 10911)
    assert message.reconsume_times == 2
    assert reply.header.msg_id == message.offset_message_id
    assert (reply.header.queue_id, reply.header.queue_offset) == (3, 0)


def test_region_and_trace_switch_are_always_told(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(region_id="Mars", trace_on=False)
    fields = header_to_ext_fields(rig.send().header)
    assert (fields["MSG_REGION"], fields["TRACE_ON"]) == ("Mars", "false")
    assert fields.keys() == {"msgId", "queueId", "queueOffset", "MSG_REGION", "TRACE_ON"}
    assert "MSG_REGION" not in rig.messages("t")[0].properties


def test_the_long_header_means_the_same(rig: Any) -> None:
    header = SendMessageRequestHeader("pg", "t", "TBW102", 4, 1, 0, 5, 0, "TAGS\x01a\x02")
    assert rig.ask(RequestCode.SEND_MESSAGE, header, b"long").code == ResponseCode.SUCCESS
    assert [(message.body, message.properties) for message in rig.messages("t", 1)] == [(b"long", {"TAGS": "a"})]


def test_messages_of_a_queue_have_consecutive_offsets(rig: Any) -> None:
    assert [rig.send().header.queue_offset for _ in range(3)] == [0, 1, 2]
    assert rig.send(queue_id=1).header.queue_offset == 0


def test_an_empty_body_is_accepted(rig: Any) -> None:
    assert rig.send(body=b"").code == ResponseCode.SUCCESS
    assert rig.messages("t")[0].body == b""


@pytest.mark.parametrize("queue_id", [-1, -(2**31)])
def test_a_negative_queue_id_means_any_write_queue(rig: Any, queue_id: int) -> None:
    rig.create_topic("t", write_queue_nums=3)
    found = {rig.send(queue_id=queue_id).header.queue_id for _ in range(100)}
    assert found == {0, 1, 2}


@pytest.mark.parametrize("queue_id", [5, 2**31 - 1])
def test_a_queue_id_beyond_all_queues_is_refused(rig: Any, queue_id: int) -> None:
    rig.create_topic("t", read_queue_nums=5, write_queue_nums=2)
    assert rig.send(queue_id=4).code == ResponseCode.SUCCESS
    assert refusal(rig.send(queue_id=queue_id)) == (
        ResponseCode.SYSTEM_ERROR,
        f"request queueId[{queue_id}] is illegal, TopicConfig [topicName=t, readQueueNums=5, writeQueueNums=2, "
        "perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false] Producer: 10.1.2.3:4567",
    )


def test_sending_to_the_template_is_refused(rig: Any) -> None:
    remark = "the topic[TBW102] is conflict with system reserved words."
    assert refusal(rig.send("TBW102")) == (ResponseCode.SYSTEM_ERROR, remark)


def test_a_topic_without_write_permission_still_takes_messages(rig: Any) -> None:
    rig.create_topic("t", perm=4)
    assert rig.send().code == ResponseCode.SUCCESS


def test_a_broker_without_write_permission_refuses_ordered_topics_only(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(broker_permission=4)
    rig.create_topic("ordered", order=True)
    assert refusal(rig.send("ordered")) == (
        ResponseCode.NO_PERMISSION,
        "the broker[127.0.0.1] sending message is forbidden",
    )
    assert rig.send("other").code == ResponseCode.SUCCESS


def test_before_its_time_a_broker_takes_nothing(make_rig: Callable[..., Any], clock: Any) -> None:
    start_ms = clock.now_ms + 1_007
    rig = make_rig(start_accept_send_request_timestamp_ms=start_ms)
    when = datetime.fromtimestamp(start_ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
    assert refusal(rig.send()) == (ResponseCode.SYSTEM_ERROR, f"broker unable to service, until {when},007")
    clock.now_ms = start_ms
    assert rig.send().code == ResponseCode.SUCCESS


@pytest.mark.parametrize("send", [{}, {"code": BATCH, "batch": True}, {"topic": "%RETRY%g"}], ids=str)
def test_a_slave_takes_no_message_and_creates_no_topic(make_rig: Callable[..., Any], send: dict[str, Any]) -> None:
    rig = make_rig(broker_role=BrokerRole.SLAVE, broker_id=1)
    before = rig.broker.topics.data_version
    reply = rig.send(body=encode_batch([BatchPart(0, b"a", b"")]), **send)
    assert reply.code == ResponseCode.SERVICE_NOT_AVAILABLE
    assert reply.remark.startswith("service not available now, maybe disk full, CL: ")
    assert rig.store.wrote_offset == 0
    assert rig.broker.topics.data_version == before


def test_a_closed_store_is_not_available(rig: Any) -> None:
    rig.store.close()
    reply = rig.send()
    assert reply.code == ResponseCode.SERVICE_NOT_AVAILABLE
    assert reply.remark.endswith("maybe your broker machine memory too small.")


def test_messages_and_properties_beyond_their_size_are_illegal(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(max_message_size_bytes=100_000)
    assert refusal(rig.send(body=bytes(100_000))) == (ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    assert refusal(rig.send(properties={"k": "v" * 32_768})) == (ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    assert rig.store.wrote_offset == 0
    assert rig.send(properties={"k": "v" * 32_764}).code == ResponseCode.SUCCESS


def test_bits_for_ipv6_hosts_are_the_brokers_to_set(rig: Any) -> None:
    flags = int(SysFlag.BORN_HOST_IPV6 | SysFlag.STORE_HOST_IPV6 | SysFlag.COMPRESSED)
    assert rig.send(sys_flag=flags, body=b"x").code == ResponseCode.SUCCESS
    (message,) = rig.messages("t")
    assert message.sys_flag == SysFlag.COMPRESSED
    assert message.body == b"x"


@pytest.mark.parametrize("sys_flag", [-1, 2**31 - 1, -(2**31)])
def test_wild_sys_flags_leave_a_record_that_can_be_read(rig: Any, sys_flag: int) -> None:
    reply = rig.send(sys_flag=sys_flag, flag=-(2**31), born_timestamp=-(2**63))
    rig.send(body=b"next")
    assert reply.code in (ResponseCode.SUCCESS, ResponseCode.MESSAGE_ILLEGAL)
    assert rig.messages("t")[-1].body == b"next"


def test_a_topic_of_many_tags_marks_its_messages(rig: Any) -> None:
    rig.create_topic("t", topic_filter_type=TopicFilterType.MULTI_TAG)
    rig.send()
    assert rig.messages("t")[0].sys_flag == SysFlag.MULTI_TAGS


# --- retry topics and dead letters ---


def test_a_resend_to_a_retry_topic_is_stored_there(rig: Any) -> None:
    reply = rig.send("%RETRY%g", reconsume_times=3, max_reconsume_times=16)
    assert reply.code == ResponseCode.SUCCESS
    assert [message.reconsume_times for message in rig.messages("%RETRY%g")] == [3]


@pytest.mark.parametrize(
    ("fields", "is_dead"),
    [
        ({"reconsume_times": 5, "max_reconsume_times": 5}, True),
        ({"reconsume_times": 5, "max_reconsume_times": 6}, False),
        ({"reconsume_times": 16}, True),
        ({"reconsume_times": 15}, False),
        ({"reconsume_times": 5, "max_reconsume_times": 5, "version": 120}, False),
        ({"reconsume_times": 16, "max_reconsume_times": 20, "version": 120}, True),
        ({"max_reconsume_times": 0}, True),
    ],
    ids=str,
)
def test_a_message_tried_too_often_becomes_a_dead_letter(rig: Any, fields: dict[str, int], is_dead: bool) -> None:
    reply = rig.send("%RETRY%g", **fields)
    assert reply.code == ResponseCode.SUCCESS
    assert len(rig.messages("%DLQ%g")) == is_dead
    assert len(rig.messages("%RETRY%g")) == (not is_dead)


def test_a_dead_letter_does_not_wait_for_the_delay_of_another_try(rig: Any) -> None:
    rig.send("%RETRY%g", properties={"DELAY": "18"}, reconsume_times=15)
    assert len(rig.messages("SCHEDULE_TOPIC_XXXX", 17)) == 1
    rig.send("%RETRY%g", properties={"DELAY": "18"}, reconsume_times=16)
    assert len(rig.messages("SCHEDULE_TOPIC_XXXX", 17)) == 1
    assert len(rig.messages("%DLQ%g")) == 1


def test_dead_letters_can_be_read(rig: Any, read: Callable[[Any], Any]) -> None:
    rig.send("%RETRY%g", reconsume_times=16)
    topic = rig.broker.topics.get("%DLQ%g")
    assert (topic.read_queue_nums, topic.write_queue_nums, topic.perm) == (1, 1, 6)
    assert [message.reconsume_times for message in read(rig.pull("%DLQ%g"))] == [16]


def test_a_retry_topic_of_an_unknown_group_is_refused(make_rig: Callable[..., Any]) -> None:
    reply = make_rig(auto_create_subscription_group=False).send("%RETRY%g")
    remark = f"subscription group not exist, g {FAQ}"
    assert refusal(reply) == (ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)


# --- batches ---


def part(body: bytes, properties: dict[str, str] | None = None, flag: int = 0) -> BatchPart:
    return BatchPart(flag, body, encode_properties(properties or {}).encode())


def test_the_parts_of_a_batch_are_ordinary_messages(rig: Any) -> None:
    rig.send()
    body = encode_batch([part(b"a", {"TAGS": "x"}, 1), part(b"b", flag=2), part(b"c")])
    reply = rig.send("t", body, {"ignored": "yes"}, code=BATCH, batch=True, born_timestamp=77)
    messages = rig.messages("t")[1:]
    assert [(m.body, m.flag, m.queue_offset) for m in messages] == [(b"a", 1, 1), (b"b", 2, 2), (b"c", 0, 3)]
    assert [m.properties for m in messages] == [{"TAGS": "x"}, {}, {}]
    assert {(m.born_timestamp, m.store_timestamp) for m in messages} == {(77, rig.clock.now_ms)}
    assert reply.header.msg_id == ",".join(m.offset_message_id for m in messages)
    assert (reply.header.queue_id, reply.header.queue_offset) == (0, 1)


@pytest.mark.parametrize("code", [RequestCode.SEND_MESSAGE_V2, BATCH])
@pytest.mark.parametrize("batch", [True, False])
def test_the_field_says_what_a_batch_is_not_the_code(rig: Any, code: RequestCode, batch: bool) -> None:
    rig.send("t", encode_batch([part(b"a"), part(b"b")]), code=code, batch=batch)
    assert len(rig.messages("t")) == (2 if batch else 1)


def test_tags_of_parts_are_filtered_by(rig: Any, read: Callable[[Any], Any]) -> None:
    rig.send("t", encode_batch([part(b"a", {"TAGS": "x"}), part(b"b", {"TAGS": "y"})]), code=BATCH, batch=True)
    assert [message.body for message in read(rig.pull(subscription="y"))] == [b"b"]


def test_a_batch_for_a_retry_topic_is_refused(rig: Any) -> None:
    reply = rig.send("%RETRY%g", encode_batch([part(b"a")]), code=BATCH, batch=True)
    assert refusal(reply) == (ResponseCode.MESSAGE_ILLEGAL, "batch request does not support retry group %RETRY%g")


def test_a_batch_with_a_delay_is_refused(rig: Any) -> None:
    reply = rig.send("t", encode_batch([part(b"a")]), {"DELAY": "2"}, code=BATCH, batch=True)
    assert refusal(reply) == (ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    assert rig.send("t", encode_batch([part(b"a")]), {"DELAY": "0"}, code=BATCH, batch=True).code == 0


def test_a_batch_is_stored_whole_or_not_at_all(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(max_message_size_bytes=1000)
    for body in (encode_batch([part(bytes(400)), part(bytes(700))]), b""):
        reply = rig.send("t", body, code=BATCH, batch=True)
        assert refusal(reply) == (ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    assert rig.store.wrote_offset == 0


# --- durability ---


def test_a_sync_master_without_slave_stores_and_says_so(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(broker_role=BrokerRole.SYNC_MASTER)
    rig.send()
    ((_, reply),) = rig.connection.replies
    assert reply.code == ResponseCode.SLAVE_NOT_AVAILABLE
    assert reply.header.queue_offset == 0
    assert len(rig.messages("t")) == 1


@pytest.mark.parametrize(
    ("properties", "waits"),
    [
        ({}, True),
        ({"WAIT": "true"}, True),
        ({"WAIT": "TRUE"}, True),
        ({"WAIT": "false"}, False),
        ({"WAIT": "1"}, False),
    ],
    ids=str,
)
def test_only_who_waits_is_told_of_slave_and_disk(
    make_rig: Callable[..., Any], properties: dict[str, str], waits: bool
) -> None:
    rig = make_rig(broker_role=BrokerRole.SYNC_MASTER)
    outcome = rig.send(properties=properties)
    if waits:
        ((_, reply),) = rig.connection.replies
        assert reply.code == ResponseCode.SLAVE_NOT_AVAILABLE
    else:
        assert outcome.code == ResponseCode.SUCCESS


async def test_with_sync_flush_only_who_waits_is_answered_after_the_flush(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(flush_disk_type=FlushDiskType.SYNC_FLUSH)
    outcome = rig.send()
    assert isinstance(outcome, AfterFlush)
    assert outcome.physical_offset == rig.store.wrote_offset
    assert rig.send(properties={"WAIT": "false"}).code == ResponseCode.SUCCESS
