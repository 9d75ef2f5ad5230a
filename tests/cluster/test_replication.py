"""Masters with slaves under the official Java client: equal logs, and nothing lost when either of them is killed."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from rmqnode.net.client import RemotingClient
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command
from tests.interop.load import Load
from tests.interop.toolchains import require_tools

WaitUntil = Callable[..., None]

TOPIC = "Replicated"
GROUP = "replicated-group"
ROUTE_REFRESH_MS = 5000


@pytest.fixture(autouse=True)
def java() -> None:
    require_tools("java", "mvn")


class Cluster:
    """A cluster with slaves, brought up by the CLI."""

    def __init__(self, cli: Any, profile: str, wait_until: WaitUntil, *settings: str) -> None:
        self.cli = cli
        self._wait_until = wait_until
        cli.up("--profile", profile, *(word for setting in settings for word in ("--set", setting)))
        ports = [9876 + cli.port_offset + index for index in range(2)]
        self.nameserver = ";".join(f"127.0.0.1:{port}" for port in ports)
        assert cli.run("topic", "create", TOPIC, "--queues", "4").returncode == 0

    def load(self, name: str, **options: object) -> Load:
        return Load(self.cli.home / name, self.nameserver, TOPIC, poll=ROUTE_REFRESH_MS, **options)

    def store(self, node: str) -> Path:
        return Path(self.cli.home) / "rmqctl" / node / "store"

    def replication(self) -> list[dict[str, Any]]:
        pairs: list[dict[str, Any]] = self.cli.status()["replication"]
        return pairs

    def wait_in_sync(self) -> None:
        states = ["in_sync"] * 2
        self._wait_until(lambda: [pair["sync_state"] for pair in self.replication()] == states, "slaves in sync", 30)

    def lag(self) -> int | None:
        """What the masters say that the group has yet to consume; None while one of them cannot be asked."""
        result = self.cli.run("group", "lag", GROUP, "--json")
        return int(json.loads(result.stdout)["lag"]) if result.returncode == 0 else None

    def check_logs_are_equal(self) -> None:
        self.wait_in_sync()
        for pair in self.replication():
            master, slave = (self.store(pair[side]) / "commitlog" / f"{0:020d}" for side in ("master", "slave"))
            end = pair["synchronized_offset"]
            with master.open("rb") as ours, slave.open("rb") as theirs:
                assert ours.read(end) == theirs.read(end)
            assert end > 0

    def kill(self, node: str) -> None:
        pid = self.cli.pids()[node]
        os.kill(pid, signal.SIGKILL)
        self._wait_until(lambda: self.cli.pids()[node] not in (None, pid), f"{node} started anew", 30)

    @contextmanager
    def held_down(self, node: str) -> Iterator[None]:
        """Kill a node and take its port, so that the supervisor can't start it again before the block ends."""
        address = next(each["address"] for each in self.cli.status()["nodes"] if each["name"] == node)
        with socket.socket() as port:
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

            def is_taken() -> bool:
                pid = self.cli.pids()[node]
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
                try:
                    port.bind(("127.0.0.1", int(address.rpartition(":")[2])))
                except OSError:
                    return False
                port.listen()
                return True

            self._wait_until(is_taken, f"the port of {node}")
            yield
        self._wait_until(lambda: self.cli.status()["state"] == "running", f"{node} serves again", 60)


def test_twenty_thousand_messages_end_in_equal_logs(cli: Any, wait_until: WaitUntil) -> None:
    cluster = Cluster(cli, "2m-2s", wait_until)
    with cluster.load("load", count=20_000, threads=8) as load:
        end = load.end(stop=False)
    assert end["statuses"] == {"SEND_OK": 20_000}
    assert set(end["brokers"]) == {"broker-a SEND_OK", "broker-b SEND_OK"}
    cluster.check_logs_are_equal()


