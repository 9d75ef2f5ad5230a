"""Whether the ports of a plan are free on this machine, and who holds those that are not."""

import errno
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import DEFAULT_CLUSTER
from rmqctl.profile.model import ClusterModel, Node


class PortHolder(msgspec.Struct, frozen=True):
    """A process that listens on a port."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def check_ports_free(model: ClusterModel, nodes: Sequence[Node]) -> None:
    """Try every port of some nodes of a plan, on every address that the node will listen on.

    Raises:
        RmqctlError: A port is taken; names node, port and holder.
        UsageError: An address is not one of this machine.
    """
    for node in nodes:
        for port in node.ports.values():
            for address in node.bind_addresses:
                _check_port(model, node, address, port)


def find_holder(address: str, port: int) -> PortHolder | None:
    """Which process listens there; None when the system does not tell (a process of another user)."""
    import psutil

    for pid, each in _connections():
        if each.status != psutil.CONN_LISTEN or not each.laddr or each.laddr.port != port:
            continue
        if each.laddr.ip in (address, "0.0.0.0", "::") or address == "0.0.0.0":
            return PortHolder(pid, _name_of(pid))
    return None


def _connections() -> Iterator[tuple[int, Any]]:
    """(pid, connection) of every TCP socket that the system shows to us."""
    import psutil

    try:
        for each in psutil.net_connections(kind="tcp"):
            if each.pid:
                yield each.pid, each
    except psutil.AccessDenied:
        # macOS shows the table of all processes to root only, but each process to its owner.
        for process in psutil.process_iter():
            try:
                for connection in process.net_connections(kind="tcp"):
                    yield process.pid, connection
            except psutil.Error:
                continue


def held_ports(node: Node) -> Iterable[str]:
    """One sentence for each port of a node that somebody holds; for a node that did not start."""
    for port in node.ports.values():
        for address in node.bind_addresses:
            holder = find_holder(address, port)
            if holder is not None:
                yield f"port {port} on {address} is held by {holder}"


def _check_port(model: ClusterModel, node: Node, address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the node will: connections that a former node left behind are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            raise _explain(error, model, node, address, port) from None


def _explain(error: OSError, model: ClusterModel, node: Node, address: str, port: int) -> RmqctlError:
    if error.errno == errno.EADDRINUSE:
        return _taken(model, node, address, port)
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(
            f"{node.name} cannot listen on {address}",
            "it is not an address of this machine",
            "rmqctl address shows its addresses; if clients reach this machine by it nevertheless"
            " (address translation), add --set bindAddress=0.0.0.0",
        )
    return RmqctlError(f"{node.name} cannot listen on {address}:{port}", error.strerror)


def _taken(model: ClusterModel, node: Node, address: str, port: int) -> RmqctlError:
    holder = find_holder(address, port)
    named = "" if model.name == DEFAULT_CLUSTER else f" --cluster {model.name}"
    beside = f"run beside it: rmqctl up{named} --port-offset {model.port_offset + 100}"
    if holder is None:
        why = f"port {port} on {address} is in use by a process that the system does not show"
        return RmqctlError(f"{node.name} cannot start", why, beside)
    return RmqctlError(
        f"{node.name} cannot start",
        f"port {port} on {address} is held by {holder}",
        f"stop pid {holder.pid}, or {beside}",
    )


def _name_of(pid: int) -> str:
    import psutil

    try:
        name: str = psutil.Process(pid).name()
    except psutil.Error:
        return "a process"
    return name
