"""Damage on the disk as a user meets it: kill, flip a byte, repair, start; a log that is gone."""

import json
import shutil
from pathlib import Path
from typing import Any

import trio

from rmqctl.client import Producer
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.store.checkpoint import StoreCheckpoint

QUEUES = 4
COUNT = 20_000
PLACE = 3_863_335
"""Byte of the log in whose message a byte is changed."""

_MAGIC = bytes.fromhex("daa320a7")


async def fill(nameserver: str) -> dict[tuple[int, int], str]:
    """Send messages; return the body of each by queue id and queue offset."""
    stored: dict[tuple[int, int], str] = {}
    async with Producer("load", nameserver=nameserver) as producer, trio.open_nursery() as nursery:

        async def fill_queue(queue_id: int) -> None:
            queue = MessageQueue(topic="orders", broker_name="broker-a", queue_id=queue_id)
            for number in range(COUNT // QUEUES):
                body = f"{queue_id}:{number}".ljust(150, ".")
                result = await producer.send("orders", body, queue=queue)
                stored[result.queue_id, result.queue_offset] = body

        for queue_id in range(QUEUES):
            nursery.start_soon(fill_queue, queue_id)
    return stored


def readable(cli: Any, count: int) -> dict[tuple[int, int], str | None]:
    """What a consumer gets: body by queue id and queue offset; None for one that is told to be damaged."""
    tailed = cli.run("tail", "orders", "--from", "earliest", "-n", str(count), "--json")
    messages = [json.loads(line) for line in tailed.stdout.splitlines()]
    found = {(message["queue_id"], message["queue_offset"]): message["body"] for message in messages}
    assert len(found) == len(messages), "something is there twice"
    assert all(message["body_damaged"] is (message["body"] is None) for message in messages)
    return found


def change_byte(path: Path) -> None:
    """Change the first byte of the body of the message that `PLACE` lies in."""
    content = path.read_bytes()
    begin = content.rindex(_MAGIC, 0, PLACE) - 4
    with path.open("r+b") as file:
        file.seek(begin + 88)
        file.write(bytes((content[begin + 88] ^ 0x55,)))


def store_of(cli: Any) -> Path:
    (store,) = cli.home.glob("*/broker-a-0/store")
    return Path(store)


def covers(store: Path, place: int) -> bool:
    """Whether log and queues count as safely on disk there: then a start does not walk over it."""
    coverage = StoreCheckpoint.of(store).coverage
    return coverage is not None and coverage.physical_offset > place


async def test_one_changed_byte_costs_one_message_also_after_a_repair(cli: Any, wait_until: Any) -> None:
    nameserver = cli.up("--profile", "single")["nameserver"]
    assert cli.run("topic", "create", "orders", "--queues", str(QUEUES)).returncode == 0
    stored = await fill(nameserver)
    assert len(stored) == COUNT
    store = store_of(cli)
    wait_until(lambda: covers(store, PLACE), "a checkpoint behind the message")
    assert cli.run("kill", "broker-a-0", "--stay-down").returncode == 0
    log = store / "commitlog" / f"{0:020d}"
    assert len(log.read_bytes().rstrip(b"\0")) > PLACE
    change_byte(log)
    repaired = cli.run("store", "verify", str(store), "--repair", "--yes")
    assert "Traceback" not in repaired.stderr
    started = cli.run("start", "broker-a-0")
    assert started.returncode == 0, started.stderr
    # No start has walked there: the message is sent as it is, and the client tells that it is damaged.
    found = readable(cli, COUNT)
    (damaged,) = (place for place, body in found.items() if body is None)
    assert found == stored | {damaged: None}
    # A start that does walk there steps over it.
    assert cli.run("kill", "broker-a-0", "--stay-down").returncode == 0
    (store / "coverage").unlink()
    started = cli.run("start", "broker-a-0")
    assert started.returncode == 0, started.stderr
    assert readable(cli, COUNT - 1) == {place: body for place, body in stored.items() if place != damaged}
    (marked,) = json.loads((store / "damaged" / "extents.json").read_text())["extents"]
    assert marked["begin"] <= PLACE < marked["end"]
    (part,) = marked["queues"]
    assert (part["queue_id"], part["from_offset"], part["to_offset"]) == (*damaged, damaged[1] + 1)
    # The queue goes on behind the message that is lost, as if it were there.
    sent = cli.run("send", "orders", "after", "--queue", str(damaged[0]), "--json")
    assert sent.returncode == 0, sent.stderr


async def test_a_broker_whose_log_is_gone_does_not_start_empty(cli: Any) -> None:
    cli.up("--profile", "single")
    assert cli.run("topic", "create", "orders", "--queues", "1").returncode == 0
    for number in range(3):
        assert cli.run("send", "orders", f"message {number}").returncode == 0
    assert cli.run("kill", "broker-a-0", "--stay-down").returncode == 0
    store = store_of(cli)
    moved = store.with_name("commitlog-elsewhere")
    (store / "commitlog").rename(moved)
    started = cli.run("start", "broker-a-0")
    assert started.returncode == 1
    assert list((store / "consumequeue" / "orders").iterdir())
    logs = cli.run("logs", "broker-a-0")
    assert "the commit log is gone, but the rest of the store speaks of 3 messages" in logs.stdout
    shutil.move(moved, store / "commitlog")
    assert cli.run("start", "broker-a-0").returncode == 0
    assert len(readable(cli, 3)) == 3
