"""How much groups and topics move, and how far groups are.

Source: `AdminBrokerProcessor#getConsumeStats`, `#fetchAllConsumeStatsInBroker`, `#queryConsumeTimeSpan`,
`#ViewBrokerStatsData` (RocketMQ 4.5.2). Differs: the delay of a group without an offset is that of the first message;
4.5.2 answers the time since 1970.
"""

from rmqnode.broker.handlers.remarks import topic_not_exist
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
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


def view_broker_stats_data(broker: Broker, request: Request[ViewBrokerStatsDataRequestHeader]) -> Reply:
    """Answer a counted value over the last minute, hour and day."""
    name, key = request.header.stats_name, request.header.stats_key
    data = broker.statistics.data(name, key)
    if data is None:
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"The stats <{name}> <{key}> not exist")
    return Reply(body=data.encode())


def get_consume_stats(broker: Broker, request: Request[GetConsumeStatsRequestHeader]) -> Reply:
    """Answer how far a group is in each queue of one topic, or of all topics it has offsets for."""
    group, asked_topic = request.header.consumer_group, request.header.topic
    offset_table: dict[MessageQueue, OffsetWrapper] = {}
    consume_tps = 0.0
    for topic in _topics_of(broker, group, asked_topic):
        offset_table |= _positions(broker, group, topic.topic_name, topic.read_queue_nums)
        consume_tps += broker.statistics.consume_tps(group, topic.topic_name)
    return Reply(body=ConsumeStats(offset_table=offset_table, consume_tps=consume_tps).encode())


def get_broker_consume_stats(broker: Broker, request: Request[GetConsumeStatsInBrokerRequestHeader]) -> Reply:
    """Answer how far every group is in every topic, and how much all of them have left."""
    groups: list[dict[str, list[ConsumeStats]]] = []
    total_diff = 0
    for group in broker.groups.wrapper().subscription_group_table:
        stats: list[ConsumeStats] = []
        for topic in _topics_of(broker, group, None):
            if request.header.is_order and not topic.order:
                continue
            positions = _positions(broker, group, topic.topic_name, topic.write_queue_nums)
            total_diff += sum(each.broker_offset - each.consumer_offset for each in positions.values())
            tps = broker.statistics.consume_tps(group, topic.topic_name)
            stats.append(ConsumeStats(offset_table=positions, consume_tps=tps))
        groups.append({group: stats})
    address = f"{broker.config.broker_ip1}:{broker.config.listen_port}"
    body = ConsumeStatsList(consume_stats_list=groups, broker_addr=address, total_diff=total_diff)
    return Reply(body=body.encode())


def _topics_of(broker: Broker, group: str, asked_topic: str | None) -> list[TopicConfig]:
    """Return the topic that was asked for, or all that a group has offsets for, as far as it means them today."""
    names = [asked_topic] if asked_topic else list(broker.offsets.topics_of(group))
    topics = (broker.topics.get(name) for name in names)
    return [topic for topic in topics if topic is not None and not _is_abandoned(broker, group, topic.topic_name)]


def _is_abandoned(broker: Broker, group_name: str, topic: str) -> bool:
    """Whether the group is online without subscribing the topic: its old offsets there mean nothing."""
    group = broker.clients.consumer_group(group_name)
    return group is not None and bool(group.subscriptions) and topic not in group.subscriptions


def _positions(broker: Broker, group: str, topic: str, queue_nums: int) -> dict[MessageQueue, OffsetWrapper]:
    """Return where a group is in each queue of a topic."""
    table: dict[MessageQueue, OffsetWrapper] = {}
    for queue_id in range(queue_nums):
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
    return table


def query_consume_time_span(broker: Broker, request: Request[QueryConsumeTimeSpanRequestHeader]) -> Reply:
    """Answer from when to when a topic has messages, and how old the next one of a group is."""
    topic = broker.topics.get(request.header.topic)
    if topic is None:
        raise RequestError(ResponseCode.TOPIC_NOT_EXIST, topic_not_exist(request.header.topic))
    spans = [
        _time_span(broker, request.header.group, topic.topic_name, queue_id)
        for queue_id in range(topic.write_queue_nums)
    ]
    return Reply(body=QueryConsumeTimeSpanBody(consume_time_span_set=spans).encode())


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
