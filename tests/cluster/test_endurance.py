"""What a supervisor goes through in its life: many kills, two at a time, a disk that fills."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from rmqctl.errors import UnreachableError
from rmqctl.home import ClusterHome
from rmqctl.supervisor.control.client import ask_status
from rmqctl.supervisor.messages import StatusReport
from tests.cluster.profiles import write_profile

WaitUntil = Callable[..., None]

HEALTHY_SECONDS = 0.3
WARM_UP_KILLS_MAX = 50
"""The first kills fill caches: memory grows during some twenty of them, and then no more."""
GROWTH_MIB_MAX = 2.0

SUPERVISION = f"""
[supervision]
retry_seconds_max = 0.3
healthy_seconds = {HEALTHY_SECONDS}
health_interval_seconds = 0.5
"""


def status_of(cli: Any) -> StatusReport | None:
    """Asked without a process of its own: this test asks thousands of times."""
    try:
        return ask_status(ClusterHome(cli.home, "rmqctl"), timeout_seconds=30)
    except UnreachableError:
        return None


def healthy_pids(cli: Any) -> dict[str, int] | None:
    """Pid of every node once all of them serve and have their failures forgotten."""
    report = status_of(cli)
    if report is None or report.state != "running":
        return None
    pids = {}
    for node in report.nodes:
        # It was ready a little after it was started.
        if node.pid is None or (node.uptime_seconds or 0) < HEALTHY_SECONDS + 0.5:
            return None
        pids[node.name] = node.pid
    return pids


class Figures:
    """What a supervisor and its zygote hold."""

    def __init__(self, supervisor: psutil.Process) -> None:
        (zygote,) = supervisor.children()
        both = (supervisor, zygote)
        self.descriptors = [process.num_fds() for process in both]
        self.threads = [process.num_threads() for process in both]
        self.memory_mib = [process.memory_full_info().uss / (1 << 20) for process in both]

    def __str__(self) -> str:
        memory = ", ".join(f"{mib:.1f}" for mib in self.memory_mib)
        return f"descriptors {self.descriptors}, threads {self.threads}, USS {memory} MiB (supervisor, zygote)"


def endure(cli: Any, wait_until: WaitUntil, kills: int, victims_at_once: int) -> None:
    """Kill nodes, wait until all serve again, and compare what the supervisor holds at the begin and at the end."""
    supervisor = psutil.Process(cli.record()["supervisor"]["pid"])
    chance = random.Random(1)
    first: Figures | None = None
    found: dict[str, int] = {}
    killed: set[int] = set()

    def is_whole() -> bool:
        found.clear()
        found.update(healthy_pids(cli) or {})
        # The supervisor hears of a kill a moment after it.
        return bool(found) and killed.isdisjoint(found.values())

    for number in range(kills):
        wait_until(is_whole, f"the cluster is whole before kill {number}")
        if number == min(WARM_UP_KILLS_MAX, kills // 2):
            first = Figures(supervisor)
        killed = set(chance.sample(sorted(found.values()), victims_at_once))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
    wait_until(is_whole, "the cluster is whole at the end")
    assert first is not None
    descriptors = first.descriptors
    # A health check or a question for the status may have a connection open just now.
    wait_until(lambda: Figures(supervisor).descriptors <= descriptors, f"descriptors are {descriptors} again")
    last = Figures(supervisor)
    print(f"{kills} times {victims_at_once} kills: {first} became {last}")
    assert last.threads == first.threads
    growth = [after - before for before, after in zip(first.memory_mib, last.memory_mib, strict=True)]
    assert max(growth) < GROWTH_MIB_MAX, f"{first} became {last}"
    report = status_of(cli)
    assert report is not None
    assert sum(node.restarts or 0 for node in report.nodes) == kills * victims_at_once
    assert len(cli.processes()) == len(report.nodes) + 2


@pytest.mark.parametrize(
    ("kills", "victims_at_once"),
    [
        (25, 1),
        (15, 2),
        pytest.param(500, 1, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_cluster_is_whole_after_every_kill_and_the_supervisor_does_not_grow(
    cli: Any, tmp_path: Path, wait_until: WaitUntil, kills: int, victims_at_once: int
) -> None:
    cli.up("--profile", write_profile(tmp_path, slaves=1, supervision=SUPERVISION))
    endure(cli, wait_until, kills, victims_at_once)
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


def fill(folder: Path) -> Path:
    """Fill a disk to its last byte; returns the file that does it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


@pytest.mark.parametrize("small_disk", [48], indirect=True)
def test_disk_that_fills_ends_no_supervisor_and_nodes_come_back_when_there_is_room(
    cli: Any, small_disk: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    cli.home = small_disk / "home"
    cli.environment["RMQCTL_HOME"] = str(cli.home)
    more = "[properties.brokers]\nmappedFileSizeCommitLog = 8388608\nmappedFileSizeConsumeQueue = 60000\n"
    cli.up("--profile", write_profile(tmp_path, slaves=1, supervision=SUPERVISION, more=more))
    supervisor = cli.record()["supervisor"]["pid"]
    ballast = fill(small_disk)
    report = status_of(cli)
    assert report is not None
    for node in report.nodes:
        assert node.pid is not None
        os.kill(node.pid, signal.SIGKILL)

    def has_settled() -> bool:
        now = status_of(cli)
        return now is not None and all(node.state in ("ready", "failed") for node in now.nodes)

    wait_until(has_settled, "every node serves again or was given up")
    assert psutil.pid_exists(supervisor)
    ballast.unlink()
    assert cli.run("start", "--role", "nameserver").returncode == 0
    assert cli.run("start", "--role", "broker").returncode == 0
    assert cli.run("wait").returncode == 0
    record = cli.record()
    assert record["supervisor"]["pid"] == supervisor
    # Whatever was not written while the disk was full is written with the next change.
    pid = cli.pids()["broker-a-1"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: cli.run("wait").returncode == 0 and cli.pids()["broker-a-1"] != pid, "the slave is back")
    assert {name: node["pid"] for name, node in cli.record()["nodes"].items()} == cli.pids()
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []
