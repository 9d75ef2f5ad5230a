"""The clusters that official clients are set upon, ours and Apache's own: both through the real command line.

Responsible for naming the engines under test and for bringing one cluster up and down. `RMQCTL_INTEROP_ENGINES`
(comma-separated, default `embedded,apache`) chooses the engines.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.java import require_apache
from tests.ports import free_port_offset

COMMAND_TIMEOUT_SECONDS = 150
ENGINES = ("embedded", "apache")
DEFAULT_JUDGE = "4.5.2"
"""The version of Apache's nodes that judges a case which names no other."""

# A burst of a test on a busy machine must not be refused because the page cache was slow for a moment.
PATIENCE = {"osPageCacheBusyTimeOutMills": "10000", "waitTimeMillsInSendQueue": "10000", "diskMaxUsedSpaceRatio": "95"}

SETTINGS = {
    # What a case would otherwise wait minutes for.
    # (Apache's brokers ask about a message whose first decision took longer on its way, and then once more.)
    "transactionTimeOut": "3000",
    "transactionCheckInterval": "1000",
    "transactionCheckMax": "8",
    # What is off by default.
    "traceTopicEnable": "true",
}


@dataclass(frozen=True)
class Cluster:
    """A running cluster with two nameservers and two masters, as its clients see it."""

    engine: str
    nameserver_address: str
    slaves: bool
    """Whether each master has a slave, with broker id 1."""


def engines() -> list[str]:
    """The engines to test, in the order given by the environment."""
    chosen = os.environ.get("RMQCTL_INTEROP_ENGINES", ",".join(ENGINES)).split(",")
    if unknown := set(chosen).difference(ENGINES):
        raise ValueError(f"RMQCTL_INTEROP_ENGINES: expected {' or '.join(ENGINES)}, found {', '.join(unknown)}")
    return chosen


@contextmanager
def running_cluster(engine: str, home: Path, version: str = DEFAULT_JUDGE) -> Iterator[Cluster]:
    """Run a cluster of the engine below the folder `home` for the length of a block.

    Args:
        engine: One of `engines()`.
        home: An empty folder.
        version: Of Apache RocketMQ, for its engine.
    """
    plan = ["--profile", "2m-2s"]
    settings = SETTINGS
    if engine == "apache":
        require_apache(version)
        # No client sees a slave of a healthy cluster, and every JVM costs the machine 120 MiB.
        plan = ["--profile", "2m-noslave", "--engine", "apache", "--version", version]
        settings = SETTINGS | PATIENCE
    plan += [word for key, value in settings.items() for word in ("--set", f"brokers:{key}={value}")]
    offset = free_port_offset()
    where = ("--home", str(home))
    rmqctl("up", *where, *plan, "--broker-ip", "127.0.0.1", "--port-offset", str(offset))
    try:
        addresses = ";".join(f"127.0.0.1:{port + offset}" for port in (9876, 9877))
        yield Cluster(engine, addresses, slaves=engine == "embedded")
    finally:
        rmqctl("down", *where)


def rmqctl(*arguments: str) -> str:
    """Run the CLI as a user would and return its standard output; a failure shows what it said."""
    result = subprocess.run(
        [sys.executable, "-m", "rmqctl", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"rmqctl {' '.join(arguments)}: exit code {result.returncode}\n{result.stderr}")
    return result.stdout
