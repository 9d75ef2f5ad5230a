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

from rmqctl.cli.engines.install_progress import open_install_progress
from rmqctl.cli.output import narrate
from rmqctl.engine.files import write_node_files
from rmqctl.engine.prepare import engines_of
from rmqctl.home import ClusterHome
from rmqctl.profile.model import Node
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from tests.interop.apache_nodes import ApacheNode, wait_for_boot
from tests.ports import free_port_offset

Kind = Literal["embedded", "apache"]

LOG_FILE_SIZE = 5 * 1024 * 1024


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
    """Starts the members of one pair below a folder, each when the test wants it; their stores stay."""

    def __init__(self, folder: Path, master: Kind, slave: Kind) -> None:
        profile = folder / "pair.toml"
        profile.write_text(
            f'''
            brokers = [{{ name = "broker-a", slaves = 1 }}]
            nodes = {{ broker-a-0 = {{ engine = "{master}" }}, broker-a-1 = {{ engine = "{slave}" }} }}
            properties.brokers = {{ mappedFileSizeCommitLog = {LOG_FILE_SIZE}, diskMaxUsedSpaceRatio = 95 }}
            '''
        )
        plan = UpOptions(home=folder, profile=str(profile), broker_ip="127.0.0.1", port_offset=free_port_offset())
        self.folder = folder
        self._model = plan_cluster(plan).model
        self._engines = engines_of(self._model, open_install_progress, narrate)
        self._home = ClusterHome(folder, self._model.name)
        write_node_files(self._engines, self._model, self._home)

    @property
    def nameserver_address(self) -> str:
        """What clients are given."""
        return ";".join(self._model.nameserver_addresses)

    @contextmanager
    def nameserver(self) -> Iterator[None]:
        """Run our nameserver for the length of the block."""
        with self._running(self._model.nameservers[0]):
            yield

    @contextmanager
    def broker(self, broker_id: int) -> Iterator[Broker]:
        """Run a broker for the length of the block; id 0 is the master."""
        node = self._model.brokers[broker_id]
        with self._running(node):
            yield Broker(node.listen_port, Path(node.properties["storePathRootDir"]))

    @contextmanager
    def _running(self, node: Node) -> Iterator[None]:
        spec = self._engines[node.name].start_spec(node, self._home)
        command = spec.argv or [sys.executable, "-m", "rmqnode", spec.kind, "-c", spec.config_path]
        log = Path(spec.log_path)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=spec.folder)
        started = ApacheNode(node.name, node.listen_port, process, log)
        try:
            wait_for_boot([started])
            yield
        finally:
            started.stop()


def wait_until_level(master: Broker, slave: Broker, timeout_seconds: float = 60) -> int:
    """Wait until the slave's log ends where the master's does, and return where."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        end = master.log_end
        if end >= 0 and slave.log_end == end == master.log_end:
            return end
        assert time.monotonic() < deadline, f"the slave is at {slave.log_end}, its master at {end}"
        time.sleep(0.1)
