"""Which client may read a queue in order: locks of orderly consumers, in memory only.

A lock belongs to a client id, not to a connection, and lives 60 s after its last renewal.
Source: `RebalanceLockManager` (RocketMQ 4.5.2). Differs: a lock whose time is over is forgotten, and there are no more
than `queueLocksMax`; 4.5.2 keeps all for ever.
"""

from collections.abc import Callable, Iterable
from typing import Final

from rmqnode.broker.budgets import Shares
from rmqnode.net.budgets import Budget
from rmqnode.protocol.bodies import MessageQueue

LOCK_LIVE_TIME_MS: Final = 60_000
"""`rocketmq.broker.rebalance.lockMaxLiveTime`."""


class QueueLocks:
    """Locks by consumer group and queue.

    Args:
        clock_ms: Milliseconds since the epoch.
        budget: How many there may be.
    """

    def __init__(self, clock_ms: Callable[[], int], budget: Budget) -> None:
        self._clock_ms = clock_ms
        self._budget = budget
        self._locks: dict[str, dict[MessageQueue, tuple[str, int]]] = {}
        self._by_client: Shares[str] = Shares()

    def lock(self, group: str, queues: Iterable[MessageQueue], client_id: str) -> list[MessageQueue]:
        """Lock or renew as many of the queues as are free, expired or the client's own; return those."""
        now_ms = self._clock_ms()
        locks = self._locks.setdefault(group, {})
        granted: list[MessageQueue] = []
        for queue in queues:
            known = locks.get(queue)
            if known is None:
                if not self._has_place(client_id):
                    continue
            elif known[0] != client_id and now_ms - known[1] <= LOCK_LIVE_TIME_MS:
                continue
            else:
                self._forget(known[0])
            locks[queue] = (client_id, now_ms)
            self._by_client[client_id] += 1
            self._budget.used += 1
            granted.append(queue)
        if locks:
            self._locks[group] = locks
        else:
            self._locks.pop(group, None)
        return granted

    def unlock(self, group: str, queues: Iterable[MessageQueue], client_id: str) -> None:
        """Free the client's own locks; those of others stay."""
        locks = self._locks.get(group, {})
        for queue in queues:
            known = locks.get(queue)
            if known is not None and known[0] == client_id:
                del locks[queue]
                self._forget(client_id)
        if not locks:
            self._locks.pop(group, None)

    def expire(self) -> None:
        """Forget the locks whose time is over."""
        oldest_ms = self._clock_ms() - LOCK_LIVE_TIME_MS
        self._drop(lambda owner, renewed_ms: renewed_ms < oldest_ms)

    def _has_place(self, client_id: str) -> bool:
        """Whether a client may have one more; the locks of one that has far too many may go for it."""
        if self._budget.free > 0:
            return True
        worst = self._by_client.worst_but(client_id, self._budget.maximum)
        self._budget.refuse()
        if worst is None:
            return False
        self._drop(lambda owner, _: owner == worst)
        return True

    def _drop(self, is_due: Callable[[str, int], bool]) -> None:
        for group, locks in list(self._locks.items()):
            due = [queue for queue, (owner, renewed_ms) in locks.items() if is_due(owner, renewed_ms)]
            for queue in due:
                self._forget(locks.pop(queue)[0])
            if not locks and due:
                del self._locks[group]

    def _forget(self, owner: str) -> None:
        self._by_client.give(owner, 1)
        self._budget.used -= 1
