"""Everything that can happen to a pair, in an order that chance decides, under load: nothing acknowledged is lost.

Kills of one node and of all, cuts of each connection between clients, slave and master, and a disk that fills. At the
end the slave's log equals its master's.
"""

import os
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import trio

from tests.cluster.profiles import write_profile
from tests.cluster.steady_load import Load, check_nothing_lost
from tests.cluster.test_endurance import fill
from tests.cutting_proxy import Cutter, open_cutter
from tests.ports import free_port

SEED: Final = int(os.environ.get("RMQCTL_CAMPAIGN_SEED", random.randrange(1 << 30)))
"""A failure prints it; the variable repeats the order of the faults."""

QUEUES: Final = 4
ACKNOWLEDGED_BETWEEN: Final = 50
HEALED_SECONDS: Final = 90.0

SHORT: Final = {"kill one": 6, "kill all": 2, "cut": 8, "fill the disk": 1}
LONG: Final = {"kill one": 230, "kill all": 30, "cut": 300, "fill the disk": 20}


class Campaign:
    """One pair under load, with what is done to it."""

    def __init__(self, cli: Any, disk: Path, chance: random.Random) -> None:
        self._cli = cli
        self._disk = disk
        self._chance = chance
        self.cutters: list[Cutter] = []

    def _pids(self) -> list[int]:
        return [pid for pid in self._cli.pids().values() if pid is not None]

    async def do(self, fault: str) -> None:
        """One fault; returns when its cause is over."""
        if fault == "cut":
            return self._chance.choice(self.cutters).cut()
        if fault == "fill the disk":
            return await self._fill_disk()
        pids = await trio.to_thread.run_sync(self._pids)
        for pid in pids if fault == "kill all" else [self._chance.choice(pids)]:
            os.kill(pid, signal.SIGKILL)

    async def _fill_disk(self) -> None:
        ballast = await trio.to_thread.run_sync(fill, self._disk)
        if self._chance.random() < 0.5:
            await self.do("kill one")
        # Whatever the nodes and their supervisor write meanwhile fails.
        await trio.sleep(self._chance.uniform(0.1, 1.0))
        ballast.unlink()


@pytest.mark.parametrize("small_disk", [600], indirect=True)
@pytest.mark.parametrize(
    "faults", [SHORT, pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(3600)])], ids=["short", "long"]
)
async def test_nothing_acknowledged_is_lost_by_kills_cuts_and_full_disks(
    cli: Any, small_disk: Path, tmp_path: Path, faults: dict[str, int]
) -> None:
    chance = random.Random(SEED)
    order = list(Counter(faults).elements())
    chance.shuffle(order)
    cli.home = small_disk / "home"
    cli.environment["RMQCTL_HOME"] = str(cli.home)
    campaign = Campaign(cli, small_disk, chance)
    master = 10911 + cli.port_offset
    proxy = free_port()
    async with AsyncExitStack() as stack:
        # To the slave the proxy is its master: its HA port, and below it the port where it asks for the log's ends.
        for listen, target in ((proxy, master), (proxy + 1, master + 1)):
            campaign.cutters.append(await stack.enter_async_context(open_cutter(listen, target)))
        more = (
            "[properties.brokers]\nmappedFileSizeCommitLog = 16777216\nmappedFileSizeConsumeQueue = 60000\n"
            f'[properties.nodes.broker-a-1]\nhaMasterAddress = "127.0.0.1:{proxy + 1}"\n'
        )
        profile = write_profile(tmp_path, slaves=1, more=more)
        up = await trio.to_thread.run_sync(cli.up, "--profile", profile)
        assert (
            await trio.to_thread.run_sync(cli.run, "topic", "create", "orders", "--queues", str(QUEUES))
        ).returncode == 0
        load = Load(up["nameserver"], QUEUES, remap={f"127.0.0.1:{master}": f"127.0.0.1:{proxy}"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            for number, fault in enumerate(order):
                try:
                    await load.wait_for_more(ACKNOWLEDGED_BETWEEN, HEALED_SECONDS)
                except trio.TooSlowError:
                    before = order[max(0, number - 3) : number]
                    pytest.fail(f"seed {SEED}: no send succeeds any more, fault {number}, after {before}")
                await campaign.do(fault)
            await load.wait_for_more(ACKNOWLEDGED_BETWEEN, HEALED_SECONDS)
            nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(_wait_in_sync, cli)
    print(f"seed {SEED}: {faults}, {len(load.acknowledged)} messages acknowledged")
    await trio.to_thread.run_sync(check_nothing_lost, cli, load)
    _check_logs_are_equal(cli)
    down = await trio.to_thread.run_sync(cli.run, "down")
    assert down.returncode == 0, down.stderr
    assert not [process for process in cli.leftover() if process.status() != psutil.STATUS_ZOMBIE]


def _wait_in_sync(cli: Any) -> None:
    done = cli.run("wait", "--timeout", "60")
    assert done.returncode == 0, f"seed {SEED}: {done.stderr}"


def _check_logs_are_equal(cli: Any) -> None:
    master, slave = (
        sorted((cli.home / "rmqctl" / node / "store" / "commitlog").iterdir()) for node in ("broker-a-0", "broker-a-1")
    )
    assert [file.name for file in master] == [file.name for file in slave]
    for ours, theirs in zip(master, slave, strict=True):
        assert ours.read_bytes() == theirs.read_bytes(), f"seed {SEED}: {ours.name} differs"
