"""Single messages: by key or unique key over the index, by the physical offset in their id, by their queue's units.

Source: `QueryMessageProcessor`, `AdminBrokerProcessor#queryConsumeQueue` (RocketMQ 4.5.2). Differs: a query by key sees
every message that was sent before it; QUERY_CONSUME_QUEUE answers what it found, as since 4.6, where 4.5.2 writes the
body before it looks.
"""

from typing import Final

from rmqnode.broker.outcome import AfterIndexing
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies import ConsumeQueueData, QueryConsumeQueueResponseBody, SubscriptionData
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import (
    QueryMessageRequestHeader,
    QueryMessageResponseHeader,
    ViewMessageRequestHeader,
)
from rmqnode.protocol.headers.administration import QueryConsumeQueueRequestHeader
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store.queue_units import UNIT

_UNITS_MAX: Final = 10_000
"""Units that one QUERY_CONSUME_QUEUE answers at most."""

_NOT_FOUND: Final = "can not find message, maybe time range not correct"


def query_message(broker: Broker, request: Request[QueryMessageRequestHeader]) -> AfterIndexing:
    """Answer the messages that may have a key, once the index has caught up; the client compares the keys.

    Two keys can have one hash, and 4.5.2 returns both: clients know.
    """
    header = request.header
    count_max = broker.config.default_query_max_num if header.is_unique_key == "true" else header.max_num

    def answer() -> Reply:
        found = broker.store.query(header.topic, header.key, count_max, header.begin_timestamp, header.end_timestamp)
        reply_header = QueryMessageResponseHeader(
            index_last_update_timestamp=found.index_last_update_timestamp,
            index_last_update_phyoffset=found.index_last_update_offset,
        )
        if not found.buffers:
            return Reply(ResponseCode.QUERY_NOT_FOUND, _NOT_FOUND, reply_header)
        return Reply(header=reply_header, body=found.buffers)

    return AfterIndexing(answer)


def view_message_by_id(broker: Broker, request: Request[ViewMessageRequestHeader]) -> Reply:
    """Answer the message at a physical offset."""
    record = broker.store.find_record(request.header.offset)
    if record is None:
        remark = f"can not find message by the offset, {request.header.offset}"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    return Reply(body=[record])


def query_consume_queue(broker: Broker, request: Request[QueryConsumeQueueRequestHeader]) -> Reply:
    """Answer units of a queue as they are, with a group's subscription if one is named."""
    header = request.header
    queue = broker.store.queues().get((header.topic, header.queue_id))
    if queue is None:
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"{header.queue_id}@{header.topic} is not exist!")
    is_there = queue.min_queue_offset <= header.index
    units = queue.units(header.index, max(0, min(header.count, _UNITS_MAX))) if is_there else None
    remark = f"Index {header.index} of {header.queue_id}@{header.topic} is not exist!" if units is None else None
    subscription, filter_data = _filter_of(broker, header)
    body = QueryConsumeQueueResponseBody(
        subscription_data=subscription,
        filter_data=filter_data,
        queue_data=None
        if units is None
        else [
            ConsumeQueueData(physic_offset=physical_offset, physic_size=size, tags_code=tags_code)
            for physical_offset, size, tags_code in UNIT.iter_unpack(units)
        ],
        max_queue_index=queue.max_queue_offset,
        min_queue_index=queue.min_queue_offset,
    )
    return Reply(remark=remark, body=body.encode())


def _filter_of(broker: Broker, header: QueryConsumeQueueRequestHeader) -> tuple[SubscriptionData | None, str | None]:
    """Return a group's subscription of the topic, and what Apache's says about its filter."""
    if header.consumer_group is None:
        return None, None
    group = broker.clients.consumer_group(header.consumer_group)
    subscription = None if group is None else group.subscriptions.get(header.topic)
    if subscription is None:
        return None, f"{header.consumer_group}@{header.topic} is not online!"
    found = broker.filters.find(header.topic, header.consumer_group)
    filter_data = "null" if found is None else fastjson.dumps(broker.filters.describe(found), pretty=True).decode()
    return subscription, filter_data
