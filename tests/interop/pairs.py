"""Pairs of a master and a slave, each ours or Apache's, with one of our nameservers.

Responsible for configuration, start and stop of the processes, and for asking both how far they are.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trio

from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from tests.interop.apache_nodes import BROKER_PROPERTIES, apache_broker, free_ports

Kind = Literal["embedded", "apache"]

LOG_FILE_SIZE = 5 * 1024 * 1024
_STARTED_SECONDS = 30


@dataclass
class Broker:
    """One running broker of a pair."""

    port: int
    store: Path

    def runtime_info(self) -> dict[str, str]:
        """Its figures; empty while it does not answer."""

        async def ask() -> dict[str, str]:
            async with RemotingClient() as client:
                try:
                    command = Command(code=RequestCode.GET_BROKER_RUNTIME_INFO)
                    answer = await client.request(f"127.0.0.1:{self.port}", command)
                except RemotingError:
                    return {}
                return KVTable.decode(answer.body).table if answer.code == ResponseCode.SUCCESS else {}

        return trio.run(ask)

    @property
    def log_end(self) -> int:
        """Physical offset where its commit log ends; -1 while it does not answer."""
        return int(self.runtime_info().get("commitLogMaxOffset", -1))

    def log_files(self) -> dict[str, bytes]:
        """Content of the commit log files that hold anything."""
        files = {path.name: path.read_bytes() for path in sorted((self.store / "commitlog").iterdir())}
        return {name: content for name, content in files.items() if content.strip(b"\0")}


class PairKit:
    """Starts the members of one pair below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nameserver_port, *brokers = free_ports(3, distance=2)
        self._ports = dict(enumerate(brokers))

    @property
    def nameserver_address(self) -> str:
        """What clients are given."""
        return f"127.0.0.1:{self._nameserver_port}"

    @contextmanager
    def nameserver(self) -> Iterator[None]:
        """Run our nameserver for the length of the block."""
        properties = {
            "listenPort": str(self._nameserver_port),
            "bindAddress": "127.0.0.1",
            "kvConfigPath": str(self.folder / "kvConfig.json"),
        }
        with _embedded_node("nameserver", self.folder / "nameserver", properties):
            yield

    @contextmanager
    def broker(self, kind: Kind, broker_id: int, **properties: str) -> Iterator[Broker]:
        """Run a broker for the length of the block; id 0 is the master. Its store stays."""
        folder = self.folder / f"broker-{broker_id}"
        port = self._ports[broker_id]
        store = folder / "store"
        values = {
            "brokerName": "broker-a",
            "brokerId": str(broker_id),
            "brokerRole": "SLAVE" if broker_id else "ASYNC_MASTER",
            "brokerIP1": "127.0.0.1",
            "brokerIP2": "127.0.0.1",
            "listenPort": str(port),
            "namesrvAddr": self.nameserver_address,
            "storePathRootDir": str(store),
            "storePathCommitLog": str(store / "commitlog"),
            "mappedFileSizeCommitLog": str(LOG_FILE_SIZE),
            **properties,
        }
        if kind == "apache":
            with apache_broker(folder, port, BROKER_PROPERTIES | values):
                yield Broker(port, store)
        else:
            with _embedded_node("broker", folder, values | {"bindAddress": "127.0.0.1"}):
                yield Broker(port, store)


@contextmanager
def _embedded_node(kind: str, folder: Path, properties: dict[str, str]) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "node.conf"
    conf.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    log = folder / "node.log"
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "rmqnode", kind, "-c", str(conf)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + _STARTED_SECONDS
        while b"boot success" not in log.read_bytes()[begin:]:
            started = process.poll() is None and time.monotonic() < deadline
            assert started, f"our {kind} did not start:\n{log.read_text()[-3000:]}"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_until_level(master: Broker, slave: Broker, timeout_seconds: float = 60) -> int:
    """Wait until the slave's log ends where the master's does, and return where."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        end = master.log_end
        if end >= 0 and slave.log_end == end == master.log_end:
            return end
        assert time.monotonic() < deadline, f"the slave is at {slave.log_end}, its master at {end}"
        time.sleep(0.1)
