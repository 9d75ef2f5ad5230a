"""Offsets: what a group committed, where queues begin and end, which message was stored at a time.

Source: `ConsumerManageProcessor`, `AdminBrokerProcessor` (RocketMQ 4.5.2).
"""

from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import (
    GetEarliestMsgStoretimeResponseHeader,
    NoHeader,
    OffsetResponseHeader,
    QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader,
    QueueRequestHeader,
    SearchOffsetRequestHeader,
    UpdateConsumerOffsetRequestHeader,
    UpdateConsumerOffsetResponseHeader,
)
from rmqnode.protocol.routes import Reply, Request


def query_consumer_offset(broker: Broker, request: Request[QueryConsumerOffsetRequestHeader]) -> Reply:
    """Answer the committed offset; 0 for a group without one on a queue that still has its first message.

    That a new group starts at the first message of a young topic, whatever it asked for, is Apache's rule: what
    was sent before the first consumer came is not lost.
    """
    header = request.header
    offset = broker.offsets.find(header.consumer_group, header.topic, header.queue_id)
    if offset is None and header.set_zero_if_not_found and _has_first_message_in_memory(broker, header):
        offset = 0
    if offset is None:
        remark = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first"
        raise RequestError(ResponseCode.QUERY_NOT_FOUND, remark)
    return Reply(header=QueryConsumerOffsetResponseHeader(offset=offset))


def _has_first_message_in_memory(broker: Broker, header: QueryConsumerOffsetRequestHeader) -> bool:
    store = broker.store
    return store.min_offset(header.topic, header.queue_id) <= 0 and not store.is_behind_memory(
        header.topic, header.queue_id, 0
    )


def update_consumer_offset(broker: Broker, request: Request[UpdateConsumerOffsetRequestHeader]) -> Reply:
    """Commit an offset."""
    header = request.header
    broker.offsets.commit(header.consumer_group, header.topic, header.queue_id, header.commit_offset)
    if broker.config.is_slave:
        broker.slave_commits.note(header.consumer_group, header.topic, header.queue_id, header.commit_offset)
    return Reply(header=UpdateConsumerOffsetResponseHeader())


def get_max_offset(broker: Broker, request: Request[QueueRequestHeader]) -> Reply:
    """Answer the offset that the next message of a queue will get."""
    header = request.header
    return Reply(header=OffsetResponseHeader(offset=broker.store.max_offset(header.topic, header.queue_id)))


def get_min_offset(broker: Broker, request: Request[QueueRequestHeader]) -> Reply:
    """Answer the offset of the first message of a queue that is still there."""
    header = request.header
    return Reply(header=OffsetResponseHeader(offset=broker.store.min_offset(header.topic, header.queue_id)))


def search_offset_by_timestamp(broker: Broker, request: Request[SearchOffsetRequestHeader]) -> Reply:
    """Answer the offset of the message whose store time is nearest."""
    header = request.header
    offset = broker.store.offset_by_time(header.topic, header.queue_id, header.timestamp)
    return Reply(header=OffsetResponseHeader(offset=offset))


def get_earliest_msg_storetime(broker: Broker, request: Request[QueueRequestHeader]) -> Reply:
    """Answer the store time of the first message of a queue, -1 when it has none."""
    header = request.header
    timestamp = broker.store.earliest_store_time(header.topic, header.queue_id)
    return Reply(header=GetEarliestMsgStoretimeResponseHeader(timestamp=timestamp))


def get_all_consumer_offset(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer the whole table of consumer offsets; slaves ask for it."""
    return Reply(body=broker.offsets.encode())


def get_all_delay_offset(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer how far delayed delivery is; slaves ask for it."""
    return Reply(body=broker.delayed_delivery.encode())
