"""Messages by key, by unique key and by offset."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.broker import indexing
from rmqnode.protocol.bodies import QueryConsumeQueueResponseBody
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import QueryMessageRequestHeader
from rmqnode.protocol.headers.administration import QueryConsumeQueueRequestHeader

NOT_FOUND = "can not find message, maybe time range not correct"


def query(rig: Any, key: str, *, max_num: int = 64, unique: str | None = None, **times: int) -> Any:
    """Ask for a key; what was answered, which comes later when the index is far behind."""
    header = QueryMessageRequestHeader(
        topic="t",
        key=key,
        max_num=max_num,
        begin_timestamp=times.get("begin", 0),
        end_timestamp=times.get("end", 1 << 60),
        is_unique_key=unique,
    )
    before = len(rig.connection.replies)
    rig.ask(RequestCode.QUERY_MESSAGE, header)
    answers = rig.connection.replies[before:]
    return answers[0][1] if answers else None


def test_a_message_is_found_by_its_keys_as_soon_as_it_was_sent(rig: Any, read: Any) -> None:
    rig.send(body=b"one", properties={"UNIQ_KEY": "7F00", "KEYS": "order-1 user-7"})
    rig.send(body=b"two", properties={"UNIQ_KEY": "7F01", "KEYS": "user-7"})
    assert [message.body for message in read(query(rig, "order-1"))] == [b"one"]
    assert [message.body for message in read(query(rig, "user-7"))] == [b"one", b"two"]
    answer = query(rig, "7F01", unique="true")
    assert [message.body for message in read(answer)] == [b"two"]
    second = read(answer)[0]
    assert answer.header.index_last_update_phyoffset == second.physical_offset
    assert answer.header.index_last_update_timestamp == second.store_timestamp


def test_a_query_that_finds_nothing_has_apaches_remark_and_a_header(rig: Any) -> None:
    rig.send(properties={"KEYS": "k"})
    for answer in (query(rig, "nobody's"), query(rig, "k", end=rig.clock() - 2000)):
        assert (answer.code, answer.remark) == (ResponseCode.QUERY_NOT_FOUND, NOT_FOUND)
        assert (answer.header.index_last_update_timestamp, answer.header.index_last_update_phyoffset) == (0, 0)


@pytest.mark.parametrize(("unique", "max_num", "found"), [("true", 1, 32), ("false", 5, 5), (None, 100, 64)])
def test_a_query_returns_at_most_as_many_as_apache(
    rig: Any, read: Any, unique: str | None, max_num: int, found: int
) -> None:
    for _ in range(70):
        rig.send(properties={"KEYS": "k"})
    assert len(read(query(rig, "k", unique=unique, max_num=max_num))) == found


async def test_a_query_waits_for_an_index_that_is_far_behind(
    make_rig: Callable[..., Any], read: Any, nursery: trio.Nursery
) -> None:
    rig = make_rig()
    rig.send(body=b"first", properties={"KEYS": "k"})
    for _ in range(8):
        rig.send(body=os.urandom(100_000))
    assert query(rig, "k") is None
    nursery.start_soon(rig.broker.indexer.build)
    with trio.fail_after(10):
        while not rig.connection.replies:
            await trio.testing.wait_all_tasks_blocked(0.001)
    assert [message.body for message in read(rig.connection.replies[0][1])] == [b"first"]
    nursery.cancel_scope.cancel()


def test_of_too_many_waiting_queries_the_next_is_told_to_come_again(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_WAITING_MAX", 1)
    for _ in range(8):
        rig.send(body=os.urandom(100_000))
    assert query(rig, "k") is None
    answer = query(rig, "k")
    remark = "the index is being built and 1 queries wait for it, try again later"
    assert (answer.code, answer.remark) == (ResponseCode.SYSTEM_BUSY, remark)


async def test_messages_are_indexed_without_being_asked_for(rig: Any, nursery: trio.Nursery) -> None:
    nursery.start_soon(rig.broker.indexer.build)
    for _ in range(3):
        rig.send(properties={"KEYS": "k"})
        with trio.fail_after(10):
            while rig.store.index.is_behind:
                await trio.testing.wait_all_tasks_blocked(0.001)
    nursery.cancel_scope.cancel()


async def test_what_is_sent_while_the_index_is_built_waits_for_the_next_stretch(
    rig: Any, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = rig.store.index
    build, builds = index.build, []

    def build_while_another_message_comes(records_max: int) -> None:
        builds.append(records_max)
        build(records_max)
        rig.send(properties={"KEYS": "k"})

    monkeypatch.setattr(index, "build", build_while_another_message_comes)
    rig.send(properties={"KEYS": "k"})
    nursery.start_soon(rig.broker.indexer.build)
    with trio.fail_after(10):
        while not builds:
            await trio.testing.wait_all_tasks_blocked(0.001)
        await trio.testing.wait_all_tasks_blocked(0.001)
        assert index.is_behind
        monkeypatch.undo()
        while index.is_behind:
            await trio.testing.wait_all_tasks_blocked(0.001)
    nursery.cancel_scope.cancel()


# --- units of a queue ---


def units(rig: Any, index: int, count: int = 10, **fields: Any) -> tuple[Any, QueryConsumeQueueResponseBody]:
    header = QueryConsumeQueueRequestHeader(topic="t", queue_id=0, index=index, count=count, **fields)
    reply = rig.ask(RequestCode.QUERY_CONSUME_QUEUE, header)
    return reply, QueryConsumeQueueResponseBody.decode(reply.body)


def test_the_units_of_a_queue_are_shown_as_they_are(rig: Any) -> None:
    for tag in ("a", "b", "c"):
        rig.send(properties={"TAGS": tag})
    reply, body = units(rig, 1, 1)
    assert (reply.code, reply.remark) == (0, None)
    assert (body.min_queue_index, body.max_queue_index) == (0, 3)
    (unit,) = body.queue_data or []
    assert (unit.physic_offset, unit.physic_size, unit.tags_code) == rig.store.unit("t", 0, 1)
    assert len(units(rig, 0, 2**31 - 1)[1].queue_data or []) == 3
    assert units(rig, 0, -5)[1].queue_data == []


def test_units_that_are_not_there_are_told_of(rig: Any) -> None:
    header = QueryConsumeQueueRequestHeader(topic="t", queue_id=0, index=0, count=1)
    reply = rig.ask(RequestCode.QUERY_CONSUME_QUEUE, header)
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, "0@t is not exist!")
    rig.send()
    for index in (-1, 1, 2**62):
        reply, body = units(rig, index)
        assert (reply.code, reply.remark) == (0, f"Index {index} of 0@t is not exist!")
        assert (body.queue_data, body.max_queue_index) == (None, 1)


def test_the_subscription_of_a_group_comes_with_the_units(rig: Any) -> None:
    rig.send()
    assert units(rig, 0, consumer_group="g")[1].filter_data == "g@t is not online!"
    rig.heartbeat("g", topics={"t": "a || b"})
    body = units(rig, 0, consumer_group="g")[1]
    assert body.subscription_data is not None
    assert (body.subscription_data.sub_string, body.filter_data) == ("a || b", "null")
