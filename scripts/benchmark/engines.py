"""The engines that are measured, one column of the table each.

An engine brings a cluster of a profile up and says which processes belong to it. How something is measured is not
known here.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from rmqctl.profile.schema import ENGINES

PORT_OFFSET = 15_000
"""Away from a cluster that runs with the usual ports, below the range for outgoing connections."""

COMMAND_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class RunningCluster:
    """A cluster that is up."""

    nameserver: str
    """Address of the nameservers, `ip:port;ip:port`."""
    masters: dict[str, tuple[str, int]]
    """Node name of each master to its address and process id."""
    slaves: list[str]
    """Addresses of the slaves."""
    pids: frozenset[int]
    """Every process that was started for it."""
    up_seconds: float
    """From the command's start until it had ended, all brokers being routed."""
    down_seconds: list[float] = field(default_factory=list)
    """Of the whole command; there when the cluster is down."""


class Engine(Protocol):
    """One column: a way to run a cluster."""

    name: str

    def cluster(self, profile: str, home: Path) -> AbstractContextManager[RunningCluster]:
        """Run a cluster of the profile below the empty folder `home` for the length of the block."""
        ...


class CommandLineEngine:
    """An engine of rmqctl, through the real command line.

    Args:
        name: As `--engine` takes it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @contextmanager
    def cluster(self, profile: str, home: Path) -> Iterator[RunningCluster]:
        """Run a cluster of the profile below the empty folder `home` for the length of the block."""
        where = ("--home", str(home), "--json")
        what = ("--profile", profile, "--engine", self.name)
        started = time.monotonic()
        up = _rmqctl("up", *where, *what, "--broker-ip", "127.0.0.1", "--port-offset", str(PORT_OFFSET))
        seconds = time.monotonic() - started
        try:
            nodes = {node["name"]: node for node in up["nodes"]}
            masters = {name: (node["address"], node["pid"]) for name, node in nodes.items() if node["role"] == "master"}
            slaves = [node["address"] for node in nodes.values() if node["role"] == "slave"]
            pids = _all_processes(home, [node["pid"] for node in nodes.values()])
            running = RunningCluster(up["nameserver"], masters, slaves, pids, seconds)
            yield running
            started = time.monotonic()
            _rmqctl("down", *where)
            running.down_seconds.append(time.monotonic() - started)
        except BaseException:
            _rmqctl("down", *where)
            raise


def engines(names: Sequence[str] = ENGINES) -> list[Engine]:
    """The columns of the table, from left to right; what they need is fetched before anything is measured."""
    if "apache" in names:
        _rmqctl("engine", "install", "apache", "--json")
    return [CommandLineEngine(name) for name in names]


def wait_for_another_pid(home: Path, node: str, pid: int) -> int:
    """The process of a node once it is not `pid` any more."""
    deadline = time.monotonic() + COMMAND_TIMEOUT_SECONDS
    (record,) = home.glob("*/supervisor.json")
    while time.monotonic() < deadline:
        found = json.loads(record.read_text())["nodes"].get(node, {"pid": pid})["pid"]
        if found != pid:
            return int(found)
        time.sleep(0.01)
    raise RuntimeError(f"{node} did not come back")


def _all_processes(home: Path, nodes: list[int]) -> frozenset[int]:
    """The nodes, the process they were forked from, and the supervisor."""
    (record,) = home.glob("*/supervisor.json")
    supervisor: int = json.loads(record.read_text())["supervisor"]["pid"]
    forked_from = {psutil.Process(pid).ppid() for pid in nodes}
    return frozenset({supervisor, *nodes, *forked_from} - {0, 1})


def _rmqctl(*arguments: str) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-P", "-m", "rmqctl", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"rmqctl {' '.join(arguments)}: exit code {result.returncode}\n{result.stderr}")
    return dict(json.loads(result.stdout))
