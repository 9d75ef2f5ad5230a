"""A broker that is killed while messages are delayed, undecided, retried or consumed in order.

Nothing acknowledged is lost, nothing comes early, and nothing that was rolled back comes at all.
"""

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from rmqnode.net.errors import RemotingError
from tests.interop.message_client import COMMIT, ROLLBACK, TOPIC, MessageClient, eventually, message_client
from tests.interop.store_brokers import StoreBroker
from tests.ports import free_port

KILLS = 3
BETWEEN_KILLS = 50

Step = Callable[[int], Awaitable[None]]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[StoreBroker]:
    properties = {"messageDelayLevel": "1s 2s", "transactionTimeOut": "500", "transactionCheckInterval": "300"}
    broker = StoreBroker(tmp_path / "broker", free_port(), properties=properties)
    yield broker
    broker.close()


async def work_under_kills(broker: StoreBroker, client: MessageClient, step: Step) -> None:
    """Take numbered steps, each of which may be cut off anywhere, while the broker is killed and started again."""
    numbers = iter(range(10**6))
    for _ in range(KILLS):
        done = trio.Event()

        async def go_on(done: trio.Event = done) -> None:
            for taken in range(10**6):
                if taken == BETWEEN_KILLS:
                    done.set()
                try:
                    await step(next(numbers))
                except RemotingError:
                    return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on)
            with trio.fail_after(60):
                await done.wait()
                await trio.sleep(random.random() / 10)
            broker.stop(kill=True)
        broker.start("embedded")
        await client.wait_ready()


async def test_a_delayed_backlog_survives_kills_and_nothing_of_it_comes_early(broker: StoreBroker) -> None:
    broker.start("embedded")
    async with message_client(broker.address) as client:
        await client.create_topic()
        sent_at_ms: dict[bytes, float] = {}
        acknowledged: set[bytes] = set()

        async def step(number: int) -> None:
            body = b"%d" % number
            sent_at_ms[body] = time.time() * 1000
            await client.send(body, DELAY=str(1 + number % 2))
            acknowledged.add(body)

        await work_under_kills(broker, client, step)
        for message in await client.wait_for(acknowledged):
            delay_ms = 1000 * (1 + int(message.body) % 2)
            assert message.store_timestamp >= int(sent_at_ms[message.body]) + delay_ms


async def test_a_transaction_is_delivered_if_and_only_if_it_was_committed_whenever_the_broker_was_killed(
    broker: StoreBroker,
) -> None:
    def decide(body: bytes) -> int:
        return COMMIT if body.startswith(b"commit") else ROLLBACK

    broker.start("embedded")
    async with message_client(broker.address, decide) as client:
        await client.create_topic()
        prepared: set[bytes] = set()

        async def step(number: int) -> None:
            body = b"%s %d" % ((b"commit", b"rollback")[number % 2], number)
            half = await client.prepare(body)
            prepared.add(body)
            if number % 3:
                await client.end(half, decide(body))

        await work_under_kills(broker, client, step)
        found = {message.body for message in await client.wait_for(each for each in prepared if decide(each) == COMMIT)}
        assert not [body for body in found if decide(body) == ROLLBACK]
        await eventually(client.all_transactions_decided)
        assert not [each.body for each in await client.pull_all() if decide(each.body) == ROLLBACK]


async def test_messages_that_a_consumer_fails_on_again_and_again_survive_kills(broker: StoreBroker) -> None:
    broker.start("embedded")
    async with message_client(broker.address) as client:
        await client.create_topic()
        sent = [b"%d" % number for number in range(BETWEEN_KILLS)]
        for body in sent:
            await client.send(body)
        for message in await client.pull_all():
            await client.send_back(message, 1)
        next_offset = 0
        times: dict[bytes, set[int]] = {}

        async def step(number: int) -> None:
            nonlocal next_offset
            messages = await client.pull("%RETRY%g", next_offset)
            if not messages:
                await trio.sleep(0.01)
            for message in messages:
                if message.reconsume_times < 4:
                    await client.send_back(message, 1)
                times.setdefault(message.body, set()).add(message.reconsume_times)
                next_offset = message.queue_offset + 1

        await work_under_kills(broker, client, step)
        with trio.fail_after(60):
            while any(4 not in times.get(body, ()) for body in sent):
                await step(0)
        assert times == {body: {1, 2, 3, 4} for body in sent}


async def test_an_orderly_consumer_goes_on_in_order_after_each_kill(broker: StoreBroker) -> None:
    broker.start("embedded")
    async with message_client(broker.address) as client:
        await client.create_topic()
        sent = [b"%d" % number for number in range(KILLS * BETWEEN_KILLS)]
        for body in sent:
            await client.send(body)
        consumed: list[int] = []
        offset = -1

        async def step(number: int) -> None:
            nonlocal offset
            try:
                if offset < 0:
                    assert await client.lock()
                    offset = await client.committed_offset()
                message = next(iter(await client.pull(TOPIC, offset)), None)
                if message is None:
                    await trio.sleep(0.01)
                    return
                consumed.append(int(message.body))
                offset = message.queue_offset + 1
                await client.commit_offset(offset)
            except RemotingError:
                offset = -1
                raise

        await work_under_kills(broker, client, step)
        with trio.fail_after(60):
            while consumed[-1] != len(sent) - 1:
                await step(0)
    assert list(dict.fromkeys(consumed)) == list(range(len(sent)))
    # Each kill may set the group back to what it had committed, and then it sees everything from there on again.
    assert sum(later <= earlier for earlier, later in pairwise(consumed)) <= KILLS
    assert all(later <= earlier + 1 for earlier, later in pairwise(consumed))
