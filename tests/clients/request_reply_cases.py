"""Request messages and replies on a running cluster of 4.6 or later; modules that run them give it (`nameserver`)."""

from collections.abc import AsyncIterator

import pytest
import trio

from rmqctl.client import Earliest, NoReply, Producer, PushConsumer, ReceivedMessage
from tests.clients.stage import Stage, open_stage


class RequestReplyCases:
    """Our client on both sides."""

    @pytest.fixture
    async def stage(self, nameserver: str) -> AsyncIterator[Stage]:
        async with open_stage(nameserver) as stage:
            yield stage

    async def test_each_request_gets_the_reply_of_the_consumer_that_got_it(self, stage: Stage) -> None:
        topic, group = await stage.topic(2), stage.name("group")
        replies: dict[int, int] = {}

        async with (
            Producer(stage.name("asks"), nameserver=stage.nameserver, timeout_seconds=20) as asker,
            Producer(stage.name("answers"), nameserver=stage.nameserver, timeout_seconds=20) as answerer,
            PushConsumer(group, nameserver=stage.nameserver, start=Earliest(), timeout_seconds=10) as consumer,
            trio.open_nursery() as nursery,
        ):

            async def answer(message: ReceivedMessage) -> None:
                await answerer.reply(message, {"square": message.json()["number"] ** 2, "note": "好" * 2000})

            async def ask(number: int) -> None:
                reply = await asker.request(topic, {"number": number})
                replies[number] = reply.json()["square"]

            await consumer.subscribe(topic)
            await nursery.start(consumer.run, answer)
            async with trio.open_nursery() as asking:
                for number in range(10):
                    asking.start_soon(ask, number)
            consumer.stop()
        assert replies == {number: number**2 for number in range(10)}

    async def test_a_request_that_nobody_consumes_gets_no_reply(self, stage: Stage) -> None:
        topic = await stage.topic(1)
        async with Producer(stage.name("asks"), nameserver=stage.nameserver) as asker:
            with pytest.raises(NoReply, match="no reply to request message"):
                await asker.request(topic, "anybody?", timeout_seconds=1)
