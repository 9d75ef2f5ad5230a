"""Which connection of a slave stays when there are more than there is room for, and which ones a send may wait for.

The stream carries no name, so a slave is known by its address and by what it does. A real one asks for a place in
the log and confirms what it is sent. One that does not is no slave, or one that hangs: it gives way, and no send waits
for it. Pure decisions, without sockets.

    asked  confirmed something  owes a report since   the connection is
    -------------------------------------------------------------------------------------------------
    no     -                    -                     new; stuck after 10 s (Apache's slave asks after 5)
    yes    no                   no                    new; waited for unless its address has a bad record
    yes    yes                  no, or under 3 s      following
    yes    any                  3 s and more          stuck
    below the log's start       -                     stuck: nothing can be sent to it
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol

from rmqnode.ha.master_stream import MasterStream

SLAVES_MAX: Final = 64
"""A master has a handful."""

_ASK_SECONDS_MAX: Final = 10.0
_OWED_SECONDS_MAX: Final = 3.0
"""A slave confirms what it is sent within milliseconds; a stall of its disk lasts a second or two."""

_DISTRUST_SECONDS: Final = 600.0
_DISTRUSTED_MAX: Final = 1000
"""Addresses that are remembered for what came from them; the oldest is forgotten first."""

IpAddress = IPv4Address | IPv6Address


class Slot(Protocol):
    """One connection."""

    stream: MasterStream
    ip: IpAddress
    begun: float
    """When it was accepted, in seconds."""
    owes_since: float
    """Since when it owes a report, in seconds; what counts is `stream.owes_report`."""


def parse_ip(text: str) -> IpAddress:
    """An address as a socket names it; IPv4 in IPv6 becomes IPv4."""
    ip = ip_address(text.partition("%")[0])
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def is_stuck(slot: Slot, now: float) -> bool:
    """Whether a connection does not do what a slave does."""
    stream = slot.stream
    if not stream.has_asked:
        return now - slot.begun > _ASK_SECONDS_MAX
    return stream.lacks_start or (stream.owes_report and now - slot.owes_since > _OWED_SECONDS_MAX)


def slot_to_give_way(slots: Iterable[Slot], ip: IpAddress, count_max: int, now: float) -> Slot | None:
    """The connection that a new one from an address replaces; None when there is room.

    One that is stuck goes first, then one that never followed, then the oldest.

    Args:
        slots: All connections.
        ip: Where the new one comes from.
        count_max: How many slaves are expected there.
        now: Seconds.
    """
    every = list(slots)
    same = [slot for slot in every if slot.ip == ip]
    candidates = same if len(same) >= count_max else every if len(every) >= SLAVES_MAX else []
    return min(
        candidates,
        key=lambda slot: (not is_stuck(slot, now), slot.stream.has_followed, slot.begun),
        default=None,
    )


class Trust:
    """From which addresses connections came that were no slaves."""

    def __init__(self) -> None:
        self._distrusted: dict[IpAddress, float] = {}

    def note_end(self, slot: Slot, now: float) -> None:
        """Remember an address whose connection ends without having done what a slave does."""
        stream = slot.stream
        was_slave = stream.has_followed or (stream.has_asked and not stream.owes_report)
        if not was_slave:
            self._distrusted.pop(slot.ip, None)
            self._distrusted[slot.ip] = now
            if len(self._distrusted) > _DISTRUSTED_MAX:
                del self._distrusted[next(iter(self._distrusted))]

    def is_worth_waiting(self, slot: Slot, now: float) -> bool:
        """Whether a send may wait for this connection."""
        if not slot.stream.has_asked or is_stuck(slot, now):
            return False
        if slot.stream.has_followed:
            return True
        return now - self._distrusted.get(slot.ip, -_DISTRUST_SECONDS) >= _DISTRUST_SECONDS
