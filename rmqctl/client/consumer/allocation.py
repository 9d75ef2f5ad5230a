"""Which queues of a topic a member of a consumer group gets: a pure function, the same in every client of the group.

All members compute it on their own, so it must agree to the last detail with Java's: the order of queues and client
ids, and who gets the remainder. Source: `AllocateMessageQueueAveragely`, `RebalanceImpl#rebalanceByTopic`
(RocketMQ 4.5.2).
"""

from collections.abc import Iterable

from rmqnode.protocol.bodies import MessageQueue


def allocate_averagely(own_id: str, client_ids: Iterable[str], queues: Iterable[MessageQueue]) -> list[MessageQueue]:
    """Return the queues of the member `own_id`: a contiguous run, the first members getting one more.

    Args:
        own_id: Client id of this member; when it is not among `client_ids` it gets nothing.
        client_ids: Ids of all members, in any order.
        queues: Queues of one topic, in any order.
    """
    members = sorted(set(client_ids), key=_java_order)
    if own_id not in members:
        return []
    ordered = sorted(queues, key=queue_order)
    index = members.index(own_id)
    share, remainder = divmod(len(ordered), len(members))
    start = index * share + min(index, remainder)
    return ordered[start : start + share + (index < remainder)]


def queue_order(queue: MessageQueue) -> tuple[bytes, bytes, int]:
    """Sort key that gives the order of Java's `MessageQueue#compareTo`."""
    return _java_order(queue.topic), _java_order(queue.broker_name), queue.queue_id


def _java_order(text: str) -> bytes:
    """Sort key of `String#compareTo`: UTF-16 units, which differ from code points beyond the basic plane."""
    return text.encode("utf-16-be", "surrogatepass")
