"""A producer under load while nodes die: what it was told is stored is there, and it goes on by itself."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.lowlevel

from rmqctl.client import ClientError, Producer, SendResult
from tests.clients.producer_cases import read_topic
from tests.clients.stage import open_stage, until

SENDS_BETWEEN = 300


class Load:
    """Sends numbered messages asynchronously until it is stopped."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, SendResult] = {}
        self.failed: list[ClientError] = []
        self._is_stopped = False

    def stop(self) -> None:
        self._is_stopped = True

    async def run(self, producer: Producer, topic: str) -> None:
        number = 0
        while not self._is_stopped:
            number += 1
            await producer.send_async(topic, str(number), callback=self._note_as(str(number)))
            await trio.lowlevel.checkpoint()
        await producer.flush()

    async def more(self) -> None:
        """Wait until many more messages were acknowledged."""
        goal = len(self.acknowledged) + SENDS_BETWEEN
        await until(lambda: len(self.acknowledged) >= goal, f"{goal} acknowledged messages")

    def _note_as(self, body: str) -> Any:
        def note(outcome: SendResult | ClientError) -> None:
            if isinstance(outcome, SendResult):
                self.acknowledged[body] = outcome
            else:
                self.failed.append(outcome)

        return note


@pytest.fixture
def cluster(cli: Any) -> Iterator[Any]:
    cli.up("--profile", "2m-noslave")
    yield cli
    cli.run("down")


def nameserver_of(cluster: Any) -> str:
    return ";".join(f"127.0.0.1:{port + cluster.port_offset}" for port in (9876, 9877))


async def kill(cluster: Any, *nodes: str) -> None:
    """Kill nodes; the supervisor starts them again. The load goes on meanwhile."""
    pids = await trio.to_thread.run_sync(cluster.pids)
    for node in nodes:
        os.kill(pids[node], signal.SIGKILL)


async def test_nothing_acknowledged_is_lost_while_brokers_are_killed(cluster: Any) -> None:
    load = Load()
    nameserver = nameserver_of(cluster)
    async with open_stage(nameserver) as stage:
        topic = await stage.topic(2)
        await stage.queues(topic)  # known from now on, whatever becomes of the nameservers
        async with Producer("load", nameserver=nameserver) as producer, trio.open_nursery() as nursery:
            nursery.start_soon(load.run, producer, topic)
            for node in ("broker-a-0", "broker-b-0", "broker-a-0"):
                await load.more()
                await kill(cluster, node)
            await load.more()
            await load.more()
            load.stop()
        # A message whose fate was unknown may be there twice, and one that failed may be there.
        stored = {
            (message.queue.broker_name, message.queue.queue_id, message.queue_offset): message.text
            for message in await read_topic(stage, topic, len(load.acknowledged), seconds=60)
        }
    for body, result in load.acknowledged.items():
        assert stored[result.broker, result.queue_id, result.queue_offset] == body
    assert {result.broker for result in load.acknowledged.values()} == {"broker-a", "broker-b"}


async def test_a_producer_goes_on_without_an_error_while_nameservers_are_killed(cluster: Any) -> None:
    load = Load()
    nameserver = nameserver_of(cluster)
    async with open_stage(nameserver) as stage:
        topic = await stage.topic(2)
        await stage.queues(topic)  # known from now on, whatever becomes of the nameservers
        async with Producer("load", nameserver=nameserver) as producer, trio.open_nursery() as nursery:
            nursery.start_soon(load.run, producer, topic)
            for _ in range(2):
                await load.more()
                await kill(cluster, "nameserver-0", "nameserver-1")
            await load.more()
            load.stop()
        assert load.failed == []
        messages = await read_topic(stage, topic, len(load.acknowledged), seconds=60)
    assert sorted(message.text for message in messages) == sorted(load.acknowledged)
