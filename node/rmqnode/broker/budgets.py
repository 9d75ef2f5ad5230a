"""The budgets of a broker beside those of its sockets: what clients make it keep, each with a bound.

Tables that only grow by requests ask `net.refusals` before they take something new; those whose entries belong to
connections find the worst holder. What each limit means stands with its field, see `rmqnode.config.limits`.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Final, TypeVar

import trio

from rmqnode.broker.limitations import Limit, Limitations
from rmqnode.config.limits import BrokerLimits
from rmqnode.net.budgets import Budget

_LOOK_SECONDS: Final = 5.0
"""A limit that was not met for so long is no longer reported."""

_DESCRIPTOR_BUDGETS: Final = frozenset({"connections"})

K = TypeVar("K", bound=Hashable)


class BrokerBudgets:
    """All budgets of one broker, and whether one of them is full.

    Args:
        limits: Their sizes.
        limitations: Told of those that are full.
    """

    def __init__(self, limits: BrokerLimits, limitations: Limitations) -> None:
        self._limitations = limitations
        self._full_since_look: dict[str, Budget] = {}
        self._reported: dict[str, Budget] = {}
        self._counted: list[tuple[Budget, Callable[[], int]]] = []
        self._all: list[Budget] = []
        self.held_pulls = self._new("heldPulls", limits.held_pulls_max)
        self.topics = self._new("topics", limits.topics_max)
        self.groups = self._new("groups", limits.groups_max)
        self.consumer_offsets = self._new("consumerOffsets", limits.consumer_offsets_max)
        self.clients = self._new("clients", limits.clients_max)
        self.subscriptions = self._new("subscriptions", limits.subscriptions_max)
        self.queue_locks = self._new("queueLocks", limits.queue_locks_max)
        self.filters = self._new("filters", limits.filters_max)

    def _new(self, name: str, maximum: int) -> Budget:
        budget = Budget(name, maximum, self.full)
        self._all.append(budget)
        return budget

    def count(self, budget: Budget, count: Callable[[], int]) -> None:
        """Let a budget be counted where it is shown, because its table knows how long it is."""
        self._counted.append((budget, count))

    def add(self, budgets: Iterable[Budget]) -> None:
        """Show the budgets of the sockets too."""
        self._all[:0] = budgets

    def table(self) -> dict[str, str]:
        """Key of GET_BROKER_RUNTIME_INFO → value."""
        for budget, count in self._counted:
            budget.used = count()
        return {key: value for budget in self._all for key, value in budget.table().items()}

    def full(self, budget: Budget) -> None:
        """Note that something was refused or closed because a budget is full."""
        self._full_since_look[budget.name] = budget
        if budget.name not in self._reported:
            self._reported[budget.name] = budget
            self._report()

    async def watch(self) -> None:
        """Service: take back what was not met for a while."""
        while True:
            await trio.sleep(_LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Report exactly those budgets that were full since the last look."""
        if self._reported:
            self._reported, self._full_since_look = self._full_since_look, {}
            self._report()

    def _report(self) -> None:
        for limit, is_descriptors in ((Limit.DESCRIPTORS, True), (Limit.MEMORY, False)):
            full = [each for name, each in self._reported.items() if (name in _DESCRIPTOR_BUDGETS) is is_descriptors]
            if full:
                keys = ", ".join(f"{each.name}Max={each.maximum}" for each in sorted(full, key=lambda each: each.name))
                self._limitations.report(limit, f"{keys} is reached: who holds most is refused or closed")
            else:
                self._limitations.clear(limit)


class Shares(Counter[K]):
    """How much of a budget each holder has."""

    def give(self, holder: K, amount: int) -> None:
        """Take an amount away from a holder."""
        self[holder] -= amount
        if self[holder] <= 0:
            del self[holder]

    def worst_but(self, holder: K, maximum: int) -> K | None:
        """Return who holds most of a full budget, if a newcomer may take from it: None says that it is to be refused.

        It may while it has less than its fair share, and somebody has half as much again.
        """
        share = max(1, maximum // max(1, len(self) + (holder not in self)))
        if self[holder] >= share:
            return None
        worst = max(self, key=self.__getitem__, default=None)
        return worst if worst is not None and 2 * self[worst] >= 3 * share else None
