"""Consuming each queue in order, one message at a time, while the broker keeps the queue for this member.

A message that fails stops its queue: it is tried again after a pause, and only after `max_reconsume_times` (never by
default) it goes to the dead-letter queue. Source: `ConsumeMessageOrderlyService` (RocketMQ 4.5.2), differs: a queue
whose lock was lost is given up and entered anew at the stored offset, because another member may have gone on.
"""

import logging
from functools import partial
from typing import Final

import trio

from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.handler_calls import HandlerCalls
from rmqctl.client.consumer.process_queue import ProcessQueue
from rmqctl.client.consumer.retry import Retry
from rmqctl.client.errors import ClientError
from rmqctl.client.received import ReceivedMessage
from rmqnode.protocol.message import StoredMessage

logger = logging.getLogger(__name__)

_SUSPEND_SECONDS_MIN: Final = 0.01
_SUSPEND_SECONDS_MAX: Final = 30.0


class OrderlyConsumption:
    """One task for each queue.

    Args:
        member: Whose messages they are.
        calls: The handler.
        concurrency: How many queues are consumed at a time.
        max_reconsume_times: Failures before a message goes to the dead-letter queue.
        suspend_seconds: How long a queue stands still after a failure.
    """

    def __init__(
        self,
        member: GroupMember,
        calls: HandlerCalls,
        *,
        concurrency: int,
        max_reconsume_times: int,
        suspend_seconds: float,
    ) -> None:
        self._member = member
        self._calls = calls
        self._permits = trio.Semaphore(concurrency)
        self._max_reconsume_times = max_reconsume_times
        self._suspend_seconds = suspend_seconds

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Nothing runs besides the tasks of the queues."""
        task_status.started()

    def deliver(self, process_queue: ProcessQueue, messages: list[StoredMessage]) -> None:
        """Nothing to do: the task of the queue sees what is held."""

    async def run_queue(self, process_queue: ProcessQueue) -> None:
        """Consume a queue until it is dropped or its lock is lost."""
        failures = 0
        while True:
            await process_queue.wait_for_message()
            async with self._permits:
                stored = process_queue.first()
                if process_queue.is_dropped or stored is None:
                    return
                if self._member.needs_locks and not process_queue.is_locked:
                    logger.warning("lock lost group=%s queue=%s", self._member.group, process_queue.queue)
                    return process_queue.drop()
                message = ReceivedMessage(stored, process_queue.queue)
                message.reconsume_times += failures
                suspend_seconds = await self._calls.consume(message, partial(self._settle, process_queue, message))
            failures = 0 if suspend_seconds is None else failures + 1
            if suspend_seconds is not None:
                await trio.sleep(suspend_seconds)

    async def _settle(self, process_queue: ProcessQueue, message: ReceivedMessage, retry: Retry | None) -> float | None:
        """Return how long the queue has to wait before the message is tried again, None to go on with the next."""
        stored = message.stored
        if retry is not None and not await self._give_up(stored, message.reconsume_times):
            return self._pause(retry)
        process_queue.remove(stored.queue_offset)
        # Also when the queue is lost: its lock is kept until this is persisted, so the next member goes on from here.
        self._member.offsets.update(process_queue.queue, stored.queue_offset + 1, increase_only=True)
        return None

    async def _give_up(self, stored: StoredMessage, reconsume_times: int) -> bool:
        if reconsume_times < self._max_reconsume_times:
            return False
        try:
            await self._member.requests.send_copy(stored, reconsume_times, self._max_reconsume_times)
        except ClientError as error:
            logger.warning("dead letter not sent group=%s reason=%s", self._member.group, error)
            return False
        return True

    def _pause(self, retry: Retry) -> float:
        seconds = self._suspend_seconds if retry.suspend_seconds is None else retry.suspend_seconds
        return min(_SUSPEND_SECONDS_MAX, max(_SUSPEND_SECONDS_MIN, seconds))
