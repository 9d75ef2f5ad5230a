"""A producer that sends all the time and keeps what was acknowledged, to be compared with what is stored."""

import json
from collections.abc import Mapping
from typing import Any

import trio

from rmqctl.client import ClientError, Producer
from rmqnode.protocol.bodies import MessageQueue

Position = tuple[int, int]
"""Queue id and queue offset."""


class Load:
    """One producer for each queue; every message says which it is, and none is sent twice."""

    def __init__(self, nameserver: str, queues: int, remap: Mapping[str, str] | None = None) -> None:
        self._nameserver = nameserver
        self._queues = queues
        self._remap = remap
        self.acknowledged: dict[Position, str] = {}
        self.sent = 0
        self._acknowledged = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        """Send until cancelled."""
        async with (
            Producer("load", nameserver=self._nameserver, remap=self._remap) as producer,
            trio.open_nursery() as nursery,
        ):
            for queue_id in range(self._queues):
                nursery.start_soon(self._fill, producer, queue_id)

    async def wait_for_more(self, count: int, seconds: float = 30) -> None:
        """Wait until so many more messages were acknowledged."""
        target = len(self.acknowledged) + count
        with trio.fail_after(seconds):
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


def all_messages(cli: Any) -> dict[Position, str]:
    """Every message of the topic, as `tail` shows it: body by queue id and offset."""
    queues = json.loads(cli.run("topic", "describe", "orders", "--json").stdout)["queues"]
    count = sum(queue["max_offset"] for queue in queues)
    tailed = cli.run("tail", "orders", "--from", "earliest", "-n", str(count), "--json")
    messages = [json.loads(line) for line in tailed.stdout.splitlines()]
    assert len(messages) == count
    return {(message["queue_id"], message["queue_offset"]): message["body"] for message in messages}


def check_nothing_lost(cli: Any, load: Load) -> None:
    """What was acknowledged is stored where it was said to be; nothing is there twice; each queue is in order."""
    stored = all_messages(cli)
    missing = load.acknowledged.items() - stored.items()
    assert not missing, (
        f"{len(missing)} of {len(load.acknowledged)} acknowledged messages are lost: {sorted(missing)[:5]}"
    )
    assert len(set(stored.values())) == len(stored) <= load.sent
    for queue_id in {queue for queue, _ in stored}:
        bodies = [body for (queue, _), body in sorted(stored.items()) if queue == queue_id]
        assert bodies == sorted(bodies, key=lambda body: int(body.partition(":")[2]))
        assert [offset for queue, offset in sorted(stored) if queue == queue_id] == list(range(len(bodies)))
