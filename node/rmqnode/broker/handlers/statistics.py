"""How much groups and topics move, and how far groups are.

Source: `AdminBrokerProcessor#getConsumeStats`, `#fetchAllConsumeStatsInBroker`, `#queryConsumeTimeSpan`,
`#ViewBrokerStatsData` (RocketMQ 4.5.2). Differs: the delay of a group without an offset is that of the first message;
4.5.2 answers the time since 1970.
"""

from collections.abc import Iterable
from typing import Final

from rmqnode.broker.handlers.remarks import topic_not_exist
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.net.slices import InSlices, Steps, batched, in_slices
from rmqnode.protocol.bodies import (
    ConsumeStats,
    ConsumeStatsList,
    MessageQueue,
    OffsetWrapper,
    QueryConsumeTimeSpanBody,
    QueueTimeSpan,
    TopicConfig,
)
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import GetConsumeStatsRequestHeader
from rmqnode.protocol.headers.administration import (
    GetConsumeStatsInBrokerRequestHeader,
    QueryConsumeTimeSpanRequestHeader,
    ViewBrokerStatsDataRequestHeader,
)
from rmqnode.protocol.routes import Reply, Request

_QUEUES_AT_ONCE: Final = 32
"""Queues that are looked at between two looks at the time, about 0.5 ms."""

_KEYS_AT_ONCE: Final = 1024

_QUEUES_ANSWERED_MAX: Final = 131_072
"""Queues of all groups in one answer: more do not fit a frame that clients read."""


def view_broker_stats_data(broker: Broker, request: Request[ViewBrokerStatsDataRequestHeader]) -> Reply:
    """Answer a counted value over the last minute, hour and day."""
    name, key = request.header.stats_name, request.header.stats_key
    data = broker.statistics.data(name, key)
    if data is None:
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"The stats <{name}> <{key}> not exist")
    return Reply(body=data.encode())


def get_consume_stats(broker: Broker, request: Request[GetConsumeStatsRequestHeader]) -> Reply | InSlices:
    """Answer how far a group is in each queue of one topic, or of all topics it has offsets for."""
    return in_slices(_consume_stats(broker, request.header.consumer_group, request.header.topic))


def _consume_stats(broker: Broker, group: str, asked_topic: str | None) -> Steps[Reply]:
    offset_table: dict[MessageQueue, OffsetWrapper] = {}
    consume_tps = 0.0
    names = [asked_topic] if asked_topic else (yield from _topics_by_group(broker)).get(group, [])
    for topic in _topics_of(broker, group, names):
        yield from _positions(broker, group, topic.topic_name, topic.read_queue_nums, offset_table)
        consume_tps += broker.statistics.consume_tps(group, topic.topic_name)
    body = yield from ConsumeStats(offset_table=offset_table, consume_tps=consume_tps).encode_steps()
    return Reply(body=body)


def get_broker_consume_stats(
    broker: Broker, request: Request[GetConsumeStatsInBrokerRequestHeader]
) -> Reply | InSlices:
    """Answer how far every group is in every topic, and how much all of them have left."""
    return in_slices(_broker_consume_stats(broker, bool(request.header.is_order)))


def _broker_consume_stats(broker: Broker, is_order: bool) -> Steps[Reply]:
    groups: list[dict[str, list[ConsumeStats]]] = []
    total_diff = queue_count = 0
    names = yield from _topics_by_group(broker)
    for group in broker.groups.wrapper().subscription_group_table:
        stats: list[ConsumeStats] = []
        for topic in _topics_of(broker, group, names.get(group, [])):
            if is_order and not topic.order:
                continue
            queue_count += topic.write_queue_nums
            if queue_count > _QUEUES_ANSWERED_MAX:
                remark = f"the groups have offsets in more than {_QUEUES_ANSWERED_MAX} queues, ask for one group"
                raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
            positions: dict[MessageQueue, OffsetWrapper] = {}
            yield from _positions(broker, group, topic.topic_name, topic.write_queue_nums, positions)
            total_diff += sum(each.broker_offset - each.consumer_offset for each in positions.values())
            tps = broker.statistics.consume_tps(group, topic.topic_name)
            stats.append(ConsumeStats(offset_table=positions, consume_tps=tps))
        groups.append({group: stats})
        yield
    address = f"{broker.config.broker_ip1}:{broker.config.listen_port}"
    answer = ConsumeStatsList(consume_stats_list=groups, broker_addr=address, total_diff=total_diff)
    body = yield from answer.encode_steps()
    return Reply(body=body)


