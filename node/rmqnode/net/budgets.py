"""Budgets: how much of each thing a node holds for its peers, how much it may hold, and who has to go when it is full.

A budget is a counter that is changed where something is taken or given back: at a read or write of a socket, not at a
message. Who holds how much is known to those who hold it, so that a budget that is not full costs nothing to look up.

The rule when one is full: whoever holds most is refused or closed first, and a peer that holds less than its fair
share (the whole divided by the number of peers) is never closed for it.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

_LOW_WATER_EIGHTHS: Final = 7
"""A full budget is emptied to so many eighths at once, so that the next look for the worst comes much later."""


class Budget:
    """How much of one thing a node may hold.

    Args:
        name: As its keys of GET_BROKER_RUNTIME_INFO begin, `heldPulls`; the key that sets it ends in `Max`.
        maximum: Of its unit: bytes or entries.
        on_full: Called each time that something is refused or closed because the budget is full.
    """

    __slots__ = ("closed", "maximum", "name", "on_full", "refused", "used")

    def __init__(self, name: str, maximum: int, on_full: "Callable[[Budget], None] | None" = None) -> None:
        self.name = name
        self.maximum = maximum
        self.on_full = on_full
        self.used = 0
        self.refused = 0
        """How often something was refused because the budget was full."""
        self.closed = 0
        """How many connections were closed because the budget was full."""

    @property
    def free(self) -> int:
        """What is left; below 0 when what could not be refused went beyond the whole."""
        return self.maximum - self.used

    def refuse(self, count: int = 1) -> None:
        """Note that something was refused."""
        self.refused += count
        self._full()

    def close(self, count: int = 1) -> None:
        """Note that connections were closed."""
        self.closed += count
        self._full()

    def table(self) -> dict[str, str]:
        """Key of GET_BROKER_RUNTIME_INFO → value."""
        return {
            self.name: str(self.used),
            f"{self.name}Max": str(self.maximum),
            f"{self.name}Refused": str(self.refused),
            f"{self.name}Closed": str(self.closed),
        }

    def _full(self) -> None:
        if self.on_full is not None:
            self.on_full(self)


class Holder(Protocol):
    """A connection, as its budget of bytes sees it."""

    @property
    def held_bytes(self) -> int:
        """Bytes of frames that are not complete or not handled, and of answers that the peer has not taken."""

    @property
    def is_stalled(self) -> bool:
        """Whether nothing has moved on it for a while."""

    def close(self, reason: str) -> None:
        """Close it; what it held is given back."""


H = TypeVar("H", bound=Holder)


def close_worst(budget: Budget, holders: Iterable[H]) -> None:
    """Close those who hold most of a full budget of bytes, stalled ones first, until an eighth of it is free."""
    everybody = list(holders)
    share = budget.maximum // max(1, len(everybody))
    low_water = budget.maximum * _LOW_WATER_EIGHTHS // 8
    worst_first = sorted(
        ((each.is_stalled, each.held_bytes, index) for index, each in enumerate(everybody) if each.held_bytes > share),
        reverse=True,
    )
    for _, held_bytes, index in worst_first:
        if budget.used <= low_water:
            return
        everybody[index].close(
            f"it holds {held_bytes} bytes of the {budget.maximum} that all peers together may ({budget.name}Max)"
        )
        budget.close()
