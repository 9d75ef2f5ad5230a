"""Calling an application's handler: what its outcome means, how long it may take, and that closing lets it finish.

closing     who runs a handler is shielded, and from the moment of closing has so many seconds to end
timeout     a handler that takes longer than the consumer allows is cancelled and counts as failed
exception   counts as failed and is logged: an application's bug ends no consumer
damage      a message whose body is damaged is not delivered again: who gives it back has the broker store the damaged
            body once more, with a CRC that fits it, and nobody could tell any more
"""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from rmqctl.client.consumer.retry import Retry
from rmqctl.client.consumer.statistics import ConsumerStatistics
from rmqctl.client.received import ReceivedMessage

logger = logging.getLogger(__name__)

Handler = Callable[[ReceivedMessage], Awaitable[Retry | None]]
"""Takes one message. Returning None is having consumed it; `Retry` or an exception brings it again later."""

T = TypeVar("T")

_TIMEOUT_DELAY_LEVEL: Final = 3
"""As Java's consumer sends back what takes too long: after 10 s."""


class HandlerCalls:
    """Calls one handler.

    Args:
        handler: The application's.
        timeout_seconds: Limit of one call (Java's `consumeTimeout`, which can't interrupt there).
        close_seconds: How long calls may go on once closing began.
        statistics: Counts outcomes.
    """

    def __init__(
        self, handler: Handler, *, timeout_seconds: float, close_seconds: float, statistics: ConsumerStatistics
    ) -> None:
        self._handler = handler
        self._timeout_seconds = timeout_seconds
        self._close_seconds = close_seconds
        self._statistics = statistics
        self._deadline = math.inf
        self._shields: set[trio.CancelScope] = set()

    async def guard(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wait to be cancelled, then give the calls that run their last seconds."""
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self._deadline = trio.current_time() + self._close_seconds
            for shield in self._shields:
                shield.deadline = min(shield.deadline, self._deadline)

    async def consume(self, message: ReceivedMessage, settle: Callable[[Retry | None], Awaitable[T]]) -> T | None:
        """Have the handler consume a message and do what its outcome asks for, though all is being cancelled.

        Args:
            message: Given to the handler.
            settle: Takes None when the message is consumed, and what the handler wants otherwise.

        Returns:
            What `settle` returned; None when there was no time left for either.
        """
        started_at = trio.current_time()
        # One scope for both limits: scopes are the dearest part of a message that is consumed at once.
        shield = trio.CancelScope(deadline=min(started_at + self._timeout_seconds, self._deadline), shield=True)
        self._shields.add(shield)
        try:
            with shield:
                retry = self._judge(message, await self.attempt(message), started_at)
                return await settle(retry)
        finally:
            self._shields.discard(shield)
        if trio.current_time() >= self._deadline:
            return None
        logger.warning("handler cancelled message=%r reason=no end within %g s", message, self._timeout_seconds)
        retry = self._judge(message, Retry(_TIMEOUT_DELAY_LEVEL), started_at)
        with trio.CancelScope(deadline=self._deadline, shield=True):
            return await settle(retry)
        return None

    async def attempt(self, message: ReceivedMessage) -> Retry | Exception | None:
        """Call the handler; returns what it returned or raised, and an error for what no handler may return."""
        try:
            call = self._handler(message)
            if not hasattr(call, "__await__"):
                return TypeError("the handler is no async function: async def handle(message): …")
            outcome = await call
        except Exception as error:
            # An edge like the dispatch of requests: whatever the application raises is its way to say "again".
            return error
        if outcome is None or isinstance(outcome, Retry):
            return outcome
        return TypeError(f"the handler returned {outcome!r}, and not None or Retry(…)")

    def _judge(self, message: ReceivedMessage, outcome: Retry | Exception | None, started_at: float) -> Retry | None:
        if isinstance(outcome, Exception):
            logger.error("handler failed message=%r", message, exc_info=outcome)
            outcome = Retry()
        seconds = trio.current_time() - started_at
        self._statistics.consumed(message.queue.topic, seconds, failed=outcome is not None)
        if outcome is not None and message.is_damaged:
            logger.error("message given up message=%r keys=%s reason=body damaged", message, ",".join(message.keys))
            return None
        return outcome
