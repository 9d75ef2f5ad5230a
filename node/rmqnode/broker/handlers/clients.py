"""Clients: heartbeats, leaving, who is in a group, locks of orderly consumers.

Source: `ClientManageProcessor`, `ConsumerManageProcessor`, `AdminBrokerProcessor` (RocketMQ 4.5.2).
"""

import logging
from typing import Final

from rmqnode.broker.clients import Member
from rmqnode.broker.handlers.answers import encoded_in_slices
from rmqnode.broker.handlers.remarks import NO_SUCH_FILTER
from rmqnode.broker.state import Broker
from rmqnode.broker.subscriptions import is_tag_type
from rmqnode.broker.system_topics import retry_topic
from rmqnode.filter import FilterError
from rmqnode.net.dispatch import RequestError
from rmqnode.net.refusals import check_names
from rmqnode.net.slices import InSlices, Steps, batched, in_slices
from rmqnode.protocol.bodies import (
    CheckClientRequestBody,
    Connection,
    ConsumerConnection,
    ConsumerData,
    GetConsumerListByGroupResponseBody,
    HeartbeatData,
    LockBatchRequestBody,
    LockBatchResponseBody,
    MessageQueue,
    ProducerConnection,
    ProducerInfo,
    ProducerTableInfo,
    UnlockBatchRequestBody,
)
from rmqnode.protocol.codes import LanguageCode, ResponseCode
from rmqnode.protocol.command import language_name
from rmqnode.protocol.headers import (
    GetConsumerListByGroupRequestHeader,
    GetProducerConnectionListRequestHeader,
    NoHeader,
    UnregisterClientRequestHeader,
    UnregisterClientResponseHeader,
)
from rmqnode.protocol.routes import Reply, Request

logger = logging.getLogger(__name__)

_QUEUES_AT_ONCE: Final = 256
"""Queues that are locked or freed between two looks at the time, about 0.3 ms."""

SUBSCRIPTIONS_MAX: Final = 2048
"""Topics that one consumer group may subscribe; a client has one heartbeat for all of its groups."""


def heart_beat(broker: Broker, request: Request[NoHeader]) -> Reply | InSlices:
    """Register the client's producers and consumers; a consumer's group and retry topic are created."""
    return in_slices(_heart_beat(broker, request))


def _heart_beat(broker: Broker, request: Request[NoHeader]) -> Steps[Reply]:
    heartbeat = HeartbeatData.decode_request(request.body)
    yield from _check_names(heartbeat)
    member = Member(heartbeat.client_id, language_name(request.language), request.version, broker.clock())
    for consumer in heartbeat.consumer_data_set:
        _check_subscriptions(consumer)
    for consumer in heartbeat.consumer_data_set:
        yield
        group = broker.groups.find(consumer.group_name)
        if group is not None:
            _create_retry_topic(broker, consumer, group.retry_queue_nums)
        known = broker.clients.consumer_group(consumer.group_name)
        if known is not None and known.would_change(consumer):
            broker.held_pulls.wake_group(consumer.group_name)
        broker.clients.register_consumer(consumer, request.connection, member)
        if broker.config.enable_property_filter:
            yield from broker.filters.register(consumer.group_name, consumer.subscription_data_set)
    for producer in heartbeat.producer_data_set:
        yield
        broker.clients.register_producer(producer.group_name, request.connection, member)
    return Reply()


def _check_subscriptions(consumer: ConsumerData) -> None:
    count = len(consumer.subscription_data_set)
    if count > SUBSCRIPTIONS_MAX:
        remark = f"consumer group[{consumer.group_name}] subscribes {count} topics, more than {SUBSCRIPTIONS_MAX}"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)


def _check_names(heartbeat: HeartbeatData) -> Steps[None]:
    check_names("a client id", heartbeat.client_id)
    check_names("a producer group", *(each.group_name for each in heartbeat.producer_data_set))
    for consumer in heartbeat.consumer_data_set:
        yield
        check_names("a consumer group", consumer.group_name)
        check_names("a topic", *(each.topic for each in consumer.subscription_data_set))


def _create_retry_topic(broker: Broker, consumer: ConsumerData, queue_nums: int) -> None:
    try:
        broker.topics.create_if_absent(retry_topic(consumer.group_name), queue_nums, unit_mode=consumer.unit_mode)
    except OSError as error:
        # The consumer can go on without; the next heartbeat tries again.
        logger.error("retry topic not written group=%s reason=%s", consumer.group_name, error)


def unregister_client(broker: Broker, request: Request[UnregisterClientRequestHeader]) -> Reply:
    """Remove this connection from the groups that it names."""
    header = request.header
    if header.producer_group is not None:
        broker.clients.unregister_producer(header.producer_group, request.connection)
    if header.consumer_group is not None:
        broker.clients.unregister_consumer(header.consumer_group, request.connection)
    return Reply(header=UnregisterClientResponseHeader())


