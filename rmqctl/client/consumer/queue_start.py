"""Where a consumer enters a queue that it was just given. Source: `RebalancePushImpl#computePullFromWhere` (4.5.2)."""

from rmqctl.client.consumer.group_requests import GroupRequests
from rmqctl.client.consumer.offset_store import OffsetStore
from rmqctl.client.names import RETRY_PREFIX
from rmqctl.client.start_position import Earliest, Latest, Since, StartPosition
from rmqnode.protocol.bodies import ConsumeFromWhere, MessageQueue


async def starting_offset(
    store: OffsetStore, requests: GroupRequests, queue: MessageQueue, start: StartPosition
) -> int:
    """Return the stored offset, or where `start` says when there is none.

    A group's retry topic starts at its first message unless the group starts at a time, as in Java. Brokers answer
    0 for a queue whose first message is still young, whatever the start: nothing of a new topic is missed.

    Raises:
        ClientError: The broker does not say; try again later rather than guess.
    """
    stored = await store.stored(queue)
    if stored is not None and stored >= 0:
        # From now on it is persisted again and again, for brokers that lost it and tools that ask for it.
        store.update(queue, stored, increase_only=True)
        return stored
    offsets = await requests.queue_offsets(queue.topic)
    if queue.topic.startswith(RETRY_PREFIX):
        return await (offsets.next(queue) if isinstance(start, Since) else offsets.first(queue))
    return await offsets.starting_at(queue, start)


def consume_from_where(start: StartPosition) -> ConsumeFromWhere:
    """Return the name of a start position in heartbeats."""
    match start:
        case Latest():
            return ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET
        case Earliest():
            return ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET
        case _:
            return ConsumeFromWhere.CONSUME_FROM_TIMESTAMP
