"""What a consumer holds of one queue: messages that were pulled and not yet consumed, and what may be committed.

    pull ─▶ put ─▶ held ─▶ remove ─▶ commit offset
             ▲                │
             └─ wait_for_room ┘   no more is pulled while too much is held

The commit offset is the lowest one that is still held, so that nothing below it is missing after a crash. State
only: nobody is asked or told here. Source: `ProcessQueue`, `DefaultMQPushConsumerImpl#pullMessage` (RocketMQ 4.5.2),
differs: bytes are those of whole messages, not of bodies, and the puller is woken instead of looking every 50 ms.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
import trio

from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage

LOCK_LIFE_SECONDS: Final = 30.0
"""How long a lock counts without being renewed; the broker gives it to others after 60 s."""


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be held of one queue before pulling pauses; one more answer (32 messages) may come on top."""

    messages: int = 1000
    """`pullThresholdForQueue` of Java's consumer."""
    size_bytes: int = 100 * 1024 * 1024
    """`pullThresholdSizeForQueue`, there in MiB."""
    span: int = 2000
    """Distance between the lowest and the highest offset held, unless consumption is orderly:
    `consumeConcurrentlyMaxSpan`. A message that is not consumed for long thus stops its queue."""


class ProcessQueue:
    """The messages held of one queue, oldest first.

    Args:
        queue: Which one.
        limits: When to pause pulling.
        is_orderly: The span does not count then.
    """

    def __init__(self, queue: MessageQueue, limits: QueueLimits, *, is_orderly: bool = False) -> None:
        self.queue = queue
        self.is_dropped = False
        """The queue belongs to another member now, or its offset was reset: no message of it may be begun."""
        self.is_in_use = False
        """An orderly consumer is at work on it."""
        self.last_pull = self.last_consume = trio.current_time()
        self._limits = limits
        self._is_orderly = is_orderly
        self._held: dict[int, StoredMessage] = {}
        self._offsets: deque[int] = deque()
        self._size_bytes = 0
        self._end = 0
        self._locked_at: float | None = None
        self._has_room = trio.Event()
        self._has_room.set()
        self._arrived = trio.Event()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size_bytes(self) -> int:
        """Size of all messages held."""
        return self._size_bytes

    @property
    def lowest_offset(self) -> int | None:
        """Queue offset of the oldest message held; None when there is none."""
        while self._offsets and self._offsets[0] not in self._held:
            self._offsets.popleft()
        return self._offsets[0] if self._offsets else None

    @property
    def highest_offset(self) -> int | None:
        """Queue offset of the newest message held or consumed; None before the first."""
        return self._end - 1 if self._offsets else None

    @property
    def is_full(self) -> bool:
        """Whether a limit is exceeded."""
        if len(self._held) > self._limits.messages or self._size_bytes > self._limits.size_bytes:
            return True
        if self._is_orderly or not self._held:
            return False
        lowest = self.lowest_offset
        return lowest is not None and self._end - 1 - lowest > self._limits.span

    def put(self, messages: Sequence[StoredMessage]) -> list[StoredMessage]:
        """Hold messages in ascending order; return those that were not held already."""
        new = [message for message in messages if message.queue_offset not in self._held]
        for message in new:
            self._held[message.queue_offset] = message
            self._offsets.append(message.queue_offset)
            self._size_bytes += message.size_bytes
        if new:
            self._end = new[-1].queue_offset + 1
            self._arrived.set()
        if self.is_full:
            self._has_room = trio.Event()
        return new

    def first(self) -> StoredMessage | None:
        """Return the oldest message held."""
        offset = self.lowest_offset
        return None if offset is None else self._held[offset]

    def remove(self, queue_offset: int) -> int:
        """Forget a message that is done; return the offset that may be committed now."""
        message = self._held.pop(queue_offset, None)
        self.last_consume = trio.current_time()
        if message is not None:
            self._size_bytes -= message.size_bytes
        if not self._has_room.is_set() and not self.is_full:
            self._has_room.set()
        lowest = self.lowest_offset
        return self._end if lowest is None else lowest

    def drop(self) -> None:
        """Give the queue up: what is held is forgotten, who waits for room or for a message goes on."""
        self.is_dropped = True
        self._held.clear()
        self._offsets.clear()
        self._size_bytes = 0
        self._has_room.set()
        self._arrived.set()

    async def wait_for_room(self) -> None:
        """Wait until no limit is exceeded."""
        await self._has_room.wait()

    async def wait_for_message(self) -> None:
        """Wait until a message is held, or the queue was dropped."""
        while not self._held and not self.is_dropped:
            self._arrived = trio.Event()
            await self._arrived.wait()

    def note_lock(self, *, is_held: bool) -> None:
        """Keep what the broker said of our lock on the queue, just now."""
        self._locked_at = trio.current_time() if is_held else None

    @property
    def is_locked(self) -> bool:
        """Whether the broker keeps the queue for us: it said so, and not too long ago."""
        return self._locked_at is not None and trio.current_time() - self._locked_at <= LOCK_LIFE_SECONDS

    @property
    def locked_at(self) -> float | None:
        """When the broker last gave or prolonged the lock, by trio's clock; None without a lock."""
        return self._locked_at
