"""Topics: create, change, delete, list, and how far their queues reach.

Source: `AdminBrokerProcessor` (RocketMQ 4.5.2), with the name checks of 4.9. Differs: UPDATE_AND_CREATE_TOPIC is
answered after it is done and the nameservers know it, 4.5.2 answers before it begins; a deleted topic takes the
offsets of its groups with it, as in 5.3; system topics can't be changed or deleted, as since 4.9.
"""

from typing import Final

from rmqnode.broker.handlers.answers import encoded_in_slices
from rmqnode.broker.handlers.remarks import system_topic_conflict, topic_not_exist
from rmqnode.broker.names import QUEUE_NUMS_MAX, topic_problem
from rmqnode.broker.outcome import AfterRegistration
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.net.slices import InSlices, Steps, in_slices
from rmqnode.net.written_table import AfterWrite, after_write
from rmqnode.protocol.bodies import (
    CreateTopicListRequestBody,
    MessageQueue,
    TopicConfig,
    TopicFilterType,
    TopicList,
    TopicOffset,
    TopicStatsTable,
)
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import (
    CreateTopicRequestHeader,
    GetAllTopicConfigResponseHeader,
    NoHeader,
    TopicRequestHeader,
)
from rmqnode.protocol.routes import Reply, Request

_QUEUES_AT_ONCE: Final = 32
"""Queues that are looked at between two looks at the time, about 0.5 ms."""

Outcome = Reply | AfterRegistration | AfterWrite | InSlices


def update_and_create_topic(broker: Broker, request: Request[CreateTopicRequestHeader]) -> Outcome:
    """Create or replace a topic."""
    header = request.header
    if header.topic_filter_type not in (None, *TopicFilterType):
        remark = f"topicFilterType = [{header.topic_filter_type}] value invalid"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    topic = TopicConfig(
        topic_name=header.topic,
        read_queue_nums=header.read_queue_nums,
        write_queue_nums=header.write_queue_nums,
        perm=header.perm,
        topic_filter_type=TopicFilterType(header.topic_filter_type or TopicFilterType.SINGLE_TAG),
        topic_sys_flag=header.topic_sys_flag or 0,
    )
    _check_topic(broker, topic)
    broker.topics.put(topic)
    return _registered(broker, [topic.topic_name])


def update_and_create_topic_list(broker: Broker, request: Request[NoHeader]) -> Outcome:
    """Create or replace several topics, all or none (since 5.3)."""
    return in_slices(_create_topics(broker, request))


def _create_topics(broker: Broker, request: Request[NoHeader]) -> Steps[Outcome]:
    topics = CreateTopicListRequestBody.decode_request(request.body).topic_config_list
    yield
    for topic in topics:
        _check_topic(broker, topic)
        yield
    broker.topics.put_all(topics)
    return _registered(broker, [topic.topic_name for topic in topics])


def _registered(broker: Broker, names: list[str]) -> Outcome:
    outcome: Outcome = after_write(broker.topics, AfterRegistration(Reply()), names)
    return outcome


def _check_topic(broker: Broker, topic: TopicConfig) -> None:
    problem = topic_problem(topic.topic_name) or _problem_of(topic)
    if topic.topic_name == broker.config.broker_cluster_name:
        problem = f"the topic[{topic.topic_name}] is conflict with system reserved words."
    elif broker.topics.is_system(topic.topic_name):
        problem = system_topic_conflict(topic.topic_name)
    elif problem is None and broker.config.is_slave:
        problem = "Can't modify topic or subscription group from slave broker, please execute it from master broker."
    if problem is not None:
        raise RequestError(ResponseCode.SYSTEM_ERROR, problem)


def _problem_of(topic: TopicConfig) -> str | None:
    for name, queue_nums in (("read", topic.read_queue_nums), ("write", topic.write_queue_nums)):
        if not 0 <= queue_nums <= QUEUE_NUMS_MAX:
            return f"{name}QueueNums of topic[{topic.topic_name}] must be 0..{QUEUE_NUMS_MAX}, got {queue_nums}"
    if not 0 <= topic.perm <= 15:
        return f"perm of topic[{topic.topic_name}] must be 0..15, got {topic.perm}"
    return None


def delete_topic(broker: Broker, request: Request[TopicRequestHeader]) -> Outcome:
    """Remove a topic with its consume queues and committed offsets; the commit log stays.

    With the offsets a group would miss what is sent to a new topic of this name, whose queues begin at 0.
    """
    topic = request.header.topic
    if broker.topics.is_system(topic):
        raise RequestError(ResponseCode.SYSTEM_ERROR, system_topic_conflict(topic))
    if broker.topics.delete(topic):
        broker.store.delete_topic(topic)
        broker.offsets.forget_topic(topic)
    outcome: Outcome = after_write(broker.topics, Reply(), [topic])
    return outcome


def get_all_topic_config(broker: Broker, request: Request[NoHeader]) -> Reply | InSlices:
    """Answer the whole topic table; slaves ask for it."""
    return encoded_in_slices(broker.topics.wrapper(), GetAllTopicConfigResponseHeader())


def get_topic_config(broker: Broker, request: Request[TopicRequestHeader]) -> Reply:
    """Answer one topic's configuration (since 5.0)."""
    topic = broker.topics.get(request.header.topic)
    if topic is None:
        remark = f"No topic in this broker. topic: {request.header.topic}"
        raise RequestError(ResponseCode.TOPIC_NOT_EXIST, remark)
    return Reply(body=topic.encode())


def get_system_topic_list(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer the topics that tools hide."""
    return Reply(body=TopicList(topic_list=sorted(broker.topics.system_topic_names)).encode())


def get_topic_stats_info(broker: Broker, request: Request[TopicRequestHeader]) -> Reply | InSlices:
    """Answer first and next offset and the time of the last message for each write queue."""
    topic = broker.topics.get(request.header.topic)
    if topic is None:
        raise RequestError(ResponseCode.TOPIC_NOT_EXIST, topic_not_exist(request.header.topic))
    return in_slices(_topic_stats(broker, topic))


def _topic_stats(broker: Broker, topic: TopicConfig) -> Steps[Reply]:
    table: dict[MessageQueue, TopicOffset] = {}
    for queue_id in range(topic.write_queue_nums):
        if not queue_id % _QUEUES_AT_ONCE:
            yield
        queue = MessageQueue(topic=topic.topic_name, broker_name=broker.config.broker_name, queue_id=queue_id)
        table[queue] = _reach(broker, topic.topic_name, queue_id)
    body = yield from TopicStatsTable(offset_table=table).encode_steps()
    return Reply(body=body)


def _reach(broker: Broker, topic: str, queue_id: int) -> TopicOffset:
    store = broker.store
    max_offset = store.max_offset(topic, queue_id)
    timestamp = store.store_time(topic, queue_id, max_offset - 1) if max_offset else 0
    return TopicOffset(
        min_offset=max(0, store.min_offset(topic, queue_id)),
        max_offset=max_offset,
        last_update_timestamp=max(0, timestamp),
    )
