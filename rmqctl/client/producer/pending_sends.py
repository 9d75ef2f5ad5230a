"""Messages on their way whose results nobody waits for right now: their bound, their time-outs, their outcomes.

A message costs no task: its answer is taken by a function, and one task looks after the time-outs of all. Only what has
to be sent again, or waits for a route or a connection, gets a task of its own.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from rmqctl.client.answers import Answer, Submission
from rmqctl.client.errors import ClientError
from rmqctl.client.message import SendResult
from rmqctl.client.producer.delivery import Delivery, FailedAttempt
from rmqctl.client.producer.queue_choice import Placement
from rmqctl.client.producer.send_request import SendRequest, result_of
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.errors import fresh

SendOutcome = SendResult | ClientError
SendCallback = Callable[[SendOutcome], None]
"""Takes what became of a message; must not block. What it raises ends the producer."""

_SWEEP_SECONDS: Final = 0.1
"""How late a time-out may be noticed."""

_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bodies of messages on their way; one message alone may be larger."""


class PendingSend:
    """A message on its way. `await pending.result()` waits for it, now or later."""

    __slots__ = (
        "_callback",
        "_done",
        "_outcome",
        "placement",
        "request",
        "submission",
        "timeout_seconds",
        "timer_end",
    )

    def __init__(
        self, request: SendRequest, placement: Placement, timeout_seconds: float, callback: SendCallback | None
    ) -> None:
        self.request = request
        self.placement = placement
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
            raise fresh(self._outcome)
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
        delivery: Sends them.
        count_max: So many at most; senders wait for room.
    """

    def __init__(self, delivery: Delivery, count_max: int) -> None:
        self._delivery = delivery
        self._count_max = count_max
        self._bytes = 0
        self._pending: set[PendingSend] = set()
        self._room = trio.lowlevel.ParkingLot()
        self._emptied = trio.lowlevel.ParkingLot()
        self._filled = trio.Event()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after time-outs and repeated sends until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await self._watch_time_outs()
            finally:
                # Connections are closed next: what comes back from them is not sent again.
                self._nursery = None

    async def _watch_time_outs(self) -> None:
        while True:
            await self._filled.wait()
            planned = trio.current_time() + _SWEEP_SECONDS
            await trio.sleep_until(planned)
            now = trio.current_time()
            if now - planned > _SWEEP_SECONDS:
                # Something held the event loop up: answers may be there that nobody had the time to read.
                continue
            for pending in [pending for pending in self._pending if pending.timer_end <= now]:
                self._time_out(pending)
            if not self._pending:
                self._filled = trio.Event()

    async def start(self, pending: PendingSend) -> None:
        """Wait for room and send a message."""
        await self._take_in(pending)
        pending.timer_end = trio.current_time() + pending.timeout_seconds
        take_outcome = partial(self._take_outcome, pending)
        pending.submission = self._delivery.submit(pending.request, pending.placement, take_outcome)
        if pending.submission is not None:
            return
        if pending.placement.is_free:
            self._deliver_soon(pending, None)
        else:
            # Order counts: what follows must not overtake it while there is no connection.
            await self._deliver(pending, None)

    async def wait_empty(self) -> None:
        """Wait until every message has an outcome."""
        while self._pending:
            await self._emptied.park()

    def finish_all(self, error: ClientError) -> None:
        """Give every message that has no outcome this error."""
        for pending in tuple(self._pending):
            if pending.submission is not None:
                pending.submission.withdraw()
            self._finish(pending, error)

    async def _take_in(self, pending: PendingSend) -> None:
        size_bytes = len(pending.request.body)
        if self._is_full(size_bytes):
            while self._is_full(size_bytes):
                await self._room.park()
        else:
            # Cheap on purpose: a full producer is what makes room for others.
            await trio.lowlevel.checkpoint_if_cancelled()
        if not self._pending:
            self._filled.set()
        self._pending.add(pending)
        self._bytes += size_bytes

    def _is_full(self, size_bytes: int) -> bool:
        count = len(self._pending)
        return count >= self._count_max or (count > 0 and self._bytes + size_bytes > _BYTES_MAX)

    def _take_outcome(self, pending: PendingSend, outcome: Answer | ClientError, queue: MessageQueue) -> None:
        if isinstance(outcome, Answer):
            self._finish(pending, _result_or_error(outcome, pending.request, queue))
        elif pending.placement.is_free and self._delivery.can_repeat(outcome, pending.request.topic):
            self._deliver_soon(pending, FailedAttempt(queue.broker_name, outcome))
        else:
            self._finish(pending, outcome)

    def _deliver_soon(self, pending: PendingSend, failure: FailedAttempt | None) -> None:
        if self._nursery is None:
            self._finish(pending, closed_too_early())
        else:
            self._nursery.start_soon(self._deliver, pending, failure)

    async def _deliver(self, pending: PendingSend, failure: FailedAttempt | None) -> None:
        seconds_left = pending.timer_end - trio.current_time()
        pending.timer_end, pending.submission = math.inf, None
        request = pending.request
        try:
            answer, queue = await self._delivery.deliver(request, pending.placement, seconds_left, failure)
            self._finish(pending, _result_or_error(answer, request, queue))
        except ClientError as error:
            self._finish(pending, error)
        except trio.Cancelled:
            self._finish(pending, closed_too_early())
            raise

    def _time_out(self, pending: PendingSend) -> None:
        if pending.submission is not None:
            self._delivery.note_time_out(pending.submission.broker)
            self._finish(pending, pending.submission.time_out(pending.timeout_seconds))

    def _finish(self, pending: PendingSend, outcome: SendOutcome) -> None:
        if pending not in self._pending:
            return
        self._pending.discard(pending)
        self._bytes -= len(pending.request.body)
        if self._room:
            self._room.unpark_all()
        if not self._pending:
            self._emptied.unpark_all()
        pending.finish(outcome)


def closed_too_early() -> ClientError:
    """Return the error for messages that were on their way when their producer was closed."""
    return ClientError(
        "the producer was closed before the message had its result",
        "it may be stored or not",
        "wait for results, or for flush(), before leaving the producer",
    )


def _result_or_error(answer: Answer, request: SendRequest, queue: MessageQueue) -> SendOutcome:
    try:
        return result_of(answer, request, queue)
    except ClientError as error:
        return error
