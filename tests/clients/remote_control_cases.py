"""What administrators ask of a running consumer, through the brokers of a running cluster (fixture `nameserver`)."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio

from rmqctl.client import Earliest, PushConsumer, Retry
from rmqctl.client.connection import Answer
from rmqctl.client.consumer import ReceivedMessage
from rmqnode.protocol.bodies import (
    ConsumeMessageDirectlyResult,
    ConsumerRunningInfo,
    DirectConsumption,
    GetConsumerStatusBody,
    ResetOffsetBody,
)
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.header_fields import Header
from rmqnode.protocol.headers.administration import (
    ConsumeMessageDirectlyRequestHeader,
    GetConsumerRunningInfoRequestHeader,
    GetConsumerStatusRequestHeader,
    ResetOffsetRequestHeader,
)
from tests.clients.stage import Seen, Stage, open_stage, until


def bodies(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


class RemoteControlCases:
    """As `mqadmin` asks."""

    @pytest.fixture
    async def stage(self, nameserver: str) -> AsyncIterator[Stage]:
        async with open_stage(nameserver) as stage:
            yield stage

    async def ask(
        self, stage: Stage, topic: str, code: RequestCode, header: Header, broker: str = "broker-a"
    ) -> Answer:
        route = await stage.client.routes.get(topic)
        return await stage.client.connection.ask_broker(broker, route.master_address(broker), code, header)

    @pytest.mark.parametrize("orderly", [False, True], ids=["concurrent", "orderly"])
    async def test_a_reset_offset_brings_messages_again(self, stage: Stage, orderly: bool) -> None:
        topic, group, seen = await stage.topic(1), stage.name("group"), Seen()
        queue = (await stage.queues(topic))[0]
        await stage.send(topic, bodies(10), queue=queue)
        async with (
            PushConsumer(group, nameserver=stage.nameserver, start=Earliest(), orderly=orderly) as member,
            trio.open_nursery() as nursery,
        ):
            await member.subscribe(topic)
            nursery.start_soon(member.run, seen)
            await seen.wait_for(10)
            # Brokers reset offsets of groups only that have one; the next pull brings it.
            await stage.send(topic, ["and one"], queue=queue)
            # A reset that comes before it is handled brings it once, and not once more.
            await seen.wait_for(11)
            with trio.fail_after(30):
                while await stage.committed(group, queue) == 0:  # noqa: ASYNC110 - only asking tells
                    await trio.sleep(0.05)
            header = ResetOffsetRequestHeader(topic=topic, group=group, timestamp=0, is_force=True)
            answer = await self.ask(stage, topic, RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, header, queue.broker_name)
            assert answer.body(ResetOffsetBody).offset_table == {queue: 0}
            await until(lambda: len(seen.messages) >= 22, "all messages once more")
            await stage.send(topic, ["new"], queue=queue)
            await seen.wait_for(12)
            member.stop()
        assert Counter(seen.bodies) == Counter([*bodies(10), "and one"] * 2 + ["new"])
        assert await stage.committed(group, queue) == 12

    async def test_a_consumer_tells_where_it_is_and_what_it_holds(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        gate = trio.Event()

        async def wait_behind_the_fifth(message: ReceivedMessage) -> None:
            if message.queue_offset >= 5:
                await gate.wait()

        queue = (await stage.queues(topic))[0]
        await stage.send(topic, bodies(8), queue=queue)
        async with PushConsumer(group, client=stage.client, start=Earliest()) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic, tags="*")
            nursery.start_soon(member.run, wait_behind_the_fifth)
            await until(lambda: member.held(queue) == 3, "three messages held")
            client_id = stage.client.client_id
            answer = await self.ask(
                stage,
                topic,
                RequestCode.GET_CONSUMER_RUNNING_INFO,
                GetConsumerRunningInfoRequestHeader(consumer_group=group, client_id=client_id),
                queue.broker_name,
            )
            info = answer.body(ConsumerRunningInfo)
            status = await self.ask(
                stage,
                topic,
                RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
                GetConsumerStatusRequestHeader(topic=topic, group=group, client_addr=client_id),
                queue.broker_name,
            )
            gate.set()
            member.stop()
        assert info.properties["PROP_CONSUME_TYPE"] == "CONSUME_PASSIVELY"
        assert info.properties["PROP_NAMESERVER_ADDR"].split(";")[0] == stage.nameserver.split(";")[0]
        assert {subscription.topic for subscription in info.subscription_set} == {topic, f"%RETRY%{group}"}
        held = info.mq_table[queue]
        assert (held.commit_offset, held.cached_msg_min_offset, held.cached_msg_max_offset) == (5, 5, 7)
        assert (held.cached_msg_count, held.droped, held.locked) == (3, False, False)
        assert info.status_table[topic].consume_ok_tps > 0
        assert status.body(GetConsumerStatusBody).consumer_table[client_id][queue] == 5

    async def test_a_message_is_consumed_directly_whatever_became_of_it_before(self, stage: Stage) -> None:
        topic, group = await stage.topic(1), stage.name("group")
        answers: list[Retry | Exception | None] = [None, None, Retry(), ValueError("not now")]
        seen: list[str] = []

        async def handle(message: ReceivedMessage) -> Retry | None:
            seen.append(message.text)
            answer = answers[len(seen) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer

        queue = (await stage.queues(topic))[0]
        (sent,) = await stage.send(topic, ["again"], queue=queue)
        results = []
        async with PushConsumer(group, client=stage.client, start=Earliest()) as member, trio.open_nursery() as nursery:
            await member.subscribe(topic)
            nursery.start_soon(member.run, handle)
            await until(lambda: seen, "the message")
            for _ in range(3):
                header = ConsumeMessageDirectlyRequestHeader(
                    consumer_group=group, client_id=stage.client.client_id, msg_id=sent.offset_message_id
                )
                code = RequestCode.CONSUME_MESSAGE_DIRECTLY
                answer = await self.ask(stage, topic, code, header, queue.broker_name)
                results.append(answer.body(ConsumeMessageDirectlyResult))
            member.stop()
        assert [result.consume_result for result in results] == [
            DirectConsumption.CR_SUCCESS,
            DirectConsumption.CR_LATER,
            DirectConsumption.CR_THROW_EXCEPTION,
        ]
        assert results[2].remark == "ValueError: not now"
        assert seen == ["again"] * 4
