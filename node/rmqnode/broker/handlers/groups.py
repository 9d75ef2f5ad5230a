"""Consumer groups: their configuration, how far they are, who consumes a topic.

Source: `AdminBrokerProcessor` (RocketMQ 4.5.2).
"""

from rmqnode.broker.names import QUEUE_NUMS_MAX, is_legal_group
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.bodies import (
    ConsumeStats,
    GroupList,
    MessageQueue,
    OffsetWrapper,
    SubscriptionGroupConfig,
    TopicConfig,
)
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import (
    DeleteSubscriptionGroupRequestHeader,
    GetConsumeStatsRequestHeader,
    NoHeader,
    TopicRequestHeader,
)
from rmqnode.protocol.routes import Reply, Request


def update_and_create_subscription_group(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Create or replace a group."""
    group = SubscriptionGroupConfig.decode(request.body)
    if not is_legal_group(group.group_name):
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"illegal name of a consumer group: {group.group_name!r}")
    if group.retry_queue_nums > QUEUE_NUMS_MAX:
        remark = (
            f"retryQueueNums of group[{group.group_name}] must be up to {QUEUE_NUMS_MAX}, got {group.retry_queue_nums}"
        )
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    broker.groups.put(group)
    return Reply()


def get_all_subscription_group_config(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer all groups; slaves ask for it."""
    return Reply(body=broker.groups.wrapper().encode())


def delete_subscription_group(broker: Broker, request: Request[DeleteSubscriptionGroupRequestHeader]) -> Reply:
    """Remove a group's configuration, and its offsets when a newer tool asks for that."""
    header = request.header
    broker.groups.delete(header.group_name)
    if header.remove_offset or header.clean_offset:
        broker.offsets.forget_group(header.group_name)
    return Reply()


def get_consume_stats(broker: Broker, request: Request[GetConsumeStatsRequestHeader]) -> Reply:
    """Answer how far a group is in each queue of one topic, or of all topics it has offsets for."""
    header = request.header
    names = [header.topic] if header.topic else list(broker.offsets.topics_of(header.consumer_group))
    stats = ConsumeStats()
    for name in names:
        topic = broker.topics.get(name)
        if topic is not None and not _is_abandoned(broker, header.consumer_group, name):
            _add_positions(broker, header.consumer_group, topic, stats)
    return Reply(body=stats.encode())


def _is_abandoned(broker: Broker, group_name: str, topic: str) -> bool:
    """Whether the group is online without subscribing the topic: its old offsets there mean nothing."""
    group = broker.clients.consumer_group(group_name)
    return group is not None and bool(group.subscriptions) and topic not in group.subscriptions


def _add_positions(broker: Broker, group: str, topic: TopicConfig, stats: ConsumeStats) -> None:
    for queue_id in range(topic.read_queue_nums):
        name = topic.topic_name
        consumer_offset = broker.offsets.find(group, name, queue_id) or 0
        timestamp = broker.store.store_time(name, queue_id, consumer_offset - 1) if consumer_offset > 0 else 0
        queue = MessageQueue(topic=name, broker_name=broker.config.broker_name, queue_id=queue_id)
        stats.offset_table[queue] = OffsetWrapper(
            broker_offset=max(0, broker.store.max_offset(name, queue_id)),
            consumer_offset=max(0, consumer_offset),
            last_timestamp=max(0, timestamp),
        )


def query_topic_consume_by_who(broker: Broker, request: Request[TopicRequestHeader]) -> Reply:
    """Answer the groups that subscribe a topic now or have offsets for it."""
    topic = request.header.topic
    groups = {*broker.clients.groups_subscribing(topic), *broker.offsets.groups_of(topic)}
    return Reply(body=GroupList(group_list=sorted(groups)).encode())
