"""`PushConsumer` on a running cluster; modules that run these cases say whose nodes it has (fixture `nameserver`)."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from rmqctl.client import Earliest, PushConsumer, QueueLimits, ReceivedMessage, RequestRefused, Retry
from rmqnode.protocol.codes import RequestCode
from tests.clients.stage import Seen, Stage, open_stage, uninvited, until


def bodies(count: int, prefix: str = "m") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def consumer(stage: Stage, group: str, **options: Any) -> PushConsumer:
    return PushConsumer(group, nameserver=stage.nameserver, start=Earliest(), timeout_seconds=10, **options)


def own_queues(member: PushConsumer, topic: str) -> int:
    return sum(queue.topic == topic for queue in member.queues)


class PushConsumerCases:
    """Every feature, as far as it shows on a cluster."""

    @pytest.fixture
    async def stage(self, nameserver: str) -> AsyncIterator[Stage]:
        async with open_stage(nameserver) as stage:
            yield stage

    async def test_members_that_join_and_leave_share_the_queues_and_each_message_comes_once(self, stage: Stage) -> None:
        topic, group = await stage.topic(4), stage.name("group")
        first, second = Seen(), Seen()
        async with consumer(stage, group) as one, consumer(stage, group) as two, trio.open_nursery() as nursery:
            await one.subscribe(topic)
            await two.subscribe(topic)
            await nursery.start(one.run, first)
            assert own_queues(one, topic) == 8
            await stage.send(topic, bodies(40, "alone-"))
            await first.wait_for(40)

            await nursery.start(two.run, second)
            await until(lambda: own_queues(one, topic) == own_queues(two, topic) == 4, "four queues for each")
            assert not set(one.queues) & {queue for queue in two.queues if queue.topic == topic}
            await stage.send(topic, bodies(40, "shared-"))
            await until(lambda: len(first.messages) + len(second.messages) >= 80, "80 messages")
            assert len(second.messages) == 20

            one.stop()
            await until(lambda: own_queues(two, topic) == 8, "all queues for the one that is left")
            await stage.send(topic, bodies(40, "left-"))
            await until(lambda: len(first.messages) + len(second.messages) >= 120, "120 messages")
            await uninvited()
            two.stop()
        sent = bodies(40, "alone-") + bodies(40, "shared-") + bodies(40, "left-")
        assert Counter(first.bodies + second.bodies) == Counter(sent)

    async def test_a_message_carries_what_its_producer_gave_it(self, stage: Stage) -> None:
        topic, seen = await stage.topic(1), Seen()
        (sent,) = await stage.send(topic, ["已付款"], tag="paid")
        async with consumer(stage, stage.name("group")) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            nursery.start_soon(member.run, seen)
            await seen.wait_for(1)
            member.stop()
        (message,) = seen.messages
        assert (message.topic, message.text, message.tag, message.reconsume_times) == (topic, "已付款", "paid", 0)
        assert (message.message_id, message.offset_message_id) == (sent.message_id, sent.offset_message_id)
        assert (message.queue.broker_name, message.queue.queue_id) == (sent.broker, sent.queue_id)
        assert message.queue_offset == sent.queue_offset

    async def test_tags_are_told_apart_even_when_their_hashes_are_equal(self, stage: Stage) -> None:
        topic, seen = await stage.topic(1), Seen()
        for tag in ("Aa", "BB", "paid", "other"):
            await stage.send(topic, [tag], tag=tag)
        await stage.send(topic, ["no tag"])
        async with consumer(stage, stage.name("group")) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic, tags="Aa || paid")
            nursery.start_soon(member.run, seen)
            await seen.wait_for(2)
            await uninvited()
            member.stop()
        assert sorted(seen.bodies) == ["Aa", "paid"]

    async def test_a_refused_message_comes_again_under_its_own_topic(self, stage: Stage) -> None:
        topic = await stage.topic(1)

        def refuse_once(message: ReceivedMessage) -> Retry | None:
            return Retry(delay_level=1) if message.text == "m3" and message.reconsume_times == 0 else None

        seen = Seen(refuse_once)
        await stage.send(topic, bodies(6), tag="t")
        group = stage.name("group")
        async with consumer(stage, group) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic, tags="t")
            nursery.start_soon(member.run, seen)
            await seen.wait_for(6)
            member.stop()
        assert Counter(seen.bodies) == Counter(bodies(6))
        first, again = (message for message in seen.tries if message.text == "m3")
        assert (again.topic, again.tag, again.reconsume_times) == (topic, "t", 1)
        assert again.queue.topic == f"%RETRY%{group}"
        assert again.message_id == first.message_id

    @pytest.mark.parametrize("orderly", [False, True], ids=["concurrent", "orderly"])
    async def test_a_message_that_fails_too_often_becomes_a_dead_letter(self, stage: Stage, orderly: bool) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        seen = Seen(lambda message: Retry(delay_level=1, suspend_seconds=0.05) if message.text == "poison" else None)
        options = {"orderly": orderly, "max_reconsume_times": 1}
        async with consumer(stage, group, **options) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            await nursery.start(member.run, seen)
            await until(lambda: own_queues(member, f"%RETRY%{group}"), "queues of the retry topic")
            await stage.send(topic, ["fine", "poison", "fine too"], queue=(await stage.queues(topic))[0])
            await seen.wait_for(2)
            await self._wait_for_dead_letters(stage, group, 1)
            await uninvited()
            member.stop()
        assert sorted(seen.bodies) == ["fine", "fine too"]
        assert [message.reconsume_times for message in seen.tries if message.text == "poison"] == [0, 1]
        assert await self._dead_letters(stage, group) == 1

    async def _wait_for_dead_letters(self, stage: Stage, group: str, count: int) -> None:
        with trio.fail_after(30):
            while await self._dead_letters(stage, group) < count:  # noqa: ASYNC110 - only asking tells
                await trio.sleep(0.05)

    async def _dead_letters(self, stage: Stage, group: str) -> int:
        topic = f"%DLQ%{group}"
        if topic not in await stage.admin.topics.names():
            return 0
        return sum(state.max_offset for state in await stage.admin.topics.describe(topic))

    async def test_what_was_consumed_is_not_given_to_the_next_member_of_the_group(self, stage: Stage) -> None:
        topic, group = await stage.topic(2), stage.name("group")
        for number in range(2):
            seen = Seen()
            await stage.send(topic, bodies(20, f"round-{number}-"))
            async with consumer(stage, group) as member, trio.open_nursery() as nursery:
                await member.subscribe(topic)
                nursery.start_soon(member.run, seen)
                await seen.wait_for(20)
                await uninvited()
                member.stop()
            assert Counter(seen.bodies) == Counter(bodies(20, f"round-{number}-"))

    async def test_an_orderly_consumer_keeps_the_order_of_each_queue_also_when_a_message_fails(
        self, stage: Stage
    ) -> None:
        topic, group = await stage.topic(2), stage.name("group")
        failed: set[str] = set()

        def fail_once(message: ReceivedMessage) -> Retry | None:
            if message.text.endswith("5") and message.text not in failed:
                failed.add(message.text)
                return Retry()
            return None

        seen = Seen(fail_once, seconds=0.001)
        queues = await stage.queues(topic)
        sent = {queue: bodies(20, f"{queue.broker_name}-{queue.queue_id}-") for queue in queues}
        for queue in queues:
            await stage.send(topic, sent[queue], queue=queue)
        async with consumer(stage, group, orderly=True, suspend_seconds=0.05) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            nursery.start_soon(member.run, seen)
            await seen.wait_for(80)
            await uninvited()
            member.stop()
        assert seen.by_queue() == sent
        assert seen.most_at_once_in_a_queue == 1
        assert seen.most_at_once > 1
        assert len(failed) == 8
        assert {message.reconsume_times for message in seen.messages if message.text in failed} == {1}

    async def test_orderly_members_that_join_and_leave_at_work_keep_order_and_repeat_nothing(
        self, stage: Stage
    ) -> None:
        topic, group = await stage.topic(2), stage.name("group")
        # One list for both members: what one queue's messages were consumed in, whoever did.
        seen = Seen(seconds=0.01)
        queues = await stage.queues(topic)
        sent = {queue: bodies(100, f"{queue.broker_name}-{queue.queue_id}-") for queue in queues}
        async with trio.open_nursery() as senders:
            for queue in queues:
                senders.start_soon(lambda queue=queue: stage.send(topic, sent[queue], queue=queue))
        async with (
            consumer(stage, group, orderly=True) as one,
            consumer(stage, group, orderly=True) as two,
            trio.open_nursery() as nursery,
        ):
            await one.subscribe(topic)
            await two.subscribe(topic)
            await nursery.start(one.run, seen)
            await seen.wait_for(20)
            nursery.start_soon(two.run, seen)
            await until(lambda: own_queues(one, topic) == own_queues(two, topic) == 2, "two queues for each")
            await seen.wait_for(len(seen.messages) + 20)
            one.stop()
            await seen.wait_for(400, 60)
            await uninvited()
            two.stop()
        assert seen.by_queue() == sent
        assert seen.most_at_once_in_a_queue == 1

    async def test_every_broadcasting_member_gets_every_message_and_goes_on_from_its_own_file(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        topic, group = await stage.topic(2), stage.name("group")
        options = {"broadcasting": True, "local_offsets": tmp_path}
        first, second, restarted = Seen(), Seen(), Seen()
        await stage.send(topic, bodies(20))
        async with trio.open_nursery() as nursery:
            for instance, seen in (("one", first), ("two", second)):
                nursery.start_soon(self._consume_all, stage, topic, group, seen, 20, {**options, "instance": instance})
        assert Counter(first.bodies) == Counter(second.bodies) == Counter(bodies(20))
        await stage.send(topic, bodies(5, "later-"))
        await self._consume_all(stage, topic, group, restarted, 5, {**options, "instance": "one"})
        assert Counter(restarted.bodies) == Counter(bodies(5, "later-"))
        (folder,) = [name for name in os.listdir(tmp_path) if name.endswith("@two")]
        assert "offsets.json" in os.listdir(f"{tmp_path}/{folder}/{group}")

    async def _consume_all(
        self, stage: Stage, topic: str, group: str, seen: Seen, count: int, options: dict[str, Any]
    ) -> None:
        async with consumer(stage, group, **options) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            nursery.start_soon(member.run, seen)
            await seen.wait_for(count)
            await uninvited()
            member.stop()

    async def test_no_more_is_held_than_the_limits_allow_and_all_is_consumed(self, stage: Stage) -> None:
        topic, seen = await stage.topic(1), Seen(seconds=0.01)
        queue = (await stage.queues(topic))[0]
        await stage.send(topic, bodies(300), queue=queue)
        limits = QueueLimits(messages=40)
        held_most = 0
        async with consumer(stage, stage.name("group"), limits=limits, concurrency=4) as member:
            await member.subscribe(topic)
            async with trio.open_nursery() as nursery:
                await nursery.start(member.run, seen)
                while len(seen.messages) < 300:
                    held_most = max(held_most, *(member.held(queue) for queue in member.queues))
                    await trio.sleep(0.002)
                member.stop()
        assert 40 < held_most <= 72
        assert Counter(seen.bodies) == Counter(bodies(300))
        assert seen.most_at_once == 4

    async def test_closing_lets_handlers_finish_and_gives_the_rest_to_the_next_member(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        await stage.send(topic, bodies(30))
        first, second = Seen(seconds=0.3), Seen()
        async with consumer(stage, group, concurrency=5) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            nursery.start_soon(member.run, first)
            await until(lambda: len(first.tries) == 5, "five handlers at work")
            nursery.cancel_scope.cancel()
        assert len(first.messages) == len(first.tries) == 5
        await self._consume_all(stage, topic, group, second, 25, {})
        # Five of a queue were consumed out of order with others held, so some may come twice, but none is lost.
        assert set(first.bodies) | set(second.bodies) == set(bodies(30))

    async def test_a_handler_that_does_not_end_in_time_is_cancelled_and_its_message_comes_again(
        self, stage: Stage
    ) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        await stage.send(topic, ["only"])
        seen = Seen(seconds=60)
        async with consumer(stage, group, close_seconds=0.1) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            nursery.start_soon(member.run, seen)
            await until(lambda: seen.tries, "the handler at work")
            with trio.fail_after(10):
                member.stop()
                await until(lambda: not nursery.child_tasks, "the end of the consumer")
        assert seen.messages == []
        again = Seen()
        await self._consume_all(stage, topic, group, again, 1, {})

    async def test_an_offset_that_does_not_exist_is_corrected(self, stage: Stage) -> None:
        topic, group, seen = await stage.topic(1), stage.name("group"), Seen()
        await stage.send(topic, bodies(10))
        queues = await stage.queues(topic)
        for queue in queues:
            await stage.commit(group, queue, 1000)
        async with consumer(stage, group) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            nursery.start_soon(member.run, seen)
            with trio.fail_after(30):
                while any([await stage.committed(group, queue) == 1000 for queue in queues]):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            await stage.send(topic, bodies(10, "later-"))
            # 4.5.2 sends the group back to the start of the queue, we and later versions to its end.
            await until(lambda: set(bodies(10, "later-")) <= set(seen.bodies), "what came after the correction")
            member.stop()
        assert Counter(seen.bodies) in (Counter(bodies(10, "later-")), Counter(bodies(10) + bodies(10, "later-")))

    async def test_topics_come_and_go_while_the_consumer_runs(self, stage: Stage) -> None:
        first_topic, seen = await stage.topic(1), Seen()
        async with consumer(stage, stage.name("group")) as member, trio.open_nursery() as nursery:
            await member.subscribe(first_topic)
            await nursery.start(member.run, seen)
            await stage.send(first_topic, ["one"])
            await seen.wait_for(1)
            second_topic = f"{first_topic}-second"
            stage.name = lambda suffix: second_topic  # type: ignore[method-assign]
            await stage.topic(1)
            await member.subscribe(second_topic)
            await stage.send(second_topic, ["two"])
            await seen.wait_for(2)
            member.unsubscribe(first_topic)
            await until(lambda: own_queues(member, first_topic) == 0, "no queue of the first topic")
            await stage.send(first_topic, ["unwanted"])
            await stage.send(second_topic, ["three"])
            await seen.wait_for(3)
            await uninvited()
            member.stop()
        assert seen.bodies == ["one", "two", "three"]

    async def test_a_paused_consumer_pulls_nothing_until_it_is_resumed(self, stage: Stage) -> None:
        topic, seen = await stage.topic(1), Seen()
        await stage.send(topic, bodies(10))
        async with consumer(stage, stage.name("group")) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            member.pause()
            await nursery.start(member.run, seen)
            await uninvited()
            assert seen.messages == []
            member.resume()
            await seen.wait_for(10)
            member.stop()

    async def test_sql_chooses_messages_by_their_properties(self, stage: Stage) -> None:
        topic, seen = await stage.topic(1), Seen()
        for price, region in ((5, "de"), (20, "de"), (30, "cn"), (40, "fr")):
            properties = {"price": str(price), "region": region}
            await stage.producer.send(f"{topic}:paid", f"{price}", properties=properties)
        async with consumer(stage, stage.name("group")) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic, sql="price > 10 AND region IN ('de', 'cn') AND TAGS = 'paid'")
            nursery.start_soon(member.run, seen)
            await seen.wait_for(2)
            await stage.producer.send(f"{topic}:paid", "50", properties={"price": "50", "region": "cn"})
            await seen.wait_for(3)
            await uninvited()
            member.stop()
        assert sorted(seen.bodies) == ["20", "30", "50"]

    async def test_an_expression_that_no_broker_understands_is_refused_when_it_is_subscribed(
        self, stage: Stage
    ) -> None:
        topic = await stage.topic(1)
        async with consumer(stage, stage.name("group")) as member:
            with pytest.raises(RequestRefused) as refused:
                await member.subscribe(topic, sql="price >")
        assert refused.value.request_code == RequestCode.CHECK_CLIENT_CONFIG
