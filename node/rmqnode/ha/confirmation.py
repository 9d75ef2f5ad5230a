"""Sends that wait until a slave has them (SYNC_MASTER), and what they are told.

Source: HAService#isSlaveOK, GroupTransferService, CommitLog#handleHA (RocketMQ 4.5.2). Differs: each one waits for
its own time, where Apache serves them one after the other; a report beyond our own log confirms nothing.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import msgspec
import trio

_SCAN_SECONDS: Final = 0.1
"""Precision of timeouts; nothing runs while no send waits."""


class Confirmation(Enum):
    """What became of a send that wanted a slave to have it; it is stored here in any case."""

    CONFIRMED = auto()
    """A slave has it."""
    TIMEOUT = auto()
    """No slave said so in time."""
    NO_SLAVE = auto()
    """No slave is connected, or all of them are too far behind to wait for."""


class _Waiting(msgspec.Struct, gc=False):
    end_offset: int
    deadline: float
    answer: Callable[[Confirmation], None]


class ConfirmationQueue:
    """Sends in the order of their end in the log.

    Args:
        timeout_seconds: How long a send waits (`syncFlushTimeout`).
        behind_bytes_max: From this distance on nobody waits for a slave (`haSlaveFallbehindMax`).
        on_answered: Called after each round of answers.
    """

    def __init__(self, timeout_seconds: float, behind_bytes_max: int, on_answered: Callable[[], None]) -> None:
        self._on_answered = on_answered
        self._timeout_seconds = timeout_seconds
        self._behind_bytes_max = behind_bytes_max
        self._waiting: deque[_Waiting] = deque()
        self._something_waits = trio.Event()
        self.confirmed_offset = 0
        """Physical offset up to which some slave has had the log; never lowered."""
        self._claimed_offset = 0

    @property
    def waiting_count(self) -> int:
        """How many sends wait."""
        return len(self._waiting)

    def answer_when_confirmed(self, end_offset: int, slave_count: int, answer: Callable[[Confirmation], None]) -> None:
        """Answer once a slave has the log up to an offset; at once when one has it or none can be waited for."""
        reached = max(self.confirmed_offset, self._claimed_offset)
        if slave_count <= 0 or end_offset - reached >= self._behind_bytes_max:
            answer(Confirmation.NO_SLAVE)
            self._on_answered()
        elif end_offset <= self.confirmed_offset:
            answer(Confirmation.CONFIRMED)
            self._on_answered()
        else:
            deadline = trio.current_time() + self._timeout_seconds
            self._waiting.append(_Waiting(end_offset, deadline, answer))
            self._something_waits.set()

    def claim(self, physical_offset: int) -> None:
        """Note that a slave that just connected says to have the log up to an offset: it is worth waiting for."""
        self._claimed_offset = max(self._claimed_offset, physical_offset)

    def confirm(self, physical_offset: int) -> None:
        """Note that a slave has the log up to an offset."""
        if physical_offset <= self.confirmed_offset:
            return
        self.confirmed_offset = physical_offset
        while self._waiting and self._waiting[0].end_offset <= physical_offset:
            self._waiting.popleft().answer(Confirmation.CONFIRMED)
        self._on_answered()

    def give_up_waiting(self) -> None:
        """Answer everything that waits: the broker stops."""
        self._answer_late(float("inf"))

    async def watch_timeouts(self) -> None:
        """Service: answer those whose time is over."""
        while True:
            await self._something_waits.wait()
            await trio.sleep(_SCAN_SECONDS)
            self._answer_late(trio.current_time())
            if not self._waiting:
                self._something_waits = trio.Event()

    def _answer_late(self, now: float) -> None:
        while self._waiting and self._waiting[0].deadline <= now:
            waiting = self._waiting.popleft()
            is_confirmed = waiting.end_offset <= self.confirmed_offset
            waiting.answer(Confirmation.CONFIRMED if is_confirmed else Confirmation.TIMEOUT)
        self._on_answered()
