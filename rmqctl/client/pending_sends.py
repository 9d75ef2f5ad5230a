"""Messages on their way whose results nobody waits for right now: their bound, their time-outs, their outcomes.

A message costs no task: its answer is taken by a function, and one task looks after time-outs of all of them.
"""

import math
from collections.abc import Callable
from typing import Final

import trio

from rmqctl.client.answers import Submission
from rmqctl.client.errors import ClientError
from rmqctl.client.message import SendResult

SendOutcome = SendResult | ClientError
SendCallback = Callable[[SendOutcome], None]
"""Takes what became of a message; must not block. What it raises ends the producer."""

_SWEEP_SECONDS: Final = 0.1
"""How late a time-out may be noticed."""


class PendingSend:
    """A message on its way. `await pending.result()` waits for it, now or later."""

    __slots__ = ("_callback", "_done", "_outcome", "size_bytes", "submission", "timeout_seconds", "timer_end")

    def __init__(self, callback: SendCallback | None, size_bytes: int, timeout_seconds: float) -> None:
        self.size_bytes = size_bytes
        self.timeout_seconds = timeout_seconds
        self.timer_end = math.inf
        """When the answer to the submission is late, by trio's clock."""
        self.submission: Submission | None = None
        self._callback = callback
        self._outcome: SendOutcome | None = None
        self._done: trio.Event | None = None

    @property
    def is_done(self) -> bool:
        """Whether the result, or an error instead, is there."""
        return self._outcome is not None

    async def result(self) -> SendResult:
        """Wait for the result.

        Raises:
            ClientError: What `Producer.send` would have raised.
        """
        if self._outcome is None:
            if self._done is None:
                self._done = trio.Event()
            await self._done.wait()
        if isinstance(self._outcome, ClientError):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def finish(self, outcome: SendOutcome) -> None:
        """Set the outcome and tell who waits for it."""
        self._outcome = outcome
        if self._done is not None:
            self._done.set()
        if self._callback is not None:
            self._callback(outcome)


class PendingSends:
    """All messages on their way of one producer.

    Args:
        count_max: So many at most; senders wait for room.
        bytes_max: Of their bodies; one message alone may be larger.
    """

    def __init__(self, count_max: int, bytes_max: int) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pending: set[PendingSend] = set()
        self._room = trio.lowlevel.ParkingLot()
        self._emptied = trio.lowlevel.ParkingLot()
        self._filled = trio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    async def add(self, pending: PendingSend) -> None:
        """Wait for room and take a message in."""
        if self._is_full(pending.size_bytes):
            while self._is_full(pending.size_bytes):
                await self._room.park()
        else:
            # Cheap on purpose: a full producer is what makes room for others.
            await trio.lowlevel.checkpoint_if_cancelled()
        if not self._pending:
            self._filled.set()
        self._pending.add(pending)
        self._bytes += pending.size_bytes

    def finish(self, pending: PendingSend, outcome: SendOutcome) -> None:
        """Set the outcome of a message and make room; it is ignored when there is one already."""
        if pending not in self._pending:
            return
        self._pending.discard(pending)
        self._bytes -= pending.size_bytes
        if self._room:
            self._room.unpark_all()
        if not self._pending:
            self._emptied.unpark_all()
        pending.finish(outcome)

    def finish_all(self, error: ClientError) -> None:
        """Give every message that has no outcome this error."""
        for pending in tuple(self._pending):
            if pending.submission is not None:
                pending.submission.withdraw()
            self.finish(pending, error)

    async def wait_empty(self) -> None:
        """Wait until every message has an outcome."""
        while self._pending:
            await self._emptied.park()

    async def expire(self, time_out: Callable[[PendingSend], None]) -> None:
        """Call a function with each message whose time is up, until cancelled."""
        while True:
            await self._filled.wait()
            await trio.sleep(_SWEEP_SECONDS)
            now = trio.current_time()
            for pending in [pending for pending in self._pending if pending.timer_end <= now]:
                time_out(pending)
            if not self._pending:
                self._filled = trio.Event()

    def _is_full(self, size_bytes: int) -> bool:
        return len(self._pending) >= self._count_max or (
            bool(self._pending) and self._bytes + size_bytes > self._bytes_max
        )
