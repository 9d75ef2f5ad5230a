"""One client must not hurt another: attacks on one broker of a cluster, with a well-behaved client beside them.

The whole: 2m-2s, each attack at its full size at one master. No node ends, the attacked broker's own memory stays under
256 MiB and that of all nodes together under the 1 GiB of a small machine, the client's sends all succeed.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


@contextmanager
def watched(cli: Any, node: str) -> Iterator[Witness]:
    """A client beside an attack; afterwards all nodes are still there and within their memory."""
    nodes = {each["name"]: each for each in cli.status()["nodes"]}
    pids = {name: each["pid"] for name, each in nodes.items()}
    address = nodes[node]["address"]
    with BrokerProbe(address) as probe:
        probe.create_topic(TOPIC, 1)
        before = probe.queue_end(TOPIC, 0)
    witness = Witness(address, pids[node])
    with witness.watching():
        yield witness
        total = sum(map(anonymous_bytes, pids.values()))
    assert witness.failures == []
    assert cli.pids() == pids, "no node was killed"
    assert witness.anonymous_mib_max * MIB < BROKER_BYTES_MAX
    assert total < ALL_NODES_BYTES_MAX
    with BrokerProbe(address) as probe:
        assert probe.queue_end(TOPIC, 0) - before == len(witness.waits_ms), "each send that was answered is stored"


def run(cli: Any, node: str, attack: attacks.Attack, seconds: float) -> Witness:
    (address,) = (each["address"] for each in cli.status()["nodes"] if each["name"] == node)
    with watched(cli, node) as witness:
        under_attack: AbstractContextManager[None] = attack(address)
        with under_attack:
            time.sleep(seconds)
    return witness


def budgets(cli: Any, node: str) -> dict[str, int]:
    """The counters of a broker, as brokerStatus shows them."""
    (address,) = (each["address"] for each in cli.status()["nodes"] if each["name"] == node)
    with BrokerProbe(address) as probe:
        table = probe.table(RequestCode.GET_BROKER_RUNTIME_INFO)
    names = [key.removesuffix("Max") for key in table if key.endswith("Max") and f"{key[:-3]}Refused" in table]
    return {f"{name}{end}": int(table[f"{name}{end}"]) for name in names for end in ("", "Max", "Refused", "Closed")}


def test_attacks_leave_the_broker_and_its_clients_alive_and_what_they_held_is_given_back(cli: Any) -> None:
    cli.up("--profile", "single")
    (node,) = (each["name"] for each in cli.status()["nodes"] if each["role"] == "master")
    for attack in SMALLER.values():
        run(cli, node, attack, 0.5)
    counted = budgets(cli, node)
    assert counted["bytesInFlightClosed"] > 0, "partial frames were beyond the limit"
    deadline = time.monotonic() + 10
    while (left := budgets(cli, node))["heldPulls"] or left["bytesInFlight"] > 65_536:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    cli.run("down")


def test_a_full_house_of_idle_connections_refuses_no_client_that_works(cli: Any) -> None:
    cli.up("--profile", "single", "--set", "connectionsMax=200")
    (node,) = (each["name"] for each in cli.status()["nodes"] if each["role"] == "master")
    with ExitStack() as stack:
        (address,) = (each["address"] for each in cli.status()["nodes"] if each["name"] == node)
        old = stack.enter_context(BrokerProbe(address))
        old.create_topic(TOPIC, 1)
        stack.enter_context(attacks.idle_connections(address, 400))
        old.send(TOPIC, b"old")
        time.sleep(1.5)
        with BrokerProbe(address) as newcomer:
            newcomer.send(TOPIC, b"new")
        old.send(TOPIC, b"old again")
        assert old.queue_end(TOPIC, 0) == 3
        counted = budgets(cli, node)
        assert counted["connections"] <= 200
        assert counted["connectionsRefused"] > 0
        assert counted["connectionsClosed"] > 0
        status = cli.run("status").stdout
        assert "connectionsMax=200 is reached" in status or "running" in status
    cli.run("down")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_a_cluster_on_a_small_machine_outlives_each_attack_at_its_full_size(cli: Any, name: str) -> None:
    cli.up("--profile", "2m-2s")
    with watched(cli, "broker-a-0"):
        (address,) = (each["address"] for each in cli.status()["nodes"] if each["name"] == "broker-a-0")
        with attacks.attack_apart(name, address):
            time.sleep(5)
    cli.run("down")
