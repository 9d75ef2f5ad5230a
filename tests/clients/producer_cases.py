"""`Producer` on a running cluster; modules that run these cases say whose nodes it has (fixture `nameserver`)."""

import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import trio

from rmqctl.client import (
    BrokerUnreachable,
    InvalidArgument,
    Message,
    PendingSend,
    Producer,
    ReceivedMessage,
    RequestRefused,
    SendStatus,
    Subscription,
    TopicNotFound,
    Transaction,
    TransactionState,
)
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.pull import pull
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import ResponseCode
from tests.clients.stage import Stage, open_stage, uninvited, until

CHINESE = "订单已付款，金额 ¥7.00"


class ProducerCases:
    """Every feature, as far as it shows on a cluster."""

    @pytest.fixture
    async def stage(self, nameserver: str) -> AsyncIterator[Stage]:
        async with open_stage(nameserver) as stage:
            yield stage

    async def test_each_kind_of_content_is_stored_as_it_was_given(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        contents = [b"\x00\xff", CHINESE, {"id": 7, "note": CHINESE}, ["x", None, 2.5], "x" * 100_000]
        async with Producer(stage.name("group"), nameserver=stage.nameserver) as producer:
            queue = (await stage.queues(topic))[0]
            results = [
                await producer.send(
                    f"{topic}:paid", content, queue=queue, keys=("a", "订单"), properties={"note": CHINESE}, flag=-7
                )
                for content in contents
            ]
        messages = await read(stage, queue, len(contents))
        bodies = [b"\x00\xff", CHINESE.encode(), *([None] * 2), b"x" * 100_000]
        for message, body, result in zip(messages, bodies, results, strict=True):
            assert body is None or message.body == body
            assert (message.tag, message.keys, message.properties["note"]) == ("paid", ("a", "订单"), CHINESE)
            assert (message.stored.flag, message.message_id) == (-7, result.message_id)
            assert message.offset_message_id == result.offset_message_id
            assert (message.queue_offset, result.status) == (result.queue_offset, SendStatus.SEND_OK)
        assert [messages[2].json(), messages[3].json()] == contents[2:4]
        assert zlib.decompress(messages[4].stored.body) == b"x" * 100_000

    async def test_many_asynchronous_sends_arrive_once_each(self, stage: Stage) -> None:
        topic = await stage.topic(4)
        seen: list[object] = []
        async with Producer(stage.name("group"), nameserver=stage.nameserver, pending_max=200) as producer:
            pending: list[PendingSend] = [
                await producer.send_async(topic, str(number), callback=seen.append) for number in range(2000)
            ]
            results = [await each.result() for each in pending]
        assert len(seen) == 2000
        places = {(result.broker, result.queue_id, result.queue_offset) for result in results}
        assert len(places) == 2000
        stored = [message.text for message in await read_topic(stage, topic, 2000)]
        assert sorted(stored, key=int) == [str(number) for number in range(2000)]

    async def test_messages_with_one_order_key_stay_in_one_queue_in_order(self, stage: Stage) -> None:
        topic = await stage.topic(2)
        async with Producer(stage.name("group"), nameserver=stage.nameserver) as producer:
            for number in range(300):
                await producer.send_async(topic, str(number), order_key=f"order-{number % 3}")
            await producer.flush()
        read_back = [int(message.text) for message in await read_topic(stage, topic, 300)]
        for key in range(3):
            numbers = [number for number in read_back if number % 3 == key]
            assert numbers == list(range(key, 300, 3))

    async def test_a_batch_larger_than_a_request_is_stored_whole_and_in_order(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        queue = (await stage.queues(topic))[0]
        messages = [Message(topic, b"%d" % number, tag="t", keys=(f"k{number}",)) for number in range(500)]
        async with Producer(stage.name("group"), nameserver=stage.nameserver) as producer:
            results = await producer.send_batch(messages, size_bytes_max=20_000, queue=queue)
        stored = await read(stage, queue, 500)
        assert [message.text for message in stored] == [str(number) for number in range(500)]
        assert [message.message_id for message in stored] == [result.message_id for result in results]
        assert [message.offset_message_id for message in stored] == [result.offset_message_id for result in results]
        assert [message.queue_offset for message in stored] == [result.queue_offset for result in results]

    async def test_oneway_messages_arrive(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        async with Producer(stage.name("group"), nameserver=stage.nameserver) as producer:
            for number in range(100):
                await producer.send_oneway(topic, str(number))
        queues = await stage.queues(topic)

        with trio.fail_after(20):
            while sum([await max_offset(stage, queue) for queue in queues]) < 100:  # noqa: ASYNC110 - nobody tells of them
                await trio.sleep(0.02)

    async def test_a_delayed_message_comes_later(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        queue = (await stage.queues(topic))[0]
        async with Producer(stage.name("group"), nameserver=stage.nameserver) as producer:
            await producer.send(topic, "later", delay_level=1, queue=queue)
            assert await max_offset(stage, queue) == 0
        (message,) = await read(stage, queue, 1)
        assert message.text == "later"
        assert message.store_timestamp - message.born_timestamp >= 900

    async def test_an_unknown_topic_is_an_error_unless_brokers_may_create_it(self, stage: Stage) -> None:
        topic = stage.name("by-itself")
        async with Producer(stage.name("group"), nameserver=stage.nameserver) as producer:
            with pytest.raises(TopicNotFound, match="has no route"):
                await producer.send(topic, "x")
        async with Producer(
            stage.name("group"), nameserver=stage.nameserver, auto_create_topic=True, timeout_seconds=10
        ) as producer:
            assert (await producer.send(topic, "x")).status is SendStatus.SEND_OK

    async def test_what_a_broker_would_refuse_is_refused_here_and_what_only_it_knows_by_it(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        async with Producer(
            stage.name("group"), nameserver=stage.nameserver, message_size_bytes_max=8 * 2**20, compress_over_bytes=None
        ) as producer:
            with pytest.raises(RequestRefused) as caught:
                await producer.send(topic, b"x" * (5 * 2**20), timeout_seconds=20)
            assert caught.value.response_code == ResponseCode.MESSAGE_ILLEGAL
            assert caught.value.topic == topic
            with pytest.raises(InvalidArgument):
                await producer.send(topic, b"x" * (9 * 2**20))

    async def test_a_transaction_that_commits_is_delivered_and_one_that_rolls_back_is_not(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        queue = (await stage.queues(topic))[0]
        async with Producer(stage.name("group"), nameserver=stage.nameserver, timeout_seconds=10) as producer:
            async with producer.transaction(topic, "committed", key="k", queue=queue) as transaction:
                assert await max_offset(stage, queue) == 0
            async with producer.transaction(topic, "rolled back", queue=queue) as other:
                other.roll_back()
            with pytest.raises(ZeroDivisionError):
                async with producer.transaction(topic, "failed", queue=queue):
                    raise ZeroDivisionError

            async def decide(_: Transaction) -> TransactionState:
                return TransactionState.COMMIT

            done = await producer.send_in_transaction(topic, "by a function", local_transaction=decide, queue=queue)
            assert done.state is TransactionState.COMMIT
        first, second = await read(stage, queue, 2)
        await uninvited()
        assert (first.text, second.text) == ("committed", "by a function")
        assert first.message_id == transaction.half.message_id
        assert first.keys == ("k",)
        assert await max_offset(stage, queue) == 2

    @pytest.mark.long
    async def test_a_broker_asks_about_a_transaction_that_was_left_open(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        queue = (await stage.queues(topic))[0]
        asked: list[ReceivedMessage] = []

        async def check(message: ReceivedMessage) -> TransactionState:
            asked.append(message)
            return TransactionState.ROLLBACK if message.text == "no" else TransactionState.COMMIT

        async with Producer(group, nameserver=stage.nameserver, check_transaction=check) as producer:
            for content in ("no", "yes " * 2000):
                async with producer.transaction(topic, content, queue=queue) as transaction:
                    transaction.leave_open()
            await until(lambda: len(asked) == 2, "two checks", 150)
            (message,) = await read(stage, queue, 1)
        assert message.text == "yes " * 2000
        assert {message.topic for message in asked} == {topic}


async def read(stage: Stage, queue: MessageQueue, count: int) -> list[ReceivedMessage]:
    """Read the first messages of a queue, as soon as so many can be read."""
    with trio.fail_after(20):
        while len(found := await read_all(stage, queue)) < count:  # noqa: ASYNC110 - brokers do not tell
            await trio.sleep(0.02)
    return found[:count]


async def read_topic(stage: Stage, topic: str, count: int, seconds: float = 20) -> list[ReceivedMessage]:
    """Read all messages of a topic, queue by queue, as soon as so many can be read: brokers may take a moment."""
    queues = (await stage.client.routes.get(topic)).subscribe_queues()
    with trio.fail_after(seconds):
        while True:
            with suppress(BrokerUnreachable):  # it was killed, and is starting again
                found = [message for queue in queues for message in await read_all(stage, queue)]
                if len(found) >= count:
                    return found
            await trio.sleep(0.02)


async def read_all(stage: Stage, queue: MessageQueue) -> list[ReceivedMessage]:
    """Read what a queue holds now."""
    found: list[ReceivedMessage] = []
    route = await stage.client.routes.get(queue.topic)
    address = route.master_address(queue.broker_name)
    end = await max_offset(stage, queue)
    offset = 0
    while offset < end:
        subscription = Subscription(queue.topic, ())
        result = await pull(stage.client.connection, address, queue, subscription, offset, hold=False)
        found += [ReceivedMessage(message, queue) for message in result.messages]
        offset = result.next_offset
    return found


async def max_offset(stage: Stage, queue: MessageQueue) -> int:
    """The offset that the next message of a queue will get."""
    return await QueueOffsets(stage.client.connection, await stage.client.routes.get(queue.topic)).next(queue)