def check_client_config(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Say whether a subscription is one that this broker can filter by."""
    subscription = CheckClientRequestBody.decode_request(request.body).subscription_data
    if subscription is None or is_tag_type(subscription.expression_type):
        return Reply()
    if not broker.config.enable_property_filter:
        raise RequestError(ResponseCode.SYSTEM_ERROR, NO_SUCH_FILTER.format(subscription.expression_type))
    try:
        broker.filters.compiled.get(subscription.expression_type, subscription.sub_string or "")
    except FilterError as error:
        raise RequestError(ResponseCode.SUBSCRIPTION_PARSE_FAILED, str(error)) from None
    return Reply()


def get_consumer_list_by_group(
    broker: Broker, request: Request[GetConsumerListByGroupRequestHeader]
) -> Reply | InSlices:
    """Answer the client ids of a group's members: what clients share queues by."""
    group = broker.clients.consumer_group(request.header.consumer_group)
    if group is None:
        remark = f"no consumer for this group, {request.header.consumer_group}"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    ids = list(dict.fromkeys(member.client_id for member in group.members.values()))
    return encoded_in_slices(GetConsumerListByGroupResponseBody(consumer_id_list=ids))


def get_consumer_connection_list(
    broker: Broker, request: Request[GetConsumerListByGroupRequestHeader]
) -> Reply | InSlices:
    """Answer the members of a consumer group with their subscriptions."""
    group = broker.clients.consumer_group(request.header.consumer_group)
    if group is None:
        remark = f"the consumer group[{request.header.consumer_group}] not online"
        raise RequestError(ResponseCode.CONSUMER_NOT_ONLINE, remark)
    body = ConsumerConnection(
        connection_set=[_connection(connection.peer, member) for connection, member in group.members.items()],
        subscription_table=dict(group.subscriptions),
        consume_type=group.consume_type,
        message_model=group.message_model,
        consume_from_where=group.consume_from_where,
    )
    return encoded_in_slices(body)


def get_producer_connection_list(
    broker: Broker, request: Request[GetProducerConnectionListRequestHeader]
) -> Reply | InSlices:
    """Answer the members of a producer group."""
    members = broker.clients.producers(request.header.producer_group)
    if not members:
        remark = f"the producer group[{request.header.producer_group}] not exist"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    connections = [_connection(connection.peer, member) for connection, member in members.items()]
    return encoded_in_slices(ProducerConnection(connection_set=connections))


def get_all_producer_info(broker: Broker, request: Request[NoHeader]) -> Reply | InSlices:
    """Answer the members of all producer groups (since 4.9)."""
    return in_slices(_all_producer_info(broker))


def _all_producer_info(broker: Broker) -> Steps[Reply]:
    table: dict[str, list[ProducerInfo]] = {}
    for group, members in list(broker.clients.producer_groups().items()):
        yield
        table[group] = [_producer(broker, connection.peer, member) for connection, member in members.items()]
    encoded = yield from ProducerTableInfo(data=table).encode_steps()
    return Reply(body=encoded)


def _producer(broker: Broker, peer: str, member: Member) -> ProducerInfo:
    silent_ms = int((broker.clock() - member.last_heartbeat) * 1000)
    return ProducerInfo(
        client_id=member.client_id,
        remote_ip=peer,
        language=LanguageCode[member.language],
        version=member.version,
        last_update_timestamp=broker.clock_ms() - silent_ms,
    )


def lock_batch_mq(broker: Broker, request: Request[NoHeader]) -> Reply | InSlices:
    """Lock queues for a client; the answer has those that it holds now."""
    return in_slices(_lock_batch(broker, request))


def _lock_batch(broker: Broker, request: Request[NoHeader]) -> Steps[Reply]:
    body = LockBatchRequestBody.decode_request(request.body)
    check_names("a name", body.consumer_group, body.client_id)
    granted: list[MessageQueue] = []
    for queues in batched(body.mq_set, _QUEUES_AT_ONCE):
        yield
        for queue in queues:
            check_names("a name", queue.topic, queue.broker_name)
        granted += broker.locks.lock(body.consumer_group or "", queues, body.client_id or "")
    encoded = yield from LockBatchResponseBody(lock_ok_mq_set=granted).encode_steps()
    return Reply(body=encoded)


def unlock_batch_mq(broker: Broker, request: Request[NoHeader]) -> Reply | InSlices:
    """Free a client's queues."""
    return in_slices(_unlock_batch(broker, request))


def _unlock_batch(broker: Broker, request: Request[NoHeader]) -> Steps[Reply]:
    body = UnlockBatchRequestBody.decode_request(request.body)
    for queues in batched(body.mq_set, _QUEUES_AT_ONCE):
        yield
        broker.locks.unlock(body.consumer_group or "", queues, body.client_id or "")
    return Reply()


def _connection(peer: str, member: Member) -> Connection:
    return Connection(
        client_id=member.client_id,
        client_addr=peer,
        language=LanguageCode[member.language],
        version=member.version,
    )
