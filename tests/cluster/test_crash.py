"""A broker that is killed under load: what it acknowledged is there when it is back, once and in order."""

import json
import os
import signal
from typing import Any

import trio

from rmqctl.client import ClientError, Producer
from rmqnode.protocol.bodies import MessageQueue

QUEUES = 4
KILLS = 3
ACKNOWLEDGED_BETWEEN_KILLS = 400

Position = tuple[int, int]


class Load:
    """One producer for each queue; every message says which it is, and none is sent twice."""

    def __init__(self, nameserver: str) -> None:
        self._nameserver = nameserver
        self.acknowledged: dict[Position, str] = {}
        self.sent = 0
        self._acknowledged = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        """Send until cancelled."""
        async with Producer("load", nameserver=self._nameserver) as producer, trio.open_nursery() as nursery:
            for queue_id in range(QUEUES):
                nursery.start_soon(self._fill, producer, queue_id)

    async def wait_for_more(self, count: int) -> None:
        """Wait until so many more messages were acknowledged."""
        target = len(self.acknowledged) + count
        with trio.fail_after(30):
            while len(self.acknowledged) < target:
                await self._acknowledged.park()

    async def _fill(self, producer: Producer, queue_id: int) -> None:
        queue = MessageQueue(topic="orders", broker_name="broker-a", queue_id=queue_id)
        number = 0
        while True:
            body = f"{queue_id}:{number}"
            number += 1
            self.sent += 1
            try:
                result = await producer.send("orders", body, queue=queue)
            except ClientError:
                await trio.sleep(0.02)  # the broker is down: do not ask all the time whether it is back
            else:
                self.acknowledged[result.queue_id, result.queue_offset] = body
                self._acknowledged.unpark_all()


async def test_every_acknowledged_message_survives_a_killed_broker_once_and_in_order(cli: Any) -> None:
    nameserver = cli.up("--profile", "single")["nameserver"]
    assert cli.run("topic", "create", "orders", "--queues", str(QUEUES)).returncode == 0
    load = Load(nameserver)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        for _ in range(KILLS):
            await load.wait_for_more(ACKNOWLEDGED_BETWEEN_KILLS)
            os.kill((await trio.to_thread.run_sync(cli.pids))["broker-a-0"], signal.SIGKILL)
        await load.wait_for_more(ACKNOWLEDGED_BETWEEN_KILLS)
        nursery.cancel_scope.cancel()

    stored = all_messages(cli)
    assert load.acknowledged.items() <= stored.items()
    assert len(set(stored.values())) == len(stored) <= load.sent
    for queue_id in range(QUEUES):
        bodies = [body for (queue, _), body in sorted(stored.items()) if queue == queue_id]
        assert bodies == sorted(bodies, key=lambda body: int(body.partition(":")[2]))
        assert [offset for queue, offset in sorted(stored) if queue == queue_id] == list(range(len(bodies)))


def all_messages(cli: Any) -> dict[Position, str]:
    """Every message of the topic, as `tail` shows it: body by queue id and offset."""
    queues = json.loads(cli.run("topic", "describe", "orders", "--json").stdout)["queues"]
    count = sum(queue["max_offset"] for queue in queues)
    tailed = cli.run("tail", "orders", "--from", "earliest", "-n", str(count), "--json")
    messages = [json.loads(line) for line in tailed.stdout.splitlines()]
    assert len(messages) == count
    return {(message["queue_id"], message["queue_offset"]): message["body"] for message in messages}
