"""Offsets reach a broker one after the other: one that handles requests side by side would keep any of them."""

from typing import Any, cast

import trio
import trio.testing

from rmqctl.client.consumer.offset_store import RemoteOffsetStore
from rmqnode.protocol.bodies import MessageQueue

QUEUE = MessageQueue(topic="orders", broker_name="broker-a", queue_id=0)


class SlowBroker:
    """Answers when the test wants it."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answer = trio.Event()

    async def update_offset(self, queue: MessageQueue, queue_offset: int) -> None:
        self.asked.append(queue_offset)
        await self.answer.wait()


def store_at(broker: SlowBroker) -> RemoteOffsetStore:
    store = RemoteOffsetStore(cast(Any, broker))
    store.update(QUEUE, 1, increase_only=True)
    return store


async def test_an_offset_waits_for_the_answer_to_the_one_before(autojump_clock: trio.testing.MockClock) -> None:
    broker = SlowBroker()
    store = store_at(broker)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.persist, [QUEUE])
        await trio.testing.wait_all_tasks_blocked()
        store.update(QUEUE, 2, increase_only=True)
        nursery.start_soon(lambda: store.persist([QUEUE], confirmed=True))
        await trio.testing.wait_all_tasks_blocked()
        assert broker.asked == [1]
        broker.answer.set()
    assert broker.asked == [1, 2]


async def test_an_offset_waits_also_when_the_one_before_was_cancelled() -> None:
    broker = SlowBroker()
    store = store_at(broker)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.persist, [QUEUE])
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            store.update(QUEUE, 2, increase_only=True)
            async with trio.open_nursery() as last:
                last.start_soon(lambda: store.persist([QUEUE], confirmed=True))
                await trio.testing.wait_all_tasks_blocked()
                assert broker.asked == [1]
                broker.answer.set()
    assert broker.asked == [1, 2]


async def test_a_broker_that_does_not_answer_is_not_waited_for_long(autojump_clock: trio.testing.MockClock) -> None:
    store = store_at(SlowBroker())
    with trio.fail_after(2):
        await store.persist([QUEUE])
