"""The clusters that official clients are set upon: ours, through the real CLI, and Apache's own nodes.

Responsible for naming the engines under test and for bringing one cluster up and down. `RMQCTL_INTEROP_ENGINES`
(comma-separated, default `embedded`) chooses the engines; `apache` needs Java and Maven.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.apache_nodes import apache_cluster, is_free
from tests.interop.toolchains import require_tools

UP_TIMEOUT_SECONDS = 60
# The plan of 2m-2s uses these ports plus the offset. Offsets end where the kernel's range for outgoing
# connections begins.
NAMESERVER_PORTS = (9876, 9877)
BROKER_PORTS = tuple(port + side for port in (10911, 10921, 10931, 10941) for side in (-2, 0, 1))
PORT_OFFSETS = range(10_000, 21_700, 100)


@dataclass(frozen=True)
class Cluster:
    """A running cluster with two masters, as its clients see it."""

    engine: str
    nameserver_address: str
    slaves: bool
    """Whether each master has a slave, with broker id 1."""


def engines() -> list[str]:
    """The engines to test, in the order given by the environment."""
    return os.environ.get("RMQCTL_INTEROP_ENGINES", "embedded").split(",")


def running_cluster(engine: str, home: Path) -> AbstractContextManager[Cluster]:
    """Run a cluster of the engine below the folder `home` for the length of a block."""
    if engine == "embedded":
        return _embedded_cluster(home)
    if engine == "apache":
        require_tools("java", "mvn")
        return _cluster_of_apache(home)
    raise ValueError(f"RMQCTL_INTEROP_ENGINES: expected embedded or apache, found {engine!r}")


@contextmanager
def _cluster_of_apache(home: Path) -> Iterator[Cluster]:
    with apache_cluster(home, nameservers=2, masters=2) as cluster:
        yield Cluster("apache", cluster.nameserver_address, slaves=False)


@contextmanager
def _embedded_cluster(home: Path) -> Iterator[Cluster]:
    offset = _free_port_offset()
    where = ("--home", str(home))
    plan = ("--profile", "2m-2s", "--broker-ip", "127.0.0.1", "--port-offset", str(offset))
    rmqctl("up", *where, *plan)
    try:
        addresses = ";".join(f"127.0.0.1:{port + offset}" for port in NAMESERVER_PORTS)
        yield Cluster("embedded", addresses, slaves=True)
    finally:
        rmqctl("down", *where)


def rmqctl(*arguments: str) -> str:
    """Run the CLI as a user would and return its standard output; a failure shows what it said."""
    result = subprocess.run(
        [sys.executable, "-m", "rmqctl", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=UP_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"rmqctl {' '.join(arguments)}: exit code {result.returncode}\n{result.stderr}")
    return result.stdout


def _free_port_offset() -> int:
    start = os.getpid() % len(PORT_OFFSETS)  # so that two workers do not try the same one first
    offsets: list[int] = [*PORT_OFFSETS[start:], *PORT_OFFSETS[:start]]
    for offset in offsets:
        if all(is_free(port + offset) for port in NAMESERVER_PORTS + BROKER_PORTS):
            return offset
    raise RuntimeError("no port offset has all its ports free")
