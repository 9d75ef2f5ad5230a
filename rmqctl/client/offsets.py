"""Offsets of one queue, asked from its master: first, next to be written, nearest to a time."""

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.routes import TopicRoute
from rmqctl.client.start_position import Earliest, LastMessages, Latest, StartPosition
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.header_fields import Header
from rmqnode.protocol.headers import OffsetResponseHeader, QueueRequestHeader, SearchOffsetRequestHeader


class QueueOffsets:
    """Asks the masters of a topic's route for offsets.

    All methods raise NoMaster, BrokerUnreachable, RequestTimedOut, RequestRefused, BadReply.
    """

    def __init__(self, connection: ClusterConnection, route: TopicRoute) -> None:
        self._connection = connection
        self._route = route

    async def first(self, queue: MessageQueue) -> int:
        """Return the queue offset of the first message that is still stored."""
        return await self._ask(queue, RequestCode.GET_MIN_OFFSET, _queue_header(queue))

    async def next(self, queue: MessageQueue) -> int:
        """Return the queue offset that the next message will get."""
        return await self._ask(queue, RequestCode.GET_MAX_OFFSET, _queue_header(queue))

    async def nearest(self, queue: MessageQueue, timestamp_ms: int) -> int:
        """Return the queue offset of the message whose store time is nearest to a time, in ms of the epoch.

        Of several messages stored in the same millisecond it may be any (binary search, 4.5.2).
        """
        header = SearchOffsetRequestHeader(topic=queue.topic, queue_id=queue.queue_id, timestamp=timestamp_ms)
        return await self._ask(queue, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, header)

    async def starting_at(self, queue: MessageQueue, start: StartPosition) -> int:
        """Return where to read from so that no message at or after `start` is missed; earlier ones may come too."""
        match start:
            case Latest():
                return await self.next(queue)
            case Earliest():
                return await self.first(queue)
            case LastMessages(count):
                return max(await self.first(queue), await self.next(queue) - count)
            case _:
                # A millisecond earlier, because the search may land in the middle of those of one millisecond.
                return await self.nearest(queue, start.timestamp_ms - 1)

    async def _ask(self, queue: MessageQueue, code: RequestCode, header: Header) -> int:
        answer = await self._connection.ask_broker(
            queue.broker_name, self._route.master_address(queue.broker_name), code, header, topic=queue.topic
        )
        return answer.header(OffsetResponseHeader).offset


def _queue_header(queue: MessageQueue) -> QueueRequestHeader:
    return QueueRequestHeader(topic=queue.topic, queue_id=queue.queue_id)
