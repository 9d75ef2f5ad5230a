"""A disk with 0 bytes free: a broker that crashes there comes back, says so, and takes messages when there is room."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.run import EXIT_TEMPORARY
from tests.interop.store_brokers import StoreBroker, StoreClient, with_client
from tests.ports import free_port

_MIB = 1024 * 1024


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MiB of each of two file systems, which treat space differently."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    if request.param == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    else:
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(40 * _MIB)
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("mkfs.ext4 not found on the PATH")
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
        command = ["mount", "-o", "loop", str(image), str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def broker(disk: Path) -> Iterator[StoreBroker]:
    """A broker on that disk; killed at the end."""
    properties = {"mappedFileSizeCommitLog": str(_MIB), "maxMessageSize": "500000"}
    properties["diskSpaceWarningLevelRatio"] = "100"
    made = StoreBroker(disk / "broker", free_port(), properties=properties)
    # The log of a real node copes with a full disk; that of this one must not be what is tested.
    made.log = disk.parent / "node.log"
    yield made
    made.close()


def fill_up(disk: Path) -> Path:
    """Leave 0 bytes free; returns the file to delete."""
    ballast = disk / "ballast"
    with ballast.open("ab") as file:
        for size in (_MIB, 4096, 512, 1):
            with suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(size))
    assert os.statvfs(disk).f_bavail == 0
    return ballast


async def send(client: StoreClient, queue_id: int, body: bytes) -> Command:
    fields = {"a": "pg", "b": "t", "c": "TBW102", "d": "4", "e": str(queue_id), "f": "0", "g": "1", "h": "0"}
    fields |= {"i": "UNIQ_KEY\x01" + body[:32].hex().upper() + "\x02", "j": "0", "k": "false", "m": "false"}
    return await client.ask(RequestCode.SEND_MESSAGE_V2, fields, body)


async def send_all(client: StoreClient, bodies: list[bytes]) -> None:
    for index, body in enumerate(bodies):
        assert (await send(client, index % 4, body)).code == ResponseCode.SUCCESS


async def bodies_of(client: StoreClient) -> list[bytes]:
    found: list[bytes] = []

    async def read(queue_id: int) -> None:
        found.extend(message.body for message in await client.pull_all("t", queue_id, "*"))

    async with trio.open_nursery() as nursery:
        for queue_id in range(4):
            nursery.start_soon(read, queue_id)
    return sorted(found)


async def limits_of(client: StoreClient) -> dict[str, str]:
    answer = await client.ask(RequestCode.GET_BROKER_RUNTIME_INFO, {})
    return {key: value for key, value in KVTable.decode(answer.body).table.items() if key.startswith("limited.")}


def nothing(broker: StoreBroker) -> None:
    """Leave the store as the crash left it."""


def without_queues(broker: StoreBroker) -> None:
    """Delete what has to be written anew."""
    shutil.rmtree(broker.store / "consumequeue")


def without_queues_and_marks(broker: StoreBroker) -> None:
    """Delete everything but the log."""
    without_queues(broker)
    for name in ("abort", "checkpoint", "coverage"):
        (broker.store / name).unlink(missing_ok=True)
    shutil.rmtree(broker.store / "index", ignore_errors=True)


BODIES = [b"%032d" % index + os.urandom(1500) for index in range(3000)]
"""4.5 MiB: five files of the log."""


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(nothing, marks=pytest.mark.long),
        without_queues,
        pytest.param(without_queues_and_marks, marks=pytest.mark.long),
    ],
)
async def test_a_broker_killed_on_a_full_disk_serves_everything_and_takes_messages_when_there_is_room(
    broker: StoreBroker, disk: Path, damage: Callable[[StoreBroker], None]
) -> None:
    broker.start("embedded")
    await with_client(broker, [], lambda client: send_all(client, BODIES))
    broker.stop(kill=True)
    damage(broker)
    ballast = fill_up(disk)
    for _ in range(2):
        # The second start finds what the first one left, which a kill ends too.
        broker.start("embedded")
        await with_client(broker, [], check_full)
        broker.stop(kill=True)
    broker.start("embedded")
    assert broker.process is not None
    process = broker.process

    async def heal(client: StoreClient) -> None:
        await check_full(client)
        ballast.unlink()
        await wait_taken(client)
        assert await bodies_of(client) == sorted([*BODIES, b"x" * 40_000])
        assert await limits_of(client) == {}

    await with_client(broker, [], heal)
    assert process.poll() is None, "it was not restarted"
    broker.stop(kill=False)
    assert process.returncode == 0
    broker.start("embedded")

    async def check(client: StoreClient) -> None:
        assert await bodies_of(client) == sorted([*BODIES, b"x" * 40_000])

    await with_client(broker, [], check)
    broker.stop(kill=False)


async def check_full(client: StoreClient) -> None:
    """All is read; a message that needs space is refused in Apache's words; the limit is told."""
    assert await bodies_of(client) == sorted(BODIES)
    answer = await send(client, 0, b"y" * 200_000)
    assert answer.code == ResponseCode.SERVICE_NOT_AVAILABLE
    assert answer.remark is not None
    assert answer.remark.startswith("service not available now, maybe disk full, CL:")
    limits = await limits_when(client, is_any=True)
    assert list(limits) == ["limited.disk"]
    assert "/disk, 0 of " in limits["limited.disk"]


async def limits_when(client: StoreClient, *, is_any: bool) -> dict[str, str]:
    """What limits the broker, once something does, or nothing."""
    with trio.fail_after(20):
        while True:
            limits = await limits_of(client)
            if bool(limits) == is_any:
                return limits
            await trio.sleep(0.1)


async def wait_taken(client: StoreClient) -> None:
    with trio.fail_after(20):
        while True:
            with suppress(RemotingError):
                if (await send(client, 0, b"x" * 40_000)).code == ResponseCode.SUCCESS:
                    break
            await trio.sleep(0.1)
    await limits_when(client, is_any=False)


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
async def test_a_first_start_on_a_full_disk_names_the_path_and_asks_to_be_tried_again(
    broker: StoreBroker, disk: Path
) -> None:
    # A tmpfs has room for folders and empty files.
    fill_up(disk)
    broker.start("embedded")
    assert broker.process is not None
    assert broker.process.wait(30) == EXIT_TEMPORARY
    said = broker.log.read_text()
    assert f"can't use {broker.store}" in said
    assert f"No space left on device (file system {disk}, 0 of " in said
