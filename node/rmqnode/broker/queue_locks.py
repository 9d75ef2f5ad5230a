"""Which client may read a queue in order: locks of orderly consumers, in memory only.

A lock belongs to a client id, not to a connection, and lives 60 s after its last renewal.
Source: `RebalanceLockManager` (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Iterable
from typing import Final

from rmqnode.protocol.bodies import MessageQueue

LOCK_LIVE_TIME_MS: Final = 60_000
"""`rocketmq.broker.rebalance.lockMaxLiveTime`."""


class QueueLocks:
    """Locks by consumer group and queue."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._locks: dict[str, dict[MessageQueue, tuple[str, int]]] = {}

    def lock(self, group: str, queues: Iterable[MessageQueue], client_id: str) -> list[MessageQueue]:
        """Lock or renew as many of the queues as are free, expired or the client's own; return those."""
        now_ms = self._clock_ms()
        locks = self._locks.setdefault(group, {})
        granted: list[MessageQueue] = []
        for queue in queues:
            owner, renewed_ms = locks.get(queue, (client_id, now_ms))
            if owner == client_id or now_ms - renewed_ms > LOCK_LIVE_TIME_MS:
                locks[queue] = (client_id, now_ms)
                granted.append(queue)
        return granted

    def unlock(self, group: str, queues: Iterable[MessageQueue], client_id: str) -> None:
        """Free the client's own locks; those of others stay."""
        locks = self._locks.get(group, {})
        for queue in queues:
            lock = locks.get(queue)
            if lock is not None and lock[0] == client_id:
                del locks[queue]