def _topics_by_group(broker: Broker) -> Steps[dict[str, list[str]]]:
    """Return the topics that each group has offsets for, with one walk through the table."""
    topics: dict[str, list[str]] = {}
    for keys in batched(broker.offsets.keys(), _KEYS_AT_ONCE):
        yield
        for key in keys:
            topic, _, group = key.partition("@")
            topics.setdefault(group, []).append(topic)
    return topics


def _topics_of(broker: Broker, group: str, names: Iterable[str]) -> list[TopicConfig]:
    """Return those of the topics that exist and that the group means today."""
    topics = (broker.topics.get(name) for name in names)
    return [topic for topic in topics if topic is not None and not _is_abandoned(broker, group, topic.topic_name)]


def _is_abandoned(broker: Broker, group_name: str, topic: str) -> bool:
    """Whether the group is online without subscribing the topic: its old offsets there mean nothing."""
    group = broker.clients.consumer_group(group_name)
    return group is not None and bool(group.subscriptions) and topic not in group.subscriptions


def _positions(
    broker: Broker, group: str, topic: str, queue_nums: int, table: dict[MessageQueue, OffsetWrapper]
) -> Steps[None]:
    """Add where a group is in each queue of a topic."""
    for queue_id in range(queue_nums):
        if not queue_id % _QUEUES_AT_ONCE:
            yield
        consumer_offset = broker.offsets.find(group, topic, queue_id) or 0
        timestamp = broker.store.store_time(topic, queue_id, consumer_offset - 1) if consumer_offset > 0 else 0
        queue = MessageQueue(topic=topic, broker_name=broker.config.broker_name, queue_id=queue_id)
        table[queue] = OffsetWrapper(
            broker_offset=max(0, broker.store.max_offset(topic, queue_id)),
            consumer_offset=max(0, consumer_offset),
            last_timestamp=max(0, timestamp),
            # Not followed here: nothing counts as on its way.
            pull_offset=max(0, consumer_offset),
        )


def query_consume_time_span(broker: Broker, request: Request[QueryConsumeTimeSpanRequestHeader]) -> Reply | InSlices:
    """Answer from when to when a topic has messages, and how old the next one of a group is."""
    topic = broker.topics.get(request.header.topic)
    if topic is None:
        raise RequestError(ResponseCode.TOPIC_NOT_EXIST, topic_not_exist(request.header.topic))
    return in_slices(_time_spans(broker, request.header.group, topic))


def _time_spans(broker: Broker, group: str, topic: TopicConfig) -> Steps[Reply]:
    spans: list[QueueTimeSpan] = []
    for queue_id in range(topic.write_queue_nums):
        if not queue_id % _QUEUES_AT_ONCE:
            yield
        spans.append(_time_span(broker, group, topic.topic_name, queue_id))
    body = yield from QueryConsumeTimeSpanBody(consume_time_span_set=spans).encode_steps()
    return Reply(body=body)


def _time_span(broker: Broker, group: str, topic: str, queue_id: int) -> QueueTimeSpan:
    store = broker.store
    min_offset, max_offset = store.min_offset(topic, queue_id), store.max_offset(topic, queue_id)
    begin = store.earliest_store_time(topic, queue_id)
    committed = broker.offsets.find(group, topic, queue_id) or 0
    next_time = store.store_time(topic, queue_id, max(committed, min_offset))
    has_more = committed < max_offset and next_time >= 0
    return QueueTimeSpan(
        message_queue=MessageQueue(topic=topic, broker_name=broker.config.broker_name, queue_id=queue_id),
        min_time_stamp=begin,
        max_time_stamp=store.store_time(topic, queue_id, max_offset - 1),
        consume_time_stamp=store.store_time(topic, queue_id, committed - 1) if committed > 0 else begin,
        delay_time=broker.clock_ms() - next_time if has_more else 0,
    )
