"""Consumers under load while nodes are killed around them: nothing acknowledged is lost, and they go on."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from rmqctl.client import Client, ClientError, Earliest, Producer, PushConsumer
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import TopicRequestHeader
from tests.clients.stage import Seen, Stage, open_stage, until
from tests.cluster.profiles import write_profile

QUEUES = 2
BETWEEN_FAILURES = 100


class Load:
    """One producer for each queue of both brokers; each message says which it is, and none is sent twice."""

    def __init__(self, nameserver: str) -> None:
        self._nameserver = nameserver
        self.acknowledged: dict[MessageQueue, list[str]] = {
            MessageQueue(topic="orders", broker_name=f"broker-{letter}", queue_id=queue_id): []
            for letter in "ab"
            for queue_id in range(QUEUES)
        }

    async def run(self, stop: trio.Event) -> None:
        """Send until told to stop."""
        async with (
            Client(self._nameserver) as client,
            Producer("load", client=client) as producer,
            trio.open_nursery() as nursery,
        ):
            for queue in self.acknowledged:
                nursery.start_soon(self._fill, producer, queue, stop)

    async def wait_for_more(self, count: int) -> None:
        """Wait until so many more messages of each queue were acknowledged."""
        targets = {queue: len(bodies) + count for queue, bodies in self.acknowledged.items()}
        await until(lambda: all(len(self.acknowledged[queue]) >= targets[queue] for queue in targets), "more sent", 60)

    async def _fill(self, producer: Producer, queue: MessageQueue, stop: trio.Event) -> None:
        number = 0
        while not stop.is_set():
            body = f"{queue.broker_name}:{queue.queue_id}:{number}"
            number += 1
            try:
                await producer.send("orders", body, queue=queue)
            except ClientError:
                await trio.sleep(0.05)
                with suppress(ClientError):
                    # The route may lack the broker that was just away, and lead to the other one only.
                    await producer.client.routes.refresh("orders")
            else:
                self.acknowledged[queue].append(body)
                await trio.sleep(0.002)


async def test_consumers_go_on_when_brokers_and_nameservers_come_and_go(cli: Any) -> None:
    nameserver = cli.up("--profile", "2m-noslave")["nameserver"]
    assert cli.run("topic", "create", "orders", "--queues", str(QUEUES)).returncode == 0
    load, stop = Load(nameserver), trio.Event()
    concurrent, orderly = Seen(), Seen()
    async with (
        PushConsumer("concurrent", nameserver=nameserver, start=Earliest()) as one,
        PushConsumer("orderly", nameserver=nameserver, start=Earliest(), orderly=True) as two,
        trio.open_nursery() as nursery,
    ):
        for member, seen in ((one, concurrent), (two, orderly)):
            await member.subscribe("orders")
            await nursery.start(member.run, seen)
        nursery.start_soon(load.run, stop)
        await load.wait_for_more(BETWEEN_FAILURES)
        for node in ("broker-a-0", "broker-b-0"):
            os.kill((await trio.to_thread.run_sync(cli.pids))[node], signal.SIGKILL)
            await load.wait_for_more(BETWEEN_FAILURES)
        await command(cli, "stop", "nameserver-0", "nameserver-1")
        await load.wait_for_more(BETWEEN_FAILURES)
        before = len(concurrent.messages), len(orderly.messages)
        await until(lambda: len(concurrent.messages) > before[0] and len(orderly.messages) > before[1], "consumption")
        await command(cli, "start", "nameserver-0", "nameserver-1")
        os.kill((await trio.to_thread.run_sync(cli.pids))["broker-a-0"], signal.SIGKILL)
        await load.wait_for_more(BETWEEN_FAILURES)
        stop.set()
        acknowledged = {body for bodies in load.acknowledged.values() for body in bodies}
        for seen in (concurrent, orderly):
            await until(lambda seen=seen: acknowledged <= set(seen.bodies), "all that was acknowledged", 60)  # type: ignore[misc]
        one.stop()
        two.stop()
    for queue, bodies in orderly.by_queue().items():
        if queue.topic == "orders":
            numbers = [int(body.split(":")[2]) for body in dict.fromkeys(bodies)]
            assert numbers == sorted(numbers), queue
    assert orderly.most_at_once_in_a_queue == 1
    await command(cli, "down")


async def command(cli: Any, *words: str) -> None:
    done = await trio.to_thread.run_sync(cli.run, *words)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def pair(cli: Any, tmp_path: Path) -> Iterator[Any]:
    """A master with a slave."""
    document = cli.up("--profile", write_profile(tmp_path, brokers=1, slaves=1))
    assert cli.run("topic", "create", "orders", "--queues", str(QUEUES)).returncode == 0
    cli.nameserver = document["nameserver"]
    yield cli
    assert cli.run("down").returncode == 0


async def wait_until_slave_knows_topic(stage: Stage) -> None:
    """A slave takes its master's tables over every 10 s."""
    (broker,) = (await stage.client.routes.refresh("orders")).brokers
    header = TopicRequestHeader(topic="orders")
    either = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.TOPIC_NOT_EXIST)})
    with trio.fail_after(30):
        while True:
            code = RequestCode.GET_TOPIC_STATS_INFO
            answer = await stage.client.connection.ask_broker(
                broker.broker, broker.addresses[1], code, header, success=either
            )
            if answer.code == ResponseCode.SUCCESS:
                return
            await trio.sleep(0.1)


async def test_a_slave_serves_consumers_while_its_master_is_away(pair: Any) -> None:
    seen = Seen()
    async with open_stage(pair.nameserver) as stage:
        sent = [f"m{number}" for number in range(50)]
        await stage.send("orders", sent)
        await until(lambda: pair.status()["replication"][0]["sync_state"] == "in_sync", "a slave in sync", 30)
        await wait_until_slave_knows_topic(stage)
        await command(pair, "stop", "broker-a-0")
        async with (
            PushConsumer("readers", nameserver=pair.nameserver, start=Earliest()) as member,
            trio.open_nursery() as nursery,
        ):
            await member.subscribe("orders")
            nursery.start_soon(member.run, seen)
            await seen.wait_for(50)
            await command(pair, "start", "broker-a-0")
            await stage.client.routes.refresh("orders")
            await stage.send("orders", ["after the master was back"])
            await seen.wait_for(51)
            # A master knows nothing of the offsets that its slave was told.
            await stage.wait_until_committed("readers", "orders")
            member.stop()
    assert set(seen.bodies) == {*sent, "after the master was back"}
