"""Delayed, half and retried messages in a store that goes from one engine to the other and back, with clean stops."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.java import require_apache
from tests.interop.message_client import COMMIT, ROLLBACK, TOPIC, UNKNOWN, MessageClient, eventually, message_client
from tests.interop.store_brokers import StoreBroker
from tests.ports import free_port

EACH = 20
SOON, LATE = "1", "3"
"""Delay levels: due while the broker lives, and due only after the next one has started."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[StoreBroker]:
    require_apache("4.5.2")
    properties = {
        "messageDelayLevel": "1s 2s 12s",
        "transactionTimeOut": "1000",
        "transactionCheckInterval": "1000",
        "transactionCheckMax": "100",
        "flushDelayOffsetInterval": "200",
    }
    broker = StoreBroker(tmp_path / "broker", free_port(), properties=properties)
    yield broker
    broker.close()


class Ledger:
    """What a client did to the store, whichever engine served it."""

    def __init__(self) -> None:
        self.expected: Counter[bytes] = Counter()
        self.retried: Counter[bytes] = Counter()
        self.later: set[bytes] = set()

    def decide(self, body: bytes) -> int:
        """Half messages left open are decided when the other engine asks about them."""
        if body in self.later:
            return UNKNOWN
        return COMMIT if b"commit" in body else ROLLBACK

    async def leave_work(self, client: MessageClient, name: str) -> None:
        """Leave behind what the next engine has to finish."""
        for number in range(EACH):
            late, soon = f"{name} late {number}".encode(), f"{name} soon {number}".encode()
            await client.send(late, DELAY=LATE)
            await client.send(soon, DELAY=SOON)
            for fate in (b"commit", b"rollback"):
                half = await client.prepare(b"%s now %s %d" % (name.encode(), fate, number))
                await client.end(half, COMMIT if fate == b"commit" else ROLLBACK)
                opened = b"%s later %s %d" % (name.encode(), fate, number)
                self.later.add(opened)
                await client.prepare(opened)
            now, later = (f"{name} {when} commit {number}".encode() for when in ("now", "later"))
            self.expected.update((late, soon, now, later))
        retried = f"{name} retried".encode()
        await client.send(retried, topic="failing")
        failed = [message for message in await client.pull_all("failing") if message.body == retried]
        await client.send_back(failed[0], int(LATE))
        self.retried[retried] += 1
        await client.wait_for(body for body in self.expected if b" soon " in body or b" now " in body)

    async def check(self, client: MessageClient) -> None:
        """Everything came, and nothing twice; the open transactions were asked about and decided."""
        self.later.clear()
        await client.wait_for(self.expected)
        await client.wait_for(self.retried, "%RETRY%g")
        assert Counter(message.body for message in await client.pull_all()) == self.expected
        assert Counter(message.body for message in await client.pull_all("%RETRY%g")) == self.retried


async def wait_until_noted(broker: StoreBroker, client: MessageClient, *levels: str) -> None:
    """Wait until the file says that all messages of these levels were delivered.

    4.5.2 writes it now and then only, not when it stops, and what it has not noted comes again.
    """
    path = broker.store / "config" / "delayOffset.json"

    async def are_noted() -> bool:
        scheduled = {level: await client.max_offset("SCHEDULE_TOPIC_XXXX", int(level) - 1) for level in levels}
        return all(delivered(path).get(level, 0) >= count for level, count in scheduled.items())

    await eventually(are_noted)


def delivered(path: Path) -> dict[str, int]:
    """Delay level to delivered messages; the keys of Java's map are bare numbers."""
    try:
        return {level: int(count) for level, count in re.findall(r'"?(\d+)"?:(\d+)', path.read_text())}
    except OSError:
        return {}


@pytest.mark.parametrize("first", ["apache", "embedded"])
async def test_each_engine_finishes_what_the_other_left_and_repeats_nothing(broker: StoreBroker, first: str) -> None:
    second = "embedded" if first == "apache" else "apache"
    ledger = Ledger()
    for turn, engine in enumerate((first, second, first)):
        broker.start(engine)
        async with message_client(broker.address, ledger.decide) as client:
            if turn == 0:
                await client.create_topic(TOPIC)
                await client.create_topic("failing")
            else:
                await ledger.check(client)
                await wait_until_noted(broker, client, SOON, LATE)
            if turn < 2:
                await ledger.leave_work(client, f"{engine} {turn}")
                await wait_until_noted(broker, client, SOON)
        broker.stop(kill=False)
