"""A disk with 0 bytes free: a broker that crashes there comes back, says so, and takes messages when there is room."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import trio

from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.run import EXIT_TEMPORARY
from tests.cluster.conftest import Cli, WaitUntil
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


# --- a whole cluster on such a disk -------------------------------------------------------------------------------


@pytest.fixture
def full_cli(disk: Path) -> Iterator[Cli]:
    """A CLI whose home is on the small disk; nothing of it may be left at the end."""
    made = Cli(disk / "home")
    yield made
    left = made.processes()
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
def test_a_cluster_on_a_full_disk_obeys_every_command_tells_its_limit_and_heals(
    full_cli: Cli, disk: Path, wait_until: WaitUntil
) -> None:
    cli = full_cli
    small = ["--set", f"mappedFileSizeCommitLog={8 * _MIB}", "--set", "diskSpaceWarningLevelRatio=100"]
    cli.up("--profile", "single", *small, "--set", "mappedFileSizeConsumeQueue=20000")
    assert cli.run("topic", "create", "orders", "--queues", "1").returncode == 0
    assert cli.run("send", "orders", "first").returncode == 0
    assert cli.run("down").returncode == 0
    ballast = fill_up(disk)

    up = cli.run("up")
    assert up.returncode == 0, up.stderr
    assert f"broker-a-0 is limited by disk: no space left in {disk}" in up.stderr

    def is_limited() -> bool:
        return [node["state"] for node in cli.status()["nodes"]] == ["ready", "limited"]

    wait_until(is_limited, "status tells the limit", 20)
    status = cli.run("status")
    assert status.returncode == 1
    assert f"broker-a-0 is limited by disk: no space left in {disk}" in status.stdout
    (broker,) = (node for node in cli.status()["nodes"] if node["role"] == "master")
    assert list(broker["limits"]) == ["disk"]
    assert f"file system {disk}, 0 of " in broker["limits"]["disk"]

    for command in (
        ["kill", "broker-a-0"],
        ["restart", "nameserver-0", "broker-a-0"],
        ["stop", "broker-a-0"],
        ["start", "broker-a-0"],
    ):
        done = cli.run(*command)
        assert done.returncode == 0, (command, done.stderr)
        wait_until(lambda: cli.status()["nodes"][1]["state"] in ("limited", "ready", "stopped"), "it is settled")
    pids = [node["pid"] for node in cli.status()["nodes"]]
    recorded = cli.record()["nodes"]
    assert {recorded[name]["pid"] for name in ("nameserver-0", "broker-a-0")} <= {*pids, None}
    scaled = cli.run("scale", "--slaves", "1")
    assert scaled.returncode == 1
    assert "No space left on device" in scaled.stderr
    assert f"file system {disk}, 0 of " in scaled.stderr
    assert cli.run("tail", "orders", "--from", "earliest", "-n", "1").stdout.count("first") == 1

    ballast.unlink()
    wait_until(lambda: cli.status()["state"] == "running", "it heals by itself", 20)
    assert cli.run("status").returncode == 0
    assert cli.run("send", "orders", "second").returncode == 0
    assert cli.run("restart", "broker-a-0", "--no-drain").returncode == 0
    events = cli.run("events").stdout
    assert "broker-a-0 is no longer limited by disk" in events
    assert "not written: the disk was full" in events
    assert cli.run("down").returncode == 0


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
def test_a_broker_without_a_store_waits_for_room_and_up_says_what_it_waits_for(
    cli: Cli, disk: Path, wait_until: WaitUntil
) -> None:
    ballast = fill_up(disk)
    place = [*cli.place(), "--set", f"storePathRootDir={disk}/store"]
    up = cli.run("up", *place, "--timeout", "4")
    assert up.returncode == 4
    assert "broker-a-0 did not become ready within 4 s" in up.stderr
    assert "exit code 75" in up.stderr
    assert "No space left on device" in up.stderr
    assert cli.leftover() == []
    coming = cli.start("up", *place)
    wait_until(lambda: cli.status()["nodes"][1]["state"] == "backoff", "it waits for its next try")
    ballast.unlink()
    _, said = coming.communicate(timeout=60)
    assert coming.returncode == 0, said
    assert cli.run("down").returncode == 0
