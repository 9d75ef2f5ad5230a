"""What is held of a queue: the commit offset never passes a message that is not consumed, and memory is bounded."""

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from rmqctl.client.consumer.process_queue import LOCK_LIFE_SECONDS, ProcessQueue, QueueLimits
from rmqnode.protocol.bodies import MessageQueue
from tests.unit.client.consumer.records import stored_message

QUEUE = MessageQueue(topic="orders", broker_name="broker-a", queue_id=0)


def process_queue(*, is_orderly: bool = False, **limits: int) -> ProcessQueue:
    return ProcessQueue(QUEUE, QueueLimits(**limits), is_orderly=is_orderly)


@given(st.sets(st.integers(0, 60), min_size=1), st.randoms())
def test_the_commit_offset_is_the_lowest_that_is_held_whatever_ends_first(offsets, random) -> None:  # type: ignore[no-untyped-def]
    async def check() -> None:
        held = process_queue()
        held.put([stored_message(offset) for offset in sorted(offsets)])
        left = sorted(offsets)
        done = list(offsets)
        random.shuffle(done)
        for offset in done:
            left.remove(offset)
            assert held.remove(offset) == (left[0] if left else max(offsets) + 1)
        assert (len(held), held.size_bytes) == (0, 0)

    trio.run(check)


async def test_messages_that_are_held_already_are_not_taken_twice() -> None:
    held = process_queue()
    assert len(held.put([stored_message(0), stored_message(1)])) == 2
    assert [message.queue_offset for message in held.put([stored_message(1), stored_message(2)])] == [2]
    assert len(held) == 3


async def test_count_size_and_span_stop_pulling_and_consuming_lets_it_go_on() -> None:
    for limits, offsets in (({"messages": 2}, (0, 1, 2)), ({"size_bytes": 250}, (0, 1, 2)), ({"span": 9}, (0, 10))):
        held = process_queue(**limits)
        held.put([stored_message(offsets[0])])
        with trio.fail_after(1):
            await held.wait_for_room()
        held.put([stored_message(offset) for offset in offsets[1:]])
        assert held.is_full
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.wait_for_room)
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            held.remove(offsets[0])
            with trio.fail_after(1):
                await held.wait_for_room()


async def test_the_span_does_not_stop_an_orderly_consumer() -> None:
    held = process_queue(is_orderly=True, span=5)
    held.put([stored_message(0), stored_message(100)])
    assert not held.is_full


async def test_dropping_forgets_what_is_held_and_wakes_all_who_wait() -> None:
    held = process_queue(messages=0)
    held.put([stored_message(0)])
    empty = process_queue()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(held.wait_for_room)
        nursery.start_soon(empty.wait_for_message)
        await trio.testing.wait_all_tasks_blocked()
        held.drop()
        empty.drop()
    assert (len(held), held.size_bytes, held.first(), held.is_dropped) == (0, 0, None, True)


async def test_a_lock_counts_for_30_seconds(autojump_clock: trio.testing.MockClock) -> None:
    held = process_queue(is_orderly=True)
    assert not held.is_locked
    held.note_lock(is_held=True)
    await trio.sleep(LOCK_LIFE_SECONDS - 1)
    assert held.is_locked
    await trio.sleep(2)
    assert not held.is_locked
