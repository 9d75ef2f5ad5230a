"""Merging the queues of a topic by store time, as far as that costs no waiting. No I/O, no clock.

Each queue delivers its messages in order; between queues the store time decides. A queue that is known to have more
(it is *behind*) is waited for, since its next answer comes at once. A queue that was read to its end, or whose broker
does not answer, is not: what the others have goes out, and order between queues is then that of arrival.
"""

from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

Q = TypeVar("Q")


class Stored(Protocol):
    """What merging needs to know of a message."""

    @property
    def store_timestamp(self) -> int:
        """Milliseconds of the epoch at which the broker stored it."""


M = TypeVar("M", bound=Stored)


class QueueMerge(Generic[Q, M]):
    """Holds what queues delivered, and gives it out in order of store time."""

    def __init__(self) -> None:
        self._pending: dict[Q, deque[M]] = {}
        self._behind: set[Q] = set()

    def open(self, queue: Q, *, behind: bool) -> None:
        """Add a queue; `behind` says that messages of it are stored already."""
        self._pending[queue] = deque()
        self.mark(queue, behind=behind)

    def close(self, queue: Q) -> None:
        """Expect nothing more from a queue; what it delivered still goes out."""
        self._behind.discard(queue)
        if not self._pending.get(queue):
            self._pending.pop(queue, None)

    def mark(self, queue: Q, *, behind: bool) -> None:
        """Say whether more messages of the queue are known to be there."""
        if behind:
            self._behind.add(queue)
        else:
            self._behind.discard(queue)

    def add(self, queue: Q, messages: Iterable[M], *, behind: bool) -> None:
        """Take one answer of a queue, oldest first."""
        self._pending.setdefault(queue, deque()).extend(messages)
        self.mark(queue, behind=behind)

    def pending_count(self, queue: Q) -> int:
        """How many messages of the queue were delivered and not yet given out."""
        return len(self._pending.get(queue, ()))

    def take(self, count_max: int) -> list[tuple[Q, M]]:
        """Give out what is in order by now, at most `count_max` messages."""
        taken: list[tuple[Q, M]] = []
        while len(taken) < count_max and all(self._pending[queue] for queue in self._behind):
            heads = [(messages[0].store_timestamp, queue) for queue, messages in self._pending.items() if messages]
            if not heads:
                break
            queue = min(heads, key=lambda head: head[0])[1]
            taken.append((queue, self._pending[queue].popleft()))
        return taken
