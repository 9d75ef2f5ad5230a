"""Which address of this machine clients should be told (brokerIP1), and why.

The candidates, best first: the address from which packets leave for the outside, then the addresses of ordinary
interfaces; those of VPN links and container bridges come last, because other machines rarely reach them. Loopback when
there is nothing else. Apache's own broker takes the first interface it sees, often a container bridge, and every
client then times out (`RemotingUtil#getLocalAddress`, 4.5.2).
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Literal

import msgspec

from rmqctl.errors import UsageError

InterfaceKind = Literal["network", "vpn", "container", "loopback"]

_CONTAINER = re.compile(
    r"(docker|br-|veth|virbr|vnet|vmnet|vboxnet|cni|flannel|cali|cilium|lxc|lxd|podman|kube|bridge)"
)
_VPN = re.compile(r"(tun|tap|wg|utun|ppp|ipsec|tailscale|zt|nordlynx|gpd)")
# A documentation address (RFC 5737): the kernel picks a route for it, and connecting a UDP socket sends nothing.
_OUTSIDE = ("198.51.100.1", 9)


class Interface(msgspec.Struct, frozen=True):
    """One IPv4 address of this machine."""

    name: str
    address: str


class Candidate(msgspec.Struct, frozen=True):
    """An address that clients could be told."""

    address: str
    interface: str | None
    kind: InterfaceKind
    reason: str


def rank_candidates(interfaces: Iterable[Interface], route_address: str | None) -> list[Candidate]:
    """Order the addresses of this machine, best first; never empty.

    Args:
        interfaces: Every IPv4 address, in the system's order.
        route_address: The address from which packets to the outside leave, if there is such a route.
    """
    candidates = []
    known = {interface.address: interface for interface in interfaces}
    if route_address is not None and route_address not in known:
        known[route_address] = Interface("?", route_address)
    for interface in known.values():
        kind = _kind_of(interface)
        is_route = interface.address == route_address
        candidates.append(Candidate(interface.address, interface.name, kind, _reason(interface, kind, is_route)))
    usable = [each for each in candidates if not _is_link_local(each.address) and each.kind != "loopback"]
    if not usable:
        return [Candidate("127.0.0.1", None, "loopback", "loopback: this machine has no other address")]
    return sorted(usable, key=lambda each: _rank(each, route_address))


def detect_address() -> Candidate:
    """The best candidate of this machine."""
    return rank_candidates(list_interfaces(), find_route_address())[0]


def check_broker_ip(address: str) -> Candidate:
    """Take an address that the user gave with `--broker-ip`.

    Raises:
        UsageError: It is not an IPv4 address that a client could connect to.
    """
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        raise UsageError(
            f"--broker-ip {address!r} is not an IPv4 address",
            "clients are told this address and connect to it",
            "rmqctl address shows the addresses of this machine",
        ) from None
    if parsed.is_unspecified or parsed.is_multicast:
        raise UsageError(
            f"--broker-ip {address} is not an address that clients can connect to",
            "it stands for all interfaces or for a group of machines",
            "give one address of this machine; to listen on all, add --set bindAddress=0.0.0.0",
        )
    return Candidate(address, None, "network", "given with --broker-ip")


def find_route_address() -> str | None:
    """The local address from which packets to the outside leave; None without such a route. Sends no packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_OUTSIDE)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith(("127.", "0.")) else address


def list_interfaces() -> list[Interface]:
    """Every IPv4 address of the interfaces that are up, in the system's order."""
    import psutil

    states = psutil.net_if_stats()
    return [
        Interface(name, address.address)
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET and (name not in states or states[name].isup)
    ]


def is_local_address(address: str) -> bool:
    """Whether a socket of this machine can listen on the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _kind_of(interface: Interface) -> InterfaceKind:
    if interface.address.startswith("127."):
        return "loopback"
    if _CONTAINER.match(interface.name):
        return "container"
    return "vpn" if _VPN.match(interface.name) else "network"


def _is_link_local(address: str) -> bool:
    return address.startswith("169.254.")


def _rank(candidate: Candidate, route_address: str | None) -> tuple[int, bool]:
    kinds: tuple[InterfaceKind, ...] = ("network", "vpn", "container")
    return kinds.index(candidate.kind), candidate.address != route_address


def _reason(interface: Interface, kind: InterfaceKind, is_route: bool) -> str:
    route = "route to the outside" if is_route else f"address of interface {interface.name}"
    match kind:
        case "vpn":
            return f"{route}, but {interface.name} is a VPN link: only its members reach it"
        case "container":
            return f"{route}, but {interface.name} is a container bridge: other machines do not reach it"
        case _:
            return f"{route}, over {interface.name}" if is_route and interface.name != "?" else route
