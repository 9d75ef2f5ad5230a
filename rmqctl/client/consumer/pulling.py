"""Reading one queue for as long as a member has it: pull, deliver, wait for room, pull again.

What an answer or an error means for the next pull is decided here. Source: `DefaultMQPushConsumerImpl#pullMessage`
(RocketMQ 4.5.2), differs: errors are waited out with a growing pause up to Java's 3 s; a broker that does not know the
subscription gets a heartbeat at once; a queue whose offset is illegal is entered anew after 1 s instead of 30 s.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.process_queue import ProcessQueue
from rmqctl.client.errors import ClientError, RequestRefused
from rmqctl.client.pull import PullResult, PullStatus
from rmqctl.client.routes import MASTER_ID
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.message import StoredMessage

logger = logging.getLogger(__name__)

_RETRY_SECONDS_MIN: Final = 0.1
_RETRY_SECONDS_MAX: Final = 3.0

_ILLEGAL_SECONDS: Final = 1.0
"""Before a queue is entered anew: an offset that stays illegal must not be asked for without a pause."""

_NOT_HELD_SECONDS: Final = 0.1
"""A broker that answers `nothing new` faster than this does not hold pulls: it is asked again after as long."""

_SUBSCRIPTION_UNKNOWN: Final = frozenset(
    {int(ResponseCode.SUBSCRIPTION_NOT_EXIST), int(ResponseCode.SUBSCRIPTION_NOT_LATEST)}
)

Deliver = Callable[[ProcessQueue, list[StoredMessage]], None]
"""Takes messages that are held in the process queue now."""


class QueuePuller:
    """Pulls one queue.

    Args:
        member: Who pulls.
        process_queue: Holds what was pulled.
        next_offset: Queue offset to begin at.
        deliver: Called with the messages of each answer.
    """

    def __init__(self, member: GroupMember, process_queue: ProcessQueue, next_offset: int, deliver: Deliver) -> None:
        self._member = member
        self._process_queue = process_queue
        self._next_offset = next_offset
        self._deliver = deliver
        self._broker_id = MASTER_ID
        self._retry_seconds = _RETRY_SECONDS_MIN

    async def run(self) -> None:
        """Pull until the queue is dropped, or its offset turns out to be illegal."""
        process_queue = self._process_queue
        while True:
            await process_queue.wait_for_room()
            await self._member.may_pull.wait()
            if process_queue.is_dropped:
                return
            try:
                result = await self._pull()
            except ClientError as error:
                await self._wait_out(error)
                continue
            self._retry_seconds = _RETRY_SECONDS_MIN
            self._broker_id = result.suggested_broker_id
            if result.status is PullStatus.OFFSET_ILLEGAL:
                return await self._correct(result)
            self._take(result)

    async def _pull(self) -> PullResult:
        member, queue = self._member, self._process_queue.queue
        selector = member.topics.selector(queue.topic)
        if selector is None:
            # Unsubscribed a moment ago: the next rebalance drops the queue.
            await trio.sleep_forever()
        asked_at = self._process_queue.last_pull = trio.current_time()
        result = await member.requests.pull(
            queue,
            self._next_offset,
            selector,
            broker_id=self._broker_id,
            commit_offset=member.offsets.known(queue) if member.commits_in_passing else None,
            with_subscription=member.posts_subscription,
        )
        seconds = trio.current_time() - asked_at
        if result.status is PullStatus.FOUND:
            member.statistics.pulled(queue.topic, len(result.messages), seconds)
        elif seconds < _NOT_HELD_SECONDS and result.next_offset == self._next_offset:
            await trio.sleep(_NOT_HELD_SECONDS)
        return result

    def _take(self, result: PullResult) -> None:
        process_queue = self._process_queue
        if process_queue.is_dropped:
            return
        self._next_offset = result.next_offset
        new = process_queue.put(result.messages)
        if new:
            self._deliver(process_queue, new)
        elif not process_queue:
            # All were consumed or not wanted: the group is as far as this.
            self._member.offsets.update(process_queue.queue, result.next_offset, increase_only=True)

    async def _correct(self, result: PullResult) -> None:
        """Give the queue up with the offset that the broker names: where it begins, or ends."""
        queue = self._process_queue.queue
        logger.warning(
            "offset illegal group=%s queue=%s asked=%d min=%d max=%d next=%d",
            self._member.group, queue, self._next_offset, result.min_offset, result.max_offset, result.next_offset,
        )  # fmt: skip
        self._process_queue.drop()
        self._member.offsets.update(queue, result.next_offset, increase_only=False)
        await self._member.offsets.persist([queue], confirmed=True)
        await trio.sleep(_ILLEGAL_SECONDS)

    async def _wait_out(self, error: ClientError) -> None:
        """Wait before the next try, and undo what may have caused the error."""
        queue = self._process_queue.queue
        logger.info("pull failed group=%s queue=%s reason=%s", self._member.group, queue, error)
        self._broker_id = MASTER_ID
        self._member.topics.doubt(queue.topic)
        if isinstance(error, RequestRefused) and error.response_code in _SUBSCRIPTION_UNKNOWN:
            # Heartbeats go to the brokers of known routes, from which one that was restarted may be missing.
            with suppress(ClientError):
                await self._member.topics.route(queue.topic)
            await self._member.beat()
        await trio.sleep(self._retry_seconds)
        self._retry_seconds = min(_RETRY_SECONDS_MAX, self._retry_seconds * 2)
