"""Held pulls: woken by a message they wait for, by their time, by the end of the broker; otherwise they stay."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.broker.outcome import Hold
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import PullMessageRequestHeader, TopicRequestHeader
from rmqnode.protocol.message.batch import BatchPart, encode_batch

Read = Callable[[Any], Any]
HOLD = 2 | 4
"""Flags of a pull that brings its subscription and may be held."""


@pytest.fixture
async def held(rig: Any, nursery: trio.Nursery) -> AsyncIterator[Any]:
    """A broker with a topic, whose held pulls are answered."""
    rig.create_topic()
    nursery.start_soon(rig.broker.held_pulls.answer_due_pulls)
    nursery.start_soon(rig.broker.held_pulls.watch_timeouts)
    nursery.start_soon(rig.broker.held_pulls.answer_when_there_is_room)
    yield rig
    nursery.cancel_scope.cancel()


def answers(rig: Any) -> list[tuple[int, int]]:
    return [(request.opaque, reply.code) for request, reply in rig.connection.replies]


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_pull_at_the_end_is_held_until_a_message_arrives(held: Any, read: Read) -> None:
    held.send(body=b"old")
    assert isinstance(held.pull(queue_offset=1, sys_flag=HOLD, opaque=7), Hold)
    await settle()
    assert answers(held) == []
    held.send(body=b"new")
    await settle()
    ((request, reply),) = held.connection.replies
    assert (request.opaque, reply.code, reply.header.next_begin_offset) == (7, ResponseCode.SUCCESS, 2)
    assert [message.body for message in read(reply)] == [b"new"]


async def test_a_pull_of_an_empty_queue_is_held_too(held: Any) -> None:
    held.pull(sys_flag=HOLD, opaque=1)
    held.send()
    await settle()
    assert answers(held) == [(1, ResponseCode.SUCCESS)]


async def test_one_answer_carries_all_messages_that_arrived_together(held: Any, read: Read) -> None:
    held.pull(sys_flag=HOLD)
    for number in range(5):
        held.send(body=b"%d" % number)
    held.send("t", encode_batch([BatchPart(0, b"5", b""), BatchPart(0, b"6", b"")]), batch=True)
    await settle()
    ((_, reply),) = held.connection.replies
    assert [message.body for message in read(reply)] == [b"%d" % number for number in range(7)]


async def test_every_pull_held_for_a_queue_is_woken_and_others_stay(held: Any) -> None:
    for opaque in range(3):
        held.pull(sys_flag=HOLD, opaque=opaque)
    held.pull(sys_flag=HOLD, queue_id=1, opaque=3)
    held.send()
    await settle()
    assert answers(held) == [(0, 0), (1, 0), (2, 0)]
    held.send(queue_id=1)
    await settle()
    assert answers(held)[3:] == [(3, 0)]


async def test_a_message_with_another_tag_leaves_a_pull_held(held: Any, read: Read) -> None:
    held.pull(sys_flag=HOLD, subscription="wanted")
    held.send(properties={"TAGS": "other"})
    held.send()
    await settle()
    assert answers(held) == []
    held.send(body=b"yes", properties={"TAGS": "wanted"})
    await settle()
    ((_, reply),) = held.connection.replies
    assert [message.body for message in read(reply)] == [b"yes"]


async def test_a_pull_goes_on_behind_messages_that_it_does_not_want(
    held: Any, autojump_clock: trio.testing.MockClock
) -> None:
    held.pull(sys_flag=HOLD, subscription="wanted", suspend_timeout_millis=15_000)
    await trio.sleep(1)
    held.send(properties={"TAGS": "other"})
    await trio.sleep(3)
    held.send(properties={"TAGS": "other"})
    assert answers(held) == []
    await trio.sleep(2.5)
    ((_, reply),) = held.connection.replies
    assert (reply.code, reply.header.next_begin_offset) == (ResponseCode.PULL_RETRY_IMMEDIATELY, 2)


async def test_a_message_that_is_not_wanted_gives_a_pull_no_more_time(
    held: Any, autojump_clock: trio.testing.MockClock
) -> None:
    held.pull(sys_flag=HOLD, subscription="wanted", suspend_timeout_millis=2_000)
    await trio.sleep(1)
    held.send(properties={"TAGS": "other"})
    await trio.sleep(1.5)
    assert len(answers(held)) == 1


async def test_a_pull_is_not_held_without_its_flag(held: Any) -> None:
    reply = held.pull(sys_flag=4)
    assert (reply.code, reply.remark) == (ResponseCode.PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE")


async def test_a_held_pull_is_answered_when_its_time_is_over(held: Any, autojump_clock: trio.testing.MockClock) -> None:
    held.send()
    held.pull(queue_offset=1, sys_flag=HOLD, suspend_timeout_millis=15_000)
    await trio.sleep(14.9)
    assert answers(held) == []
    await trio.sleep(0.6)
    ((_, reply),) = held.connection.replies
    assert (reply.code, reply.remark) == (ResponseCode.PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE")
    assert reply.header.next_begin_offset == 1


async def test_without_long_polling_a_pull_is_held_for_a_second(
    make_rig: Callable[..., Any], nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    rig = make_rig(long_polling_enable=False)
    rig.create_topic()
    nursery.start_soon(rig.broker.held_pulls.answer_due_pulls)
    nursery.start_soon(rig.broker.held_pulls.watch_timeouts)
    nursery.start_soon(rig.broker.held_pulls.answer_when_there_is_room)
    rig.pull(sys_flag=HOLD, suspend_timeout_millis=15_000)
    await trio.sleep(0.9)
    assert answers(rig) == []
    await trio.sleep(0.6)
    assert answers(rig) == [(0, ResponseCode.PULL_NOT_FOUND)]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("timeout_ms", [0, -1, -(2**63)])
async def test_a_time_that_is_over_already_is_answered_at_once(
    held: Any, timeout_ms: int, autojump_clock: trio.testing.MockClock
) -> None:
    held.pull(sys_flag=HOLD, suspend_timeout_millis=timeout_ms)
    await trio.sleep(1)
    assert answers(held) == [(0, ResponseCode.PULL_NOT_FOUND)]


async def test_the_longest_time_there_is_does_no_harm(held: Any, autojump_clock: trio.testing.MockClock) -> None:
    held.pull(sys_flag=HOLD, suspend_timeout_millis=2**63 - 1)
    await trio.sleep(100)
    assert answers(held) == []
    held.send()
    await settle()
    assert answers(held) == [(0, ResponseCode.SUCCESS)]


async def test_pulls_of_a_closed_connection_are_forgotten(held: Any, autojump_clock: trio.testing.MockClock) -> None:
    held.pull(sys_flag=HOLD)
    held.connection.is_closed = True
    await trio.sleep(1)
    assert held.broker.budgets.held_pulls.used == 0
    assert not held.broker.held_pulls._by_queue
    assert answers(held) == []


async def test_a_held_pull_never_commits_twice(held: Any) -> None:
    held.pull(sys_flag=1 | HOLD, commit_offset=3)
    held.broker.offsets.commit("g", "t", 0, 9)
    held.send()
    await settle()
    assert answers(held) == [(0, ResponseCode.SUCCESS)]
    assert held.broker.offsets.find("g", "t", 0) == 9


async def test_a_topic_that_vanished_meanwhile_is_told(held: Any) -> None:
    held.pull(sys_flag=HOLD)
    held.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader("t"))
    held.broker.held_pulls.answer_all()
    assert answers(held) == [(0, ResponseCode.TOPIC_NOT_EXIST)]


async def test_at_the_end_of_the_broker_every_held_pull_is_answered(rig: Any) -> None:
    rig.create_topic()
    for queue_id in range(3):
        rig.pull(sys_flag=HOLD, queue_id=queue_id, opaque=queue_id)
    rig.broker.held_pulls.answer_all()
    assert answers(rig) == [(number, ResponseCode.PULL_NOT_FOUND) for number in range(3)]


async def test_a_held_pull_keeps_no_body(held: Any) -> None:
    header = PullMessageRequestHeader(
        consumer_group="g",
        topic="t",
        queue_id=0,
        queue_offset=0,
        max_msg_nums=32,
        sys_flag=HOLD,
        commit_offset=0,
        suspend_timeout_millis=15_000,
        subscription="*",
        sub_version=0,
    )
    held.ask(RequestCode.PULL_MESSAGE, header, body=bytes(1_000_000))
    held.send()
    await settle()
    ((request, _),) = held.connection.replies
    assert request.body == b""


async def test_a_long_subscription_counts_as_many_pulls(held: Any) -> None:
    held.broker.budgets.held_pulls.maximum = 10
    held.pull(sys_flag=HOLD, subscription="a" * 9000, opaque=1)
    held.pull(sys_flag=HOLD, subscription="a" * 9000, opaque=2)
    await settle()
    assert answers(held) == [(2, ResponseCode.PULL_NOT_FOUND)]
    held.send(properties={"TAGS": "a" * 9000})
    await settle()
    assert len(answers(held)) == 2
    assert held.broker.budgets.held_pulls.used == 0


async def test_beyond_the_bound_a_pull_is_answered_at_once(held: Any) -> None:
    held.broker.budgets.held_pulls.maximum = 2
    for opaque in range(3):
        held.pull(sys_flag=HOLD, opaque=opaque)
    await settle()
    assert answers(held) == [(2, ResponseCode.PULL_NOT_FOUND)]
    held.send()
    await settle()
    assert len(answers(held)) == 3
    assert held.broker.budgets.held_pulls.used == 0


async def test_beyond_the_bound_the_connection_that_has_most_gives_way_to_one_with_less_than_its_share(
    held: Any, new_connection: Callable[..., Any]
) -> None:
    budget = held.broker.budgets.held_pulls
    budget.maximum = 32
    for opaque in range(40):
        held.pull(sys_flag=HOLD, opaque=opaque)
    await settle()
    assert len(answers(held)) == 8, "its own newest ones"
    other = new_connection("10.1.2.4:5")
    held.pull(sys_flag=HOLD, opaque=99, connection=other)
    await settle()
    assert other.replies == [], "it is held"
    assert answers(held)[8:] == [(0, ResponseCode.PULL_NOT_FOUND), (1, ResponseCode.PULL_NOT_FOUND)]
    held.send()
    await settle()
    assert [request.opaque for request, _ in other.replies] == [99]
    assert (budget.used, budget.refused) == (0, 9)
    assert held.broker.limitations.table()["limited.memory"].startswith("heldPullsMax=32 is reached")


async def test_due_pulls_of_a_peer_that_takes_no_answers_wait_and_others_are_answered(
    held: Any, new_connection: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    deaf, good = held.connection, new_connection("10.1.2.4:5")
    for opaque in range(20):
        held.pull(sys_flag=HOLD, opaque=opaque)
    held.pull(sys_flag=HOLD, opaque=99, connection=good)
    deaf.has_room = False
    held.send()
    await trio.sleep(1)
    assert [request.opaque for request, _ in good.replies] == [99]
    assert answers(held) == []
    deaf.has_room = True
    await trio.sleep(1)
    assert answers(held) == [(opaque, ResponseCode.SUCCESS) for opaque in range(20)]
    assert held.broker.budgets.held_pulls.used == 0


async def test_due_pulls_of_a_peer_without_room_are_forgotten_when_it_is_gone(
    held: Any, autojump_clock: trio.testing.MockClock
) -> None:
    held.pull(sys_flag=HOLD)
    held.connection.has_room = False
    held.send()
    await trio.sleep(1)
    assert held.broker.budgets.held_pulls.used == 1
    held.connection.is_closed = True
    await trio.sleep(1)
    assert held.broker.budgets.held_pulls.used == 0
    assert answers(held) == []
