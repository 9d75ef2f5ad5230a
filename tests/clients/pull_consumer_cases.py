"""`PullConsumer` on a running cluster; modules that run these cases say whose nodes it has (fixture `nameserver`)."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from rmqctl.client import Earliest, InvalidArgument, Latest, NoQueue, PullConsumer, PullStatus, Since
from tests.clients.stage import Stage, open_stage, until


def bodies(count: int, prefix: str = "m") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def consumer(stage: Stage, group: str, **options: Any) -> PullConsumer:
    return PullConsumer(group, nameserver=stage.nameserver, start=Earliest(), timeout_seconds=10, **options)


async def poll(member: PullConsumer, count: int) -> list[str]:
    """Bodies of so many messages."""
    found: list[str] = []
    with trio.fail_after(30):
        while len(found) < count:
            found += [message.text for message in await member.poll(1)]
    return found


class PullConsumerCases:
    """Every feature, as far as it shows on a cluster."""

    @pytest.fixture
    async def stage(self, nameserver: str) -> AsyncIterator[Stage]:
        async with open_stage(nameserver) as stage:
            yield stage

    async def test_a_queue_is_read_by_offset_and_the_answer_says_where_to_go_on(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        async with consumer(stage, stage.name("group")) as member:
            queue = (await member.queues_of(topic))[0]
            await stage.send(topic, bodies(50), queue=queue, tag="t")
            assert [await member.offset_of(queue, position) for position in (Earliest(), Latest())] == [0, 50]
            first = await member.pull(queue, 0)
            assert (first.status, first.next_offset, first.min_offset, first.max_offset) == (
                PullStatus.FOUND,
                32,
                0,
                50,
            )
            assert [message.text for message in first.messages] == bodies(50)[:32]
            assert len((await member.pull(queue, 32, count_max=10)).messages) == 10
            assert (await member.pull(queue, 50)).status is PullStatus.NO_NEW_MESSAGE
            unwanted = await member.pull(queue, 0, tags="other")
            assert (unwanted.messages, unwanted.status) == ([], PullStatus.NO_MATCHED_MESSAGE)
            assert len((await member.pull(queue, 40, tags="t")).messages) == 10

    async def test_a_held_pull_is_answered_by_the_message_that_arrives(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        async with consumer(stage, stage.name("group")) as member, trio.open_nursery() as nursery:
            queue = (await member.queues_of(topic))[0]
            found: list[str] = []

            async def read() -> None:
                with trio.fail_after(10):
                    result = await member.pull(queue, 0, hold=True)
                found.extend(message.text for message in result.messages)

            nursery.start_soon(read)
            await trio.sleep(0.3)
            assert found == []
            await stage.send(topic, ["awaited"], queue=queue)
            await until(lambda: found == ["awaited"], "the answer to the held pull")

    async def test_subscribed_consumers_share_the_queues_and_go_on_where_the_group_was(self, stage: Stage) -> None:
        topic, group = await stage.topic(2), stage.name("group")
        await stage.send(topic, bodies(40))
        async with consumer(stage, group) as one:
            await one.subscribe(topic)
            assert Counter(await poll(one, 40)) == Counter(bodies(40))
            await one.commit()
            async with consumer(stage, group) as two:
                await two.subscribe(topic)
                await until(lambda: len(one.queues) == len(two.queues) == 2, "two queues for each")
                assert not set(one.queues) & set(two.queues)
                await stage.send(topic, bodies(20, "shared-"))
                shared = await poll(one, 10) + await poll(two, 10)
                assert Counter(shared) == Counter(bodies(20, "shared-"))
            await until(lambda: len(one.queues) == 4, "all queues for the one that is left")
            assert await one.poll(0.5) == []
        async with consumer(stage, group) as next_one:
            await next_one.subscribe(topic)
            await stage.send(topic, ["new"])
            assert await poll(next_one, 1) == ["new"]

    async def test_messages_are_iterated_over_and_the_last_one_is_not_committed_when_its_block_fails(
        self, stage: Stage
    ) -> None:
        topic = await stage.topic(1)
        queue = (await stage.queues(topic))[0]
        await stage.send(topic, bodies(5), queue=queue)

        async def read_three_and_fail(group: str, seen: list[str]) -> None:
            async with consumer(stage, group) as member:
                await member.subscribe(topic)
                async for message in member:
                    seen.append(message.text)
                    if len(seen) == 3:
                        raise ZeroDivisionError

        # Several times: an offset that came with a pull, which Apache's brokers handle beside it, may be the last.
        for group in [stage.name(f"group-{number}") for number in range(10)]:
            seen: list[str] = []
            with pytest.raises(ZeroDivisionError):
                await read_three_and_fail(group, seen)
            assert seen == bodies(3)
            assert await stage.committed(group, queue) == 2

    async def test_only_commit_commits_when_asked_to_leave_it_to_the_application(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        queue = (await stage.queues(topic))[0]
        await stage.send(topic, bodies(10), queue=queue)
        async with consumer(stage, group, auto_commit=False) as member:
            await member.assign([queue])
            first = await member.poll(5, count_max=4)
            assert [message.text for message in first] == bodies(4)
            assert member.position(queue) == 4
            await member.commit()
            assert await member.committed(queue) == 4
            assert len(await member.poll(5, count_max=4)) == 4
        assert await stage.committed(group, queue) == 4

    async def test_seeking_goes_back_and_forth_by_offset_and_time(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        queue = (await stage.queues(topic))[0]
        await stage.send(topic, bodies(5), queue=queue)
        await trio.sleep(0.05)
        await stage.send(topic, bodies(5, "late-"), queue=queue)
        everything = bodies(5) + bodies(5, "late-")
        async with consumer(stage, stage.name("group")) as member:
            await member.assign([queue])
            messages = await member.poll(5)
            assert [message.text for message in messages] == everything
            await member.seek(queue, 3)
            assert await poll(member, 7) == everything[3:]
            await member.seek_to(Since(messages[5].store_timestamp))
            assert await poll(member, 5) == everything[5:]
            await member.seek_to(Earliest(), [queue])
            assert await poll(member, 10) == everything
            await member.seek_to(Latest())
            assert await member.poll(0.3) == []
            other = (await stage.queues(topic))[1]
            with pytest.raises(NoQueue):
                await member.seek(other, 0)

    async def test_what_makes_no_sense_is_refused_at_once(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        async with consumer(stage, stage.name("group")) as member:
            with pytest.raises(InvalidArgument, match="nothing is subscribed"):
                await member.poll()
            with pytest.raises(InvalidArgument, match="no queue to assign"):
                await member.assign([])
            await member.assign(await member.queues_of(topic))
            with pytest.raises(InvalidArgument, match="assigned once"):
                await member.assign(await member.queues_of(topic))
            with pytest.raises(InvalidArgument, match="assigned already"):
                await member.subscribe(topic)