def test_no_acknowledged_message_is_lost_when_master_and_slave_are_killed(cli: Any, wait_until: WaitUntil) -> None:
    cluster = Cluster(cli, "2m-2s-sync", wait_until)
    cluster.wait_in_sync()
    with cluster.load("load", threads=3, pause=3, group=GROUP) as load:
        load.wait_for_more("broker-a", 100)
        for node in ("broker-a-0", "broker-a-1", "broker-a-0"):
            cluster.kill(node)
            load.wait_for_more("broker-a", 200)
        end = load.end()
    assert end["lost"] == []
    assert end["complete"]
    assert set(end["statuses"]) <= {"SEND_OK", "SLAVE_NOT_AVAILABLE", "FLUSH_SLAVE_TIMEOUT"}
    cluster.check_logs_are_equal()


def test_a_sync_master_says_so_and_goes_on_without_its_slave(cli: Any, wait_until: WaitUntil) -> None:
    cluster = Cluster(cli, "2m-2s-sync", wait_until)
    cluster.wait_in_sync()
    with cluster.load("load", pause=3) as load:
        load.wait_for_more("broker-a", 50)
        with cluster.held_down("broker-a-1"):
            alone = load.progress["brokers"].get("broker-a SLAVE_NOT_AVAILABLE", 0)
            load.wait(
                lambda progress: progress["brokers"].get("broker-a SLAVE_NOT_AVAILABLE", 0) > alone + 50,
                "sends that tell of the missing slave",
            )
        load.wait_for_more("broker-a", 50)
        end = load.end()
    assert not end["errors"]
    cluster.check_logs_are_equal()


def test_consumers_go_on_at_the_slave_and_see_nothing_twice_afterwards(cli: Any, wait_until: WaitUntil) -> None:
    cluster = Cluster(cli, "2m-2s", wait_until)
    with cluster.load("producer", count=2000) as load:
        assert load.end(stop=False)["brokers"].keys() == {"broker-a SEND_OK", "broker-b SEND_OK"}
    cluster.wait_in_sync()
    topics = cluster.store("broker-a-1") / "config" / "topics.json"
    wait_until(lambda: topics.exists() and TOPIC in topics.read_text(), "the slave knows the topic", 15)
    with cluster.held_down("broker-a-0"):
        with cluster.load("consumer", count=0, group=GROUP, expect=2000) as load:
            end = load.end(stop=False)
        assert (end["complete"], end["received"], end["twice"]) == (True, 2000, 0)
    # The slave looks for its master every second; a consumer that is quicker finds what the master knew before.
    wait_until(lambda: cluster.lag() == 0, "the master knows what was consumed at its slave", 15)
    with cluster.load("again", count=200, group=GROUP, expect=200) as load:
        end = load.end(stop=False)
    assert (end["complete"], end["received"], end["lost"]) == (True, 200, []), "what was consumed came again"
    cluster.check_logs_are_equal()


def test_a_consumer_that_lags_is_sent_to_the_slave(cli: Any, wait_until: WaitUntil) -> None:
    settings = ("brokers:slaveReadEnable=true", "brokers:accessMessageInMemoryMaxRatio=0")
    cluster = Cluster(cli, "2m-2s", wait_until, *settings)
    with cluster.load("producer", count=2000) as load:
        load.end(stop=False)
    cluster.wait_in_sync()
    for node in ("broker-a-1", "broker-b-1"):
        topics = cluster.store(node) / "config" / "topics.json"
        wait_until(lambda topics=topics: topics.exists() and TOPIC in topics.read_text(), f"{node} knows the topic", 15)
    with cluster.load("consumer", count=0, group=GROUP, expect=2000) as load:
        end = load.end(stop=False)
    assert (end["complete"], end["received"], end["twice"]) == (True, 2000, 0)
    given = {
        node["name"]: messages_given(node["address"]) for node in cli.status()["nodes"] if node["role"] != "nameserver"
    }
    # Each master answered the first pull of its queues, and named its slave for the next.
    for name in ("broker-a", "broker-b"):
        assert given[f"{name}-1"] > given[f"{name}-0"] > 0, given
    assert sum(given.values()) >= 2000


def messages_given(address: str) -> int:
    """How many messages a broker has answered pulls with since its start."""

    async def ask() -> Command:
        async with RemotingClient() as client:
            return await client.request(address, Command(code=RequestCode.GET_BROKER_RUNTIME_INFO))

    return int(KVTable.decode(trio.run(ask).body).table["msgGetTotalTodayNow"])
