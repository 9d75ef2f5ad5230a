"""`Admin` on a running cluster; modules that run these cases say whose nodes it has (fixture `nameserver`)."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sized

import pytest
import trio

from rmqctl.client import (
    Admin,
    Earliest,
    InvalidArgument,
    Message,
    Producer,
    PushConsumer,
    Subscription,
    TopicNotFound,
)
from rmqnode.protocol.bodies import MessageQueue, SubscriptionGroupConfig
from tests.clients.stage import Seen, Stage, open_stage, until


class AdminCases:
    """Every part, as far as it shows on a cluster."""

    @pytest.fixture
    async def stage(self, nameserver: str) -> AsyncIterator[Stage]:
        async with open_stage(nameserver) as stage:
            yield stage

    async def test_an_admin_of_its_own_creates_describes_and_deletes_a_topic(self, stage: Stage) -> None:
        topic = await stage.topic(2)
        await stage.send(topic, ["a", "b", "c", "d", "e"])
        async with Admin(nameserver=stage.nameserver, timeout_seconds=10) as admin:
            assert topic in await admin.topics.names()
            states = await admin.topics.describe(topic)
            brokers = [group.name for group in (await admin.topology()).groups]
            assert [(state.broker, state.queue_id) for state in states] == [
                (broker, queue_id) for broker in brokers for queue_id in range(2)
            ]
            assert await admin.topics.delete(topic, timeout_seconds=30) == brokers
            with pytest.raises(TopicNotFound):
                await admin.topics.routes.refresh(topic)

    async def test_offsets_of_a_queue_are_its_ends_and_those_of_times(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        queue = (await stage.queues(topic))[0]
        await stage.send(topic, ["early"], queue=queue)
        await trio.sleep(0.05)
        between_ms = time.time_ns() // 1_000_000
        await trio.sleep(0.05)
        await stage.send(topic, ["late"], queue=queue)
        offsets = await stage.admin.offsets(topic)
        await wait_for_end(stage, queue, 2)
        assert (await offsets.first(queue), await offsets.next(queue)) == (0, 2)
        assert await offsets.nearest(queue, between_ms + 10_000) == 1
        assert await offsets.nearest(queue, 0) == 0

    async def test_messages_are_found_by_ids_key_place_and_time(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        queue = (await stage.queues(topic))[0]
        begin_ms = time.time_ns() // 1_000_000
        async with Producer(stage.name("group"), client=stage.client) as producer:
            results = [
                await producer.send(Message(topic, body.encode(), keys=("all", body)), queue=queue) for body in "abc"
            ]
        await wait_for_end(stage, queue, 3)
        messages = stage.admin.messages
        end_ms = time.time_ns() // 1_000_000 + 1
        everything = Subscription(topic, ())
        assert [found.text for found in await messages.between(everything, begin_ms, end_ms)] == ["a", "b", "c"]
        assert await messages.between(everything, end_ms, end_ms + 1000) == []
        second = results[1]
        by_id = await messages.by_offset_id(second.offset_message_id)
        assert by_id is not None
        assert (by_id.text, by_id.message_id, by_id.queue.broker_name) == ("b", second.message_id, second.broker)
        at_place = await messages.at(queue, 1)
        assert at_place is not None
        assert at_place.offset_message_id == second.offset_message_id
        assert await messages.at(queue, 3) is None
        await until_found(lambda: messages.by_key(topic, "all"), 3)
        assert [found.text for found in await messages.by_key(topic, "b")] == ["b"]
        assert [found.text for found in await messages.by_unique_key(topic, second.message_id)] == ["b"]

    async def test_a_group_is_created_listed_and_deleted(self, stage: Stage) -> None:
        group = stage.name("group")
        masters = await stage.admin.groups.create(SubscriptionGroupConfig(group_name=group, retry_max_times=3), None)
        configs = (await stage.admin.groups.configs())[group]
        assert {broker: config.retry_max_times for broker, config in configs.items()} == dict.fromkeys(masters, 3)
        assert await stage.admin.groups.delete(group) == list(masters)
        assert group not in await stage.admin.groups.configs()

    async def test_a_group_that_consumes_shows_its_members_its_lag_and_gets_a_message_again(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        await stage.send(topic, ["one", "two"])
        seen, admin = Seen(), stage.admin
        consumer = PushConsumer(group, nameserver=stage.nameserver, start=Earliest(), timeout_seconds=10)
        async with consumer, trio.open_nursery() as nursery:
            await consumer.subscribe(topic)
            await nursery.start(consumer.run, seen)
            await seen.wait_for(2)
            (member,) = (await admin.groups.members(group)).members
            assert member.client_id == consumer.client.client_id
            message = seen.messages[0]
            result = await admin.messages.consume_directly(message, group, member.client_id)
            assert (result.is_success, len(seen.messages)) == (True, 3)
            await admin.messages.send_to_group(message, group)
            await until(lambda: len(seen.messages) == 4, "the message again")
            assert seen.messages[-1].text == message.text
            consumer.stop()
        await until_found(lambda: lag_of(stage, group, topic), 0)
        lag = await admin.groups.lag(group, topic=topic)
        assert sum(queue.consumer_offset for queue in lag.queues) == 2

    async def test_a_group_is_moved_to_other_offsets(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        queues = await stage.queues(topic)
        for queue in queues:
            await stage.send(topic, ["a", "b", "c"], queue=queue)
            await wait_for_end(stage, queue, 3)
            await stage.commit(group, queue, 3)
        reset = stage.admin.reset(group, topic)
        plan = await reset.plan(Earliest(), lambda queue: queue == queues[0])
        assert [(change.old_offset, change.new_offset) for change in plan] == [(3, 0)]
        assert await stage.committed(group, queues[0]) == 3, "a plan changes nothing"
        await reset.write(plan)
        assert [await stage.committed(group, queue) for queue in queues] == [0] + [3] * (len(queues) - 1)

    async def test_a_brokers_configuration_is_read_and_changed(self, stage: Stage) -> None:
        brokers = stage.admin.brokers
        name = (await stage.admin.topology()).groups[0].name
        before = await brokers.config(name)
        assert (before["brokerName"], before["brokerId"], before["brokerRole"]) == (name, "0", "ASYNC_MASTER")
        changed = str(int(before["defaultQueryMaxNum"]) + 1)
        await brokers.update_config(name, {"defaultQueryMaxNum": changed})
        assert (await brokers.config(name))["defaultQueryMaxNum"] == changed
        await brokers.update_config(name, {"defaultQueryMaxNum": before["defaultQueryMaxNum"]})
        with pytest.raises(InvalidArgument, match="there is no broker nobody"):
            await brokers.config("nobody")

    async def test_a_broker_tells_of_itself_and_of_its_producers(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        brokers = stage.admin.brokers
        async with Producer(group, nameserver=stage.nameserver) as producer:
            broker = (await producer.send(topic, "x")).broker
            await producer.client.members.introduce()
            (member,) = await brokers.producers(broker, group)
            assert (member.client_id, member.language) == (producer.client.client_id, "PYTHON")
        assert await brokers.producers(broker, group) == []
        info = await brokers.runtime_info(broker)
        assert info["brokerVersionDesc"] == "V4_5_2"
        assert int(info["commitLogMaxOffset"]) > 0


async def lag_of(stage: Stage, group: str, topic: str) -> list[int]:
    """One number for each message of a topic that a group has not consumed."""
    lag = await stage.admin.groups.lag(group, topic=topic)
    return list(range(lag.total if lag.queues else 1))


async def wait_for_end(stage: Stage, queue: MessageQueue, end: int) -> None:
    """Wait until a queue reaches so far: Apache's brokers answer a send before its consume queue has it."""
    offsets = await stage.admin.offsets(queue.topic)
    with trio.fail_after(20):
        while await offsets.next(queue) < end:  # noqa: ASYNC110 - brokers do not tell
            await trio.sleep(0.02)


async def until_found(look: Callable[[], Awaitable[Sized]], count: int) -> None:
    """Wait until a search finds so many: indexes and offsets follow a moment later."""
    with trio.fail_after(30):
        while len(await look()) != count:  # noqa: ASYNC110 - brokers do not tell
            await trio.sleep(0.05)
