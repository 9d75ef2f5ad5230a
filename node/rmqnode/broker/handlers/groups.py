"""Consumer groups: their configuration, who consumes a topic.

Source: `AdminBrokerProcessor` (RocketMQ 4.5.2). Differs: groups of brokers and tools can't be changed or deleted, and
none is created whose retry topic could not be named.
"""

from rmqnode.broker.handlers.answers import encoded_in_slices
from rmqnode.broker.handlers.remarks import refuse_system_group
from rmqnode.broker.names import QUEUE_NUMS_MAX, RETRY_GROUP_LENGTH_MAX, is_legal_group
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.net.slices import InSlices, Steps, in_slices
from rmqnode.net.written_table import AfterWrite, after_write
from rmqnode.protocol.bodies import (
    GroupList,
    SubscriptionGroupConfig,
    SubscriptionGroupList,
)
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import (
    DeleteSubscriptionGroupRequestHeader,
    NoHeader,
    TopicRequestHeader,
)
from rmqnode.protocol.routes import Reply, Request

Outcome = Reply | AfterWrite | InSlices


def update_and_create_subscription_group(broker: Broker, request: Request[NoHeader]) -> Outcome:
    """Create or replace a group."""
    group = SubscriptionGroupConfig.decode_request(request.body)
    _check_group(broker, group)
    broker.groups.put(group)
    return _written(broker, [group.group_name])


def update_and_create_subscription_group_list(broker: Broker, request: Request[NoHeader]) -> Outcome:
    """Create or replace several groups, all or none (since 5.3)."""
    return in_slices(_create_groups(broker, request))


def _create_groups(broker: Broker, request: Request[NoHeader]) -> Steps[Outcome]:
    groups = SubscriptionGroupList.decode_request(request.body).group_config_list
    yield
    for group in groups:
        _check_group(broker, group)
        yield
    broker.groups.put_all(groups)
    return _written(broker, [group.group_name for group in groups])


def _written(broker: Broker, names: list[str]) -> Outcome:
    outcome: Outcome = after_write(broker.groups, Reply(), names)
    return outcome


def _check_group(broker: Broker, group: SubscriptionGroupConfig) -> None:
    name = group.group_name
    if not is_legal_group(name):
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"illegal name of a consumer group: {name!r}")
    refuse_system_group(name)
    if len(name) > RETRY_GROUP_LENGTH_MAX and broker.groups.get(name) is None:
        remark = (
            f"the name of a consumer group has at most {RETRY_GROUP_LENGTH_MAX} characters, this one has {len(name)}: "
            f"its retry topic could not be named"
        )
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    if group.retry_queue_nums > QUEUE_NUMS_MAX:
        remark = (
            f"retryQueueNums of group[{group.group_name}] must be up to {QUEUE_NUMS_MAX}, got {group.retry_queue_nums}"
        )
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)


def get_all_subscription_group_config(broker: Broker, request: Request[NoHeader]) -> Reply | InSlices:
    """Answer all groups; slaves ask for it."""
    return encoded_in_slices(broker.groups.wrapper())


def delete_subscription_group(broker: Broker, request: Request[DeleteSubscriptionGroupRequestHeader]) -> Outcome:
    """Remove a group's configuration, and its offsets when a newer tool asks for that."""
    header = request.header
    refuse_system_group(header.group_name)
    broker.groups.delete(header.group_name)
    if header.remove_offset or header.clean_offset:
        broker.offsets.forget_group(header.group_name)
    return _written(broker, [header.group_name])


def query_topic_consume_by_who(broker: Broker, request: Request[TopicRequestHeader]) -> Reply:
    """Answer the groups that subscribe a topic now or have offsets for it."""
    topic = request.header.topic
    groups = {*broker.clients.groups_subscribing(topic), *broker.offsets.groups_of(topic)}
    return Reply(body=GroupList(group_list=sorted(groups)).encode())
