"""Offsets: what a group committed, where queues begin and end, which message was stored at a time.

Source: `ConsumerManageProcessor`, `AdminBrokerProcessor` (RocketMQ 4.5.2). Differs: QUERY_CORRECTION_OFFSET only leaves
the groups out that are to be filtered, where 4.5.2 deletes their offsets of all topics; nobody commits offsets of the
broker's own group, CID_RMQ_SYS_TRANS.
"""

from typing import Final

from rmqnode.broker.handlers.remarks import refuse_broker_offsets
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.net.refusals import check_names, full_error, refuse_beyond
from rmqnode.net.slices import InSlices, Steps, batched, in_slices
from rmqnode.protocol.bodies import QueryCorrectionOffsetBody
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
from rmqnode.protocol.headers.administration import CloneGroupOffsetRequestHeader, QueryCorrectionOffsetRequestHeader
from rmqnode.protocol.routes import Reply, Request

_QUEUES_AT_ONCE: Final = 256
"""Queues that are looked at between two looks at the time, about 0.3 ms."""

_BEHIND_ALL: Final = 2**63 - 1
"""What QUERY_CORRECTION_OFFSET says of a queue in which the compared group is behind every other: no correction."""


def query_consumer_offset(broker: Broker, request: Request[QueryConsumerOffsetRequestHeader]) -> Reply:
    """Answer the committed offset; 0 for a group without one on a queue that still has its first message.

    That a new group starts at the first message of a young topic, whatever it asked for, is Apache's rule: what
    was sent before the first consumer came is not lost.
    """
    header = request.header
    offset = broker.offsets.find(header.consumer_group, header.topic, header.queue_id)
    if offset is not None and offset < 0:
        # A client's "I don't know" that was committed: as in Java no better than none.
        offset = None
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
    refuse_broker_offsets(header.consumer_group)
    check_names("a name", header.consumer_group, header.topic)
    if not broker.offsets.commit(header.consumer_group, header.topic, header.queue_id, header.commit_offset):
        what = f"the first offset of group {header.consumer_group} in queue {header.queue_id} of topic {header.topic}"
        raise full_error(broker.budgets.consumer_offsets, f"{what}, which do not exist,")
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


def get_all_consumer_offset(broker: Broker, request: Request[NoHeader]) -> Reply | InSlices:
    """Answer the whole table of consumer offsets; slaves ask for it."""
    return in_slices(_all_consumer_offset(broker))


def _all_consumer_offset(broker: Broker) -> Steps[Reply]:
    body = yield from broker.offsets.encode_steps()
    return Reply(body=body)


def get_all_delay_offset(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer how far delayed delivery is; slaves ask for it."""
    return Reply(body=broker.delayed_delivery.encode())


def clone_group_offset(broker: Broker, request: Request[CloneGroupOffsetRequestHeader]) -> Reply:
    """Let a group be where another one is, in one topic or in all of the other's."""
    header = request.header
    refuse_broker_offsets(header.dest_group)
    check_names("a group", header.dest_group)
    source = broker.clients.consumer_group(header.src_group)
    for topic in [header.topic] if header.topic else list(broker.offsets.topics_of(header.src_group)):
        is_abandoned = source is not None and bool(source.subscriptions) and topic not in source.subscriptions
        if broker.topics.get(topic) is not None and (header.offline or not is_abandoned):
            refuse_beyond(broker.budgets.consumer_offsets, broker.budgets.consumer_offsets.used, 1, "cloned offsets")
            broker.offsets.clone(header.src_group, header.dest_group, topic)
    return Reply()


def query_correction_offset(broker: Broker, request: Request[QueryCorrectionOffsetRequestHeader]) -> Reply | InSlices:
    """Answer the least offset of all groups in each queue, for a group that is to be moved there."""
    return in_slices(_correction_offset(broker, request.header))


def _correction_offset(broker: Broker, header: QueryCorrectionOffsetRequestHeader) -> Steps[Reply]:
    left_out = set((header.filter_groups or "").split(","))
    least: dict[int, int] = {}
    for group, offsets in list(broker.offsets.of_topic(header.topic)):
        if group in left_out:
            continue
        # Of 65,536 pairs the garbage collector would make a stretch of its own.
        for queue_ids in batched(list(offsets), _QUEUES_AT_ONCE):
            yield
            for queue_id in queue_ids:
                offset = offsets[queue_id]
                if offset >= broker.store.min_offset(header.topic, queue_id):
                    least[queue_id] = min(offset, least.get(queue_id, offset))
    for queue_ids in batched(list(least), _QUEUES_AT_ONCE):
        yield
        for queue_id in queue_ids:
            compared = broker.offsets.find(header.compare_group, header.topic, queue_id)
            if compared is not None and least[queue_id] > compared:
                least[queue_id] = _BEHIND_ALL
    body = yield from QueryCorrectionOffsetBody(correction_offsets=least).encode_steps()
    return Reply(body=body)
