"""Addresses that a user gives: lists of nameservers, and the map from advertised to reachable addresses.

A broker registers an address (`brokerIP1`) that need not be reachable from everywhere: that of a container, of the
other side of a tunnel. Whoever can't reach it says under which address it can be reached. No I/O.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from rmqctl.client.errors import InvalidArgument

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:;,=\[\]]+)(?::(?P<port>\d{1,5}))?")


class _Place(NamedTuple):
    host: str
    port: int | None


def parse_nameservers(nameserver: str | Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of a list such as `10.0.0.1:9876;10.0.0.2:9876`; `,` separates as well.

    Raises:
        InvalidArgument: There is none, or one is not `host:port`.
    """
    texts = [nameserver] if isinstance(nameserver, str) else nameserver
    addresses = [part.strip() for text in texts for part in re.split("[;,]", text) if part.strip()]
    for address in addresses:
        if _parse_place(address, f"{address!r} is not a nameserver address").port is None:
            raise InvalidArgument(
                f"{address!r} is not a nameserver address",
                "it has no port",
                f"{address}:9876, if it uses the usual one",
            )
    if not addresses:
        raise InvalidArgument("no nameserver was named", cure="give one as in 127.0.0.1:9876")
    return tuple(dict.fromkeys(addresses))


class AddressMap:
    """Turns the address that a broker advertises into the one under which it is reached.

    Args:
        entries: Advertised to reachable, each `host` or `host:port`. An entry with a port goes before one without;
            a reachable host without a port keeps the advertised port.

    Raises:
        InvalidArgument: An entry is neither form.
    """

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        self._by_place: dict[_Place, _Place] = {}
        for advertised, reachable in (entries or {}).items():
            problem = f"remap {advertised}={reachable} can't be understood"
            self._by_place[_parse_place(advertised, problem)] = _parse_place(reachable, problem)

    def reachable(self, address: str) -> str:
        """Return where to connect to for an advertised `host:port`."""
        if not self._by_place:
            return address
        host, _, port_text = address.rpartition(":")
        port = int(port_text) if port_text.isdecimal() else None
        target = self._by_place.get(_Place(host, port)) or self._by_place.get(_Place(host, None))
        return address if target is None else f"{target.host}:{port_text if target.port is None else target.port}"


def parse_remap(texts: Iterable[str]) -> dict[str, str]:
    """Read entries of the form `172.17.0.2=127.0.0.1` or `172.17.0.2:10911=127.0.0.1:20911`.

    Raises:
        InvalidArgument: One of them is not of this form.
    """
    entries: dict[str, str] = {}
    for text in texts:
        advertised, separator, reachable = text.partition("=")
        if not separator:
            raise InvalidArgument(
                f"remap {text!r} can't be understood",
                "it has no =",
                "ADVERTISED=REACHABLE, as in 172.17.0.2=127.0.0.1 or 172.17.0.2:10911=127.0.0.1:20911",
            )
        entries[advertised.strip()] = reachable.strip()
    AddressMap(entries)
    return entries


def _parse_place(text: str, problem: str) -> _Place:
    found = _ADDRESS.fullmatch(text)
    port = None if found is None or found["port"] is None else int(found["port"])
    if found is None or (port is not None and not 0 < port < 65_536):
        raise InvalidArgument(
            problem, f"{text!r} is no host and no host with a port from 1 to 65535", "as in 192.168.0.1:9876"
        )
    return _Place(found["host"], port)
