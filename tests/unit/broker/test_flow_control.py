"""Sends that the broker refuses because it is behind, and delivery times that it cannot keep."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.broker.outcome import AfterFlush
from rmqnode.config import FlushDiskType
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_ONEWAY
from rmqnode.protocol.message.batch import BatchPart, encode_batch
from rmqnode.protocol.properties import encode_properties


def test_a_send_that_waited_too_long_is_refused_in_apaches_words_and_not_stored(rig: Any) -> None:
    rig.connection.queued_seconds, rig.connection.queued_count = 0.2019, 77
    reply = rig.send()
    assert reply.code == ResponseCode.SYSTEM_BUSY
    assert reply.remark == (
        "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: 201ms, size of queue: 77"
    )
    assert (reply.header.msg_region, reply.header.trace_on) == ("DefaultRegion", True)
    rig.send(flag_of_request=FLAG_ONEWAY)
    assert rig.store.wrote_offset == 0


@pytest.mark.parametrize(
    "keys", [{}, {"wait_time_in_send_queue_ms": 300}, {"broker_fast_failure_enable": False}], ids=str
)
def test_a_send_that_waited_no_longer_than_allowed_is_taken(make_rig: Callable[..., Any], keys: dict[str, Any]) -> None:
    rig = make_rig(**keys)
    rig.connection.queued_seconds = 0.3 if keys else 0.2
    assert rig.send().code == ResponseCode.SUCCESS


def test_other_requests_wait_as_long_as_it_takes(rig: Any) -> None:
    rig.connection.queued_seconds = 60.0
    assert rig.heartbeat("g").code == ResponseCode.SUCCESS
    rig.create_topic()
    assert rig.pull().code == ResponseCode.PULL_NOT_FOUND


def test_sends_are_refused_while_too_many_wait_for_the_disk(
    make_rig: Callable[..., Any], new_connection: Callable[..., Any]
) -> None:
    rig = make_rig(flush_disk_type=FlushDiskType.SYNC_FLUSH, send_thread_pool_queue_capacity=3)
    rig.broker.flusher._waiting = [object()] * 3
    reply = rig.send()
    assert (reply.code, reply.remark) == (
        ResponseCode.SYSTEM_BUSY,
        "[OVERLOAD]system busy, start flow control for a while",
    )
    rig.broker.flusher._waiting.pop()
    rig.broker.flusher.answer_after_flush = lambda outcome, request: None
    assert isinstance(rig.send(), AfterFlush)


@pytest.mark.parametrize("name", ["TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS", "__STARTDELIVERTIME"])
def test_a_delivery_time_of_later_clients_is_refused_and_not_delivered_at_once(rig: Any, name: str) -> None:
    for reply in (
        rig.send(properties={"TAGS": "a", name: "1700000000000"}),
        rig.send(
            code=RequestCode.SEND_BATCH_MESSAGE,
            body=encode_batch([BatchPart(0, b"x", encode_properties({name: "5"}).encode())]),
            batch=True,
        ),
    ):
        assert reply.code == ResponseCode.MESSAGE_ILLEGAL
        assert f"keeps no delivery times ({name}), only delay levels (DELAY): 1s 5s" in reply.remark
    assert rig.store.wrote_offset == 0


def test_texts_that_only_look_like_a_delivery_time_are_taken(rig: Any) -> None:
    for properties in ({"MY_TIMER_DELAY_MS": "1"}, {"k": "TIMER_DELAY_MS"}, {"TIMER_DELAY_LEVEL": "1"}):
        assert rig.send(properties=properties).code == ResponseCode.SUCCESS
    batch = encode_batch([BatchPart(0, b"TIMER_DELAY_MS", b"")])
    assert rig.send(code=RequestCode.SEND_BATCH_MESSAGE, body=batch, batch=True).code == ResponseCode.SUCCESS
