"""Moving a group to other offsets of a topic: first the plan, queue by queue, then the change.

Consumers keep their offsets in memory and write them to the brokers every few seconds, so a change behind their back is
soon undone. Without members the offsets are written to the masters; members are told through their brokers, which know
places in time only. Source: `DefaultMQAdminExtImpl#resetOffsetByTimestamp`, `#resetOffsetByTimestampOld`,
`Broker2Client#resetOffset` (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import InvalidArgument
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.parallel import in_parallel
from rmqctl.client.routes import RouteTable, TopicRoute
from rmqctl.client.start_position import Earliest, Latest, Since
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import I64, Header
from rmqnode.protocol.headers import (
    QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader,
    UpdateConsumerOffsetRequestHeader,
)

_HAS_OFFSET_OR_NOT: Final = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.QUERY_NOT_FOUND)})
_LATEST_TIMESTAMP: Final = -1
_EARLIEST_TIMESTAMP: Final = 0


class _ResetOffsetRequestHeader(Header):
    """Header of INVOKE_BROKER_TO_RESET_OFFSET (222)."""

    topic: str
    group: str
    timestamp: I64
    is_force: bool


class Step(msgspec.Struct, frozen=True):
    """As many messages further, or back when negative."""

    count: int

    def __str__(self) -> str:
        return f"{abs(self.count)} {'forward' if self.count > 0 else 'back'}"


ResetTarget = Earliest | Latest | Since | Step


class QueueReset(msgspec.Struct, frozen=True):
    """What a reset means for one queue. Its members are JSON of `rmqctl group reset-offset --json`."""

    broker: str
    queue_id: int
    min_offset: int
    max_offset: int
    old_offset: int | None
    """None when the group has none in this queue."""
    new_offset: int

    @property
    def skipped(self) -> int | None:
        """Messages that the group will not consume; negative for those that it consumes again; None if nobody knows."""
        return None if self.old_offset is None else self.new_offset - self.old_offset


class OffsetReset:
    """Moves one group on one topic.

    Args:
        connection: Open as long as this is used.
        routes: Where the topic is looked up.
        group: Name of the consumer group.
        topic: The topic.
    """

    def __init__(self, connection: ClusterConnection, routes: RouteTable, group: str, topic: str) -> None:
        self._connection = connection
        self._routes = routes
        self._group = group
        self._topic = topic

    async def plan(self, target: ResetTarget, wants: Callable[[MessageQueue], bool]) -> list[QueueReset]:
        """Return what the reset would change, by broker name and queue id; changes nothing.

        A step leaves queues out in which the group has no offset.

        Raises:
            TopicNotFound: No nameserver routes the topic.
            InvalidArgument: No queue is meant, or the group has no offset to step from.
        """
        route = await self._routes.refresh(self._topic)
        queues = [queue for queue in route.subscribe_queues() if wants(queue)]
        if not queues:
            raise InvalidArgument(f"topic {self._topic} has no such queue", cure=f"rmqctl topic describe {self._topic}")
        planned = await in_parallel([partial(self._plan_queue, route, queue, target) for queue in queues])
        plan = [reset for reset in planned if reset is not None]
        if not plan:
            raise InvalidArgument(
                f"group {self._group} has no offset of topic {self._topic} yet",
                "there is nothing to count from",
                "--to earliest, --to latest, or --to a time",
            )
        return plan

    async def write(self, plan: Sequence[QueueReset]) -> None:
        """Write the new offsets to the masters: for a group without members."""
        route = await self._routes.get(self._topic)
        for reset in plan:
            header = UpdateConsumerOffsetRequestHeader(
                consumer_group=self._group,
                topic=self._topic,
                queue_id=reset.queue_id,
                commit_offset=reset.new_offset,
            )
            await self._connection.ask_broker(
                reset.broker,
                route.master_address(reset.broker),
                RequestCode.UPDATE_CONSUMER_OFFSET,
                header,
                topic=self._topic,
            )

    async def tell_members(self, target: ResetTarget, plan: Sequence[QueueReset]) -> None:
        """Have every broker of the topic tell its members to go on elsewhere; they do so some ten seconds later.

        Raises:
            InvalidArgument: Brokers can't be told a step.
            RequestRefused: A client is too old.
        """
        header = _ResetOffsetRequestHeader(
            topic=self._topic, group=self._group, timestamp=_timestamp_of(target), is_force=True
        )
        # A broker refuses for a group that lacks the offset of a single queue.
        await self.write([reset for reset in plan if reset.old_offset is None])
        route = await self._routes.get(self._topic)
        for part in route.brokers:
            await self._connection.ask_broker(
                part.broker,
                route.master_address(part.broker),
                RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
                header,
                topic=self._topic,
            )

    async def _plan_queue(self, route: TopicRoute, queue: MessageQueue, target: ResetTarget) -> QueueReset | None:
        offsets = QueueOffsets(self._connection, route)
        min_offset, max_offset = await offsets.first(queue), await offsets.next(queue)
        old_offset = await self._old_offset(route, queue)
        if isinstance(target, Step):
            if old_offset is None:
                return None
            wished_offset = old_offset + target.count
        else:
            wished_offset = await offsets.starting_at(queue, target)
        return QueueReset(
            broker=queue.broker_name,
            queue_id=queue.queue_id,
            min_offset=min_offset,
            max_offset=max_offset,
            old_offset=old_offset,
            new_offset=max(min_offset, min(wished_offset, max_offset)),
        )

    async def _old_offset(self, route: TopicRoute, queue: MessageQueue) -> int | None:
        header = QueryConsumerOffsetRequestHeader(
            consumer_group=self._group, topic=self._topic, queue_id=queue.queue_id, set_zero_if_not_found=False
        )
        answer = await self._connection.ask_broker(
            queue.broker_name,
            route.master_address(queue.broker_name),
            RequestCode.QUERY_CONSUMER_OFFSET,
            header,
            success=_HAS_OFFSET_OR_NOT,
            topic=self._topic,
        )
        if answer.code == ResponseCode.QUERY_NOT_FOUND:
            return None
        return answer.header(QueryConsumerOffsetResponseHeader).offset


def _timestamp_of(target: ResetTarget) -> int:
    match target:
        case Latest():
            return _LATEST_TIMESTAMP
        case Earliest():
            return _EARLIEST_TIMESTAMP
        case Since(timestamp_ms):
            # As `QueueOffsets.starting_at`: the search may land in the middle of those of one millisecond.
            return max(0, timestamp_ms - 1)
        case Step():
            raise InvalidArgument(
                "members that are connected can't be moved by a number of messages",
                "brokers can only tell them a place in time",
                "--to earliest, --to latest or --to a time; or stop the consumers and repeat it",
            )
