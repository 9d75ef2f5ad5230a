"""Reading a topic by time: the messages that brokers stored in a span, of all queues, by store time.

Source: mqadmin's `printMsg` (RocketMQ 4.5.2).
"""

from functools import partial
from typing import Final

from rmqctl.client.admin.lookup import Found
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.names import Subscription
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.parallel import in_parallel
from rmqctl.client.pull import PullStatus, pull
from rmqctl.client.routes import RouteTable, TopicRoute
from rmqctl.client.start_position import Since
from rmqnode.protocol.bodies import MessageQueue

COUNT_MAX: Final = 1000
"""Of one queue, unless the caller wants more: a span of a busy topic does not fit into memory."""


async def messages_between(
    connection: ClusterConnection,
    routes: RouteTable,
    subscription: Subscription,
    begin_ms: int,
    end_ms: int,
    count_max: int = COUNT_MAX,
) -> list[Found]:
    """Return the messages of a topic that were stored from `begin_ms` to before `end_ms`, by store time.

    Args:
        connection: Open.
        routes: Where the topic is looked up.
        subscription: The topic and what is wanted of it.
        begin_ms: Milliseconds of the epoch.
        end_ms: As `begin_ms`; not included.
        count_max: Of each queue, the oldest.

    Raises:
        TopicNotFound: No nameserver routes the topic.
        ClientError: A broker of the topic has no master, does not answer, or refuses.
    """
    route = await routes.get(subscription.topic)
    read = partial(_read, connection, route, subscription, begin_ms, end_ms, count_max)
    found = await in_parallel([partial(read, queue) for queue in route.subscribe_queues()])
    return sorted((each for part in found for each in part), key=lambda each: each[1].store_timestamp)


async def _read(
    connection: ClusterConnection,
    route: TopicRoute,
    subscription: Subscription,
    begin_ms: int,
    end_ms: int,
    count_max: int,
    queue: MessageQueue,
) -> list[Found]:
    address = route.master_address(queue.broker_name)
    offset = await QueueOffsets(connection, route).starting_at(queue, Since(begin_ms))
    found: list[Found] = []
    while len(found) < count_max:
        result = await pull(connection, address, queue, subscription, offset, hold=False)
        inside = [(queue, message) for message in result.messages if begin_ms <= message.store_timestamp < end_ms]
        found += inside
        is_past_end = any(message.store_timestamp >= end_ms for message in result.messages)
        if is_past_end or result.status is PullStatus.NO_NEW_MESSAGE or result.next_offset <= offset:
            break
        offset = result.next_offset
    return found[:count_max]
