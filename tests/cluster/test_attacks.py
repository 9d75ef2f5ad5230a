"""One client must not hurt another: attacks on one broker of a cluster, with a well-behaved client beside them.

The whole: 2m-2s, each attack at its full size at one master. No node ends, the attacked broker's own memory stays under
256 MiB and that of all nodes together under the 1 GiB of a small machine, the client's sends all succeed.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest

from rmqnode.protocol.codes import RequestCode
from scripts.benchmark import attacks
from scripts.benchmark.attack import MIB, TOPIC, Witness, anonymous_bytes
from scripts.benchmark.broker_probe import BrokerProbe

BROKER_BYTES_MAX = 256 * MIB
ALL_NODES_BYTES_MAX = 1024 * MIB

SMALLER: dict[str, attacks.Attack] = {
    "held pulls": partial(attacks.held_pulls, connections=20, pulls=500),
    "partial frames": partial(attacks.partial_frames, connections=12),
    "readers that do not read": partial(attacks.deaf_readers, connections=30, pulls=200),
    "a wrong expression": partial(attacks.wrong_expressions, pulls=5000),
    "made-up names": partial(attacks.made_up_names, count=2000),
}
"""Each at a size that took the broker of before far beyond its limit, or its kind at least, in a second or two."""


class Attacked:
    """A cluster of which one broker is attacked."""

    def __init__(self, cli: Any, node: str) -> None:
        self._cli = cli
        nodes = {each["name"]: each for each in cli.status()["nodes"]}
        self.pids = {name: each["pid"] for name, each in nodes.items()}
        self.pid = self.pids[node]
        self.address = nodes[node]["address"]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A client sends beside an attack: all its sends succeed and are stored, and memory stays within its limits."""
        with BrokerProbe(self.address) as probe:
            probe.create_topic(TOPIC, 1)
            before = probe.queue_end(TOPIC, 0)
        witness = Witness(self.address, self.pid)
        with witness.watching():
            yield
            total = sum(map(anonymous_bytes, self.pids.values()))
        assert witness.failures == []
        assert witness.anonymous_mib_max * MIB < BROKER_BYTES_MAX
        assert total < ALL_NODES_BYTES_MAX
        with BrokerProbe(self.address) as probe:
            assert probe.queue_end(TOPIC, 0) - before == len(witness.waits_ms), "what was answered is stored"

    def check_nodes_live(self) -> None:
        """No node was killed."""
        assert self._cli.pids() == self.pids

    def budgets(self) -> dict[str, int]:
        """The counters of the broker, as brokerStatus shows them."""
        with BrokerProbe(self.address) as probe:
            table = probe.table(RequestCode.GET_BROKER_RUNTIME_INFO)
        names = [key.removesuffix("Max") for key in table if key.endswith("Max") and f"{key[:-3]}Refused" in table]
        return {
            f"{name}{end}": int(table[f"{name}{end}"]) for name in names for end in ("", "Max", "Refused", "Closed")
        }


def test_attacks_leave_the_broker_and_its_clients_alive_and_what_they_held_is_given_back(cli: Any) -> None:
    cli.up("--profile", "single")
    attacked = Attacked(cli, "broker-a-0")
    for attack in SMALLER.values():
        with attacked.watched():
            under_attack: AbstractContextManager[None] = attack(attacked.address)
            with under_attack:
                time.sleep(0.5)
    attacked.check_nodes_live()
    assert attacked.budgets()["bytesInFlightClosed"] > 0, "partial frames were beyond the limit"
    deadline = time.monotonic() + 10
    while (left := attacked.budgets())["heldPulls"] or left["bytesInFlight"] > 65_536:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    cli.run("down")


def test_a_full_house_of_idle_connections_refuses_no_client_that_works(cli: Any) -> None:
    cli.up("--profile", "single", "--set", "connectionsMax=200")
    attacked = Attacked(cli, "broker-a-0")
    with BrokerProbe(attacked.address) as old:
        old.create_topic(TOPIC, 1)
        with attacks.idle_connections(attacked.address, 400):
            old.send(TOPIC, b"old")
            time.sleep(1.5)  # a connection that never asked anything keeps its place for a second
            with BrokerProbe(attacked.address) as newcomer:
                newcomer.send(TOPIC, b"new")
            old.send(TOPIC, b"old again")
            counted = attacked.budgets()
            assert "connectionsMax=200 is reached" in _limited(attacked)
        assert old.queue_end(TOPIC, 0) == 3
    assert counted["connections"] <= 200
    assert counted["connectionsRefused"] > 0
    assert counted["connectionsClosed"] > 0
    cli.run("down")


def _limited(attacked: Attacked) -> str:
    with BrokerProbe(attacked.address) as probe:
        return probe.table(RequestCode.GET_BROKER_RUNTIME_INFO).get("limited.descriptors", "")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_a_cluster_on_a_small_machine_outlives_each_attack_at_its_full_size(cli: Any, name: str) -> None:
    cli.up("--profile", "2m-2s")
    attacked = Attacked(cli, "broker-a-0")
    with attacked.watched(), attacks.attack_apart(name, attacked.address):
        time.sleep(5)
    attacked.check_nodes_live()
    cli.run("down")
