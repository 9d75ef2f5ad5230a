"""Consuming many messages at a time, in no order. Source: `ConsumeMessageConcurrentlyService` (RocketMQ 4.5.2)."""

import logging
from collections import deque
from functools import partial
from time import perf_counter
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

_LOCAL_RETRY_SECONDS: Final = 5.0
"""Until a message is consumed again that no broker took back."""

_TURN_SECONDS: Final = 0.005
"""After so long, handlers that never wait let others go on."""


class ConcurrentConsumption:
    """Workers that take messages of all queues in the order in which they were pulled.

    Args:
        member: Whose messages they are.
        calls: The handler.
        concurrency: How many handlers run at a time.
        max_reconsume_times: Redeliveries before a message goes to the dead-letter queue.
    """

    def __init__(self, member: GroupMember, calls: HandlerCalls, *, concurrency: int, max_reconsume_times: int) -> None:
        self._member = member
        self._calls = calls
        self._concurrency = concurrency
        self._max_reconsume_times = max_reconsume_times
        self._ready: deque[tuple[ProcessQueue, StoredMessage]] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        self._turn_end = 0.0
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the workers until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for _ in range(self._concurrency):
                nursery.start_soon(self._work)
            task_status.started()

    async def run_queue(self, process_queue: ProcessQueue) -> None:
        """A queue needs no task of its own."""

    def deliver(self, process_queue: ProcessQueue, messages: list[StoredMessage]) -> None:
        """Take messages that are held in the process queue."""
        self._ready.extend([(process_queue, message) for message in messages])
        self._idle.unpark(count=len(messages))

    async def _work(self) -> None:
        while True:
            if not self._ready:
                await self._idle.park()
                self._turn_end = perf_counter() + _TURN_SECONDS
                continue
            if perf_counter() > self._turn_end:
                await trio.lowlevel.checkpoint()
                self._turn_end = perf_counter() + _TURN_SECONDS
                continue
            await trio.lowlevel.checkpoint_if_cancelled()
            process_queue, stored = self._ready.popleft()
            if process_queue.is_dropped:
                continue
            message = ReceivedMessage(stored, process_queue.queue)
            await self._calls.consume(message, partial(self._settle, process_queue, stored))

    async def _settle(self, process_queue: ProcessQueue, stored: StoredMessage, retry: Retry | None) -> None:
        if retry is not None and not await self._give_back(process_queue, stored, retry):
            assert self._nursery is not None
            self._nursery.start_soon(self._deliver_later, process_queue, stored)
            return
        offset = process_queue.remove(stored.queue_offset)
        if not process_queue.is_dropped:
            self._member.offsets.update(process_queue.queue, offset, increase_only=True)

    async def _give_back(self, process_queue: ProcessQueue, stored: StoredMessage, retry: Retry) -> bool:
        """Have a message delivered again by a broker; returns whether this copy is done with."""
        if self._member.is_broadcasting:
            logger.warning("message given up offset=%d queue=%s", stored.queue_offset, process_queue.queue)
            return True
        requests = self._member.requests
        limit = self._max_reconsume_times
        try:
            await requests.send_back(stored, process_queue.queue, retry.delay_level, limit)
        except ClientError as error:
            logger.info("message not sent back, sending a copy queue=%s reason=%s", process_queue.queue, error)
            try:
                await requests.send_copy(stored, stored.reconsume_times + 1, limit)
            except ClientError as failure:
                logger.warning("message not sent back queue=%s reason=%s", process_queue.queue, failure)
                return False
        return True

    async def _deliver_later(self, process_queue: ProcessQueue, stored: StoredMessage) -> None:
        await trio.sleep(_LOCAL_RETRY_SECONDS)
        self.deliver(process_queue, [stored])
