"""The port plan: which node listens where, and that no two ports of a plan meet.

A broker takes three ports: listen, VIP (listen - 2) and HA (listen + 1), so listen ports stay 10 apart. The plan is
a rule, not a search: the same profile gives the same ports on every machine.
"""

from collections.abc import Iterable, Mapping, Sequence

from rmqctl.errors import UsageError
from rmqctl.profile.model import Node
from rmqctl.profile.schema import BrokerSection

NAMESERVER_PORT = 9876
BROKER_PORT = 10911
BROKER_STEP = 10
PORT_OFFSET_MAX = 54_000
"""Leaves room below 65536 for a few brokers; more of them are checked one by one."""

_PAIR = 2
"""A master and its first slave have neighbouring places; further slaves follow after all pairs."""


def check_offset(port_offset: int) -> None:
    """Refuse an offset that would make plans of several clusters overlap; raises UsageError."""
    if port_offset % 100 or port_offset < 0:
        raise UsageError(
            f"--port-offset {port_offset} is not 0, 100, 200 …",
            "clusters side by side need whole blocks of ports",
            f"--port-offset {max(100, round(port_offset / 100) * 100)}",
        )
    if port_offset > PORT_OFFSET_MAX:
        raise UsageError(
            f"--port-offset {port_offset} leaves no room for the ports of brokers",
            f"they begin at {BROKER_PORT} and would end above 65535",
            f"--port-offset 100, or any multiple of 100 up to {PORT_OFFSET_MAX}",
        )


def nameserver_ports(count: int, port_offset: int) -> list[int]:
    """Listen ports of the nameservers, in order."""
    return [NAMESERVER_PORT + port_offset + index for index in range(count)]


def broker_ports(brokers: Sequence[BrokerSection], port_offset: int) -> dict[tuple[str, int], int]:
    """Listen port of every broker, by (broker name, broker id).

    Broker number n (from 0) has place 2n for its master and 2n + 1 for its first slave, also when it has none; further
    slaves take the places after all these, in order.
    """
    places: dict[tuple[str, int], int] = {}
    next_place = len(brokers) * _PAIR
    for number, broker in enumerate(brokers):
        for broker_id in range(broker.slaves + 1):
            if broker_id < _PAIR:
                places[broker.name, broker_id] = number * _PAIR + broker_id
            else:
                places[broker.name, broker_id] = next_place
                next_place += 1
    return {key: BROKER_PORT + port_offset + place * BROKER_STEP for key, place in places.items()}


def check_plan(nodes: Iterable[Node]) -> None:
    """Refuse a plan in which a port does not exist or belongs to two nodes.

    Raises:
        UsageError: Names both nodes and both uses.
    """
    taken: dict[int, str] = {}
    for node in nodes:
        for use, port in node.ports.items():
            if not 1024 <= port <= 65535:
                raise UsageError(
                    f"{node.name} would need {use} port {port}",
                    "ports of a cluster lie between 1024 and 65535",
                    "choose another listenPort or --port-offset",
                )
            if port in taken:
                raise UsageError(
                    f"port {port} is planned twice: {taken[port]} and {use} port of {node.name}",
                    "a broker takes its listen port, the port two below it (VIP) and the one above it (HA)",
                    "keep listen ports at least 10 apart",
                )
            taken[port] = f"{use} port of {node.name}"


def stored_or_planned(planned: Mapping[str, int], stored: Mapping[str, int]) -> dict[str, int]:
    """The listen port of every planned node: the one it had when the cluster was up last, else the planned one.

    A new node whose planned ports belong to a node that was there before gets the next free place.
    """
    kept = {name: stored[name] for name in planned if name in stored}
    taken = {port for name, listen in kept.items() for port in _span(name, listen)}
    chosen = dict(kept)
    for name, listen in planned.items():
        if name in kept:
            continue
        step = 1 if _is_nameserver(name) else BROKER_STEP
        while not taken.isdisjoint(_span(name, listen)):
            listen += step
        chosen[name] = listen
        taken.update(_span(name, listen))
    return {name: chosen[name] for name in planned}


def _is_nameserver(name: str) -> bool:
    return name.startswith("nameserver-")


def _span(name: str, listen: int) -> tuple[int, ...]:
    return (listen,) if _is_nameserver(name) else (listen - 2, listen, listen + 1)
