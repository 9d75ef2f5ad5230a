"""Which connections a server takes: so many in all, so many from one address, and who gives way when there are no more.

A connection that never asked anything gives way first, then one that was silent for a minute: clients send a heartbeat
each 30 s. Of these, those of the address with most connections go first. Where nobody gives way, the newcomer is
refused, so that nobody who works is pushed out by somebody who only connects.
"""

from collections import Counter
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final

import trio

from rmqnode.net.budgets import Budget
from rmqnode.net.connection import Connection

_UNUSED_SECONDS: Final = 1.0
"""How long a new connection may take for its first request, while others wait for its place."""

_SILENT_SECONDS: Final = 60.0
"""Twice the interval of clients' heartbeats."""

_FREED_AT_ONCE_SHARE: Final = 16
"""One part in so many of all places is freed at once, so that the search is rare."""

_SEARCH_PAUSE_SECONDS: Final = 0.5
"""After a search in vain no other follows for so long: each newcomer is refused at once."""


class Admission:
    """The places for connections of one server.

    Args:
        budget: How many there are, and how many are taken.
        per_address_max: How many of them one address may take that is not of the loopback; 0 for half of all.
        connections: Those that are open.
    """

    def __init__(self, budget: Budget, per_address_max: int, connections: Collection[Connection]) -> None:
        self.budget = budget
        self._per_address_max = per_address_max or max(1, budget.maximum // 2)
        self._connections = connections
        self._by_address: Counter[str] = Counter()
        self._leaving: set[Connection] = set()
        """Closed here, and not ended yet."""
        self._no_search_before = 0.0

    def admit(self, host: str) -> bool:
        """Whether a newcomer from this address gets a place; others may be closed for it."""
        if self._by_address[host] >= self._per_address_max and not is_loopback(host):
            self.budget.refuse()
            return False
        is_full = self.budget.free + len(self._leaving) <= 0
        if is_full and not self.make_room(max(1, self.budget.maximum // _FREED_AT_ONCE_SHARE)):
            self.budget.refuse()
            return False
        return True

    def opened(self, connection: Connection) -> None:
        """Note a connection that got its place."""
        self.budget.used += 1
        self._by_address[connection.host] += 1

    def ended(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        self._leaving.discard(connection)
        self.budget.used -= 1
        self._by_address[connection.host] -= 1
        if not self._by_address[connection.host]:
            del self._by_address[connection.host]

    def make_room(self, count: int) -> int:
        """Close up to so many connections that may give way; return how many were closed."""
        now = trio.current_time()
        if now < self._no_search_before:
            return 0
        idle = [each for each in self._connections if _may_give_way(each, now)]
        idle.sort(key=lambda each: (-self._by_address[each.host], each.request_count > 0, each.last_activity))
        for each in idle[:count]:
            each.close(f"others wait for its place ({self.budget.name}Max)")
            self._leaving.add(each)
        if idle:
            self.budget.close(len(idle[:count]))
        else:
            self._no_search_before = now + _SEARCH_PAUSE_SECONDS
        return len(idle[:count])


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine: its programs are not told apart by their address."""
    if host.startswith("127."):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _may_give_way(connection: Connection, now: float) -> bool:
    silent_seconds_max = _SILENT_SECONDS if connection.request_count else _UNUSED_SECONDS
    return now - connection.last_activity > silent_seconds_max and not connection.is_closed
