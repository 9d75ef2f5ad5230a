"""PULL_MESSAGE and LITE_PULL_MESSAGE: messages of one queue from an offset on, held when there are none.

Source: `PullMessageProcessor` (RocketMQ 4.5.2). The order of the checks is Java's. Differs: beyond the end of a
queue the client is sent to the end, as since 4.9, where 4.5.2 may send it back to the first message.
"""

from typing import Any, Final

from rmqnode.broker.handlers.remarks import FAQ, NO_SUCH_FILTER, refuse_broker_offsets
from rmqnode.broker.messages import Message
from rmqnode.broker.outcome import Hold
from rmqnode.broker.state import Broker
from rmqnode.broker.subscriptions import TAGS_LENGTH_MAX, Selection, is_tag_type, parse_tag_subscription
from rmqnode.broker.system_topics import OFFSET_MOVED_EVENT, RETRY_GROUP_TOPIC_PREFIX
from rmqnode.filter import FilterError
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.bodies import (
    MessageModel,
    MessageQueue,
    OffsetMovedEvent,
    Permission,
    SubscriptionGroupConfig,
)
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import PullMessageRequestHeader, PullMessageResponseHeader
from rmqnode.protocol.properties import PropertyName, encode_properties
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store import GetResult, GetStatus

FLAG_COMMIT_OFFSET: Final = 1
FLAG_SUSPEND: Final = 2
FLAG_SUBSCRIPTION: Final = 4
"""Bits of a pull's `sysFlag`."""

_READ: Final = int(Permission.READ)


_NEXT_PULL_AT_ONCE: Final = frozenset({GetStatus.NO_MATCHED_MESSAGE, GetStatus.MESSAGE_WAS_REMOVING})
_NOTHING_YET: Final = frozenset({GetStatus.OFFSET_FOUND_NULL, GetStatus.OFFSET_OVERFLOW_ONE})
_EMPTY: Final = frozenset({GetStatus.NO_MESSAGE_IN_QUEUE, GetStatus.NO_MATCHED_LOGIC_QUEUE})

PullRequest = Request[PullMessageRequestHeader]


def pull_message(broker: Broker, request: PullRequest) -> Reply | Hold:
    """Answer a pull, or hold it when it found nothing and may wait."""
    header = request.header
    group = _check_group(broker, header)
    tags_codes, accepts = _check_queue(broker, request, group)
    if header.sys_flag & FLAG_COMMIT_OFFSET and not broker.config.is_slave:
        refuse_broker_offsets(header.consumer_group)
        broker.offsets.commit(header.consumer_group, header.topic, header.queue_id, header.commit_offset)
    offset, count_max = header.queue_offset, header.max_msg_nums
    found = broker.store.get(header.topic, header.queue_id, offset, count_max, tags_codes, accepts)
    if found.count:
        broker.statistics.pulled(header.consumer_group, header.topic, found.count, found.size_bytes)
    else:
        broker.statistics.gets_missed += 1
    code = _code_of(found.status, header.queue_offset)
    if code is ResponseCode.PULL_NOT_FOUND and header.sys_flag & FLAG_SUSPEND:
        is_long = broker.config.long_polling_enable
        timeout_ms = header.suspend_timeout_millis if is_long else broker.config.short_polling_time_ms
        return Hold(header.queue_offset, timeout_ms, tags_codes, accepts)
    return _reply(broker, header, group, found, code)


def pull_message_again(broker: Broker, request: Request[Any]) -> Reply:
    """Answer a pull that was held: with what is there now, without holding it once more."""
    header = request.header
    header.sys_flag &= ~(FLAG_SUSPEND | FLAG_COMMIT_OFFSET)
    outcome = pull_message(broker, request)
    assert isinstance(outcome, Reply)
    return outcome


def _check_group(broker: Broker, header: PullMessageRequestHeader) -> SubscriptionGroupConfig:
    if not broker.config.broker_permission & _READ:
        raise _forbidden(f"the broker[{broker.config.broker_ip1}] pulling message is forbidden")
    group = broker.groups.find(header.consumer_group)
    if group is None:
        remark = f"subscription group [{header.consumer_group}] does not exist, {FAQ}"
        raise RequestError(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)
    if not group.consume_enable:
        raise _forbidden(f"subscription group no permission, {header.consumer_group}")
    return group


def _check_queue(broker: Broker, request: PullRequest, group: SubscriptionGroupConfig) -> Selection:
    """Check topic, queue id and subscription; return what to deliver."""
    header = request.header
    topic = broker.topics.get(header.topic)
    if topic is None:
        remark = f"topic[{header.topic}] not exist, apply first please! {FAQ}"
        raise RequestError(ResponseCode.TOPIC_NOT_EXIST, remark)
    if not topic.perm & _READ:
        raise _forbidden(f"the topic[{header.topic}] pulling message is forbidden")
    if not 0 <= header.queue_id < topic.read_queue_nums:
        remark = (
            f"queueId[{header.queue_id}] is illegal, topic:[{header.topic}] "
            f"topicConfig.readQueueNums:[{topic.read_queue_nums}] consumer:[/{request.connection.peer}]"
        )
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    if header.sys_flag & FLAG_SUBSCRIPTION:
        selection = _selection_of_request(broker, header)
    else:
        selection = _selection_of_heartbeat(broker, header, group)
    if broker.config.filter_support_retry and header.topic.startswith(RETRY_GROUP_TOPIC_PREFIX):
        return Selection(selection.tags_codes, broker.filters.accepts_retried(header.consumer_group))
    return selection


def _selection_of_request(broker: Broker, header: PullMessageRequestHeader) -> Selection:
    """The subscription that the pull brings itself.

    Differs: with an expression that does not compile 4.5.2 delivers every message.
    """
    if is_tag_type(header.expression_type):
        if header.subscription is not None and len(header.subscription) > TAGS_LENGTH_MAX:
            remark = f"parse the consumer's subscription failed: its tags are longer than {TAGS_LENGTH_MAX} characters"
            raise RequestError(ResponseCode.SUBSCRIPTION_PARSE_FAILED, remark)
        return parse_tag_subscription(header.subscription)
    expression_type = str(header.expression_type)
    _check_filters_are_on(broker, expression_type)
    try:
        return Selection(None, broker.filters.compiled.get(expression_type, header.subscription or "").accepts)
    except FilterError as error:
        remark = f"parse the consumer's subscription failed: {error}"
        raise RequestError(ResponseCode.SUBSCRIPTION_PARSE_FAILED, remark) from None


def _selection_of_heartbeat(
    broker: Broker, header: PullMessageRequestHeader, group_config: SubscriptionGroupConfig
) -> Selection:
    group = broker.clients.consumer_group(header.consumer_group)
    if group is None:
        remark = f"the consumer's group info not exist{FAQ}"
        raise RequestError(ResponseCode.SUBSCRIPTION_NOT_EXIST, remark)
    if not group_config.consume_broadcast_enable and group.message_model is MessageModel.BROADCASTING:
        raise _forbidden(f"the consumer group[{header.consumer_group}] can not consume by broadcast way")
    subscription = group.subscriptions.get(header.topic)
    if subscription is None:
        remark = f"the consumer's subscription not exist{FAQ}"
        raise RequestError(ResponseCode.SUBSCRIPTION_NOT_EXIST, remark)
    if subscription.sub_version < header.sub_version:
        remark = "the consumer's subscription not latest"
        raise RequestError(ResponseCode.SUBSCRIPTION_NOT_LATEST, remark)
    if subscription.class_filter_mode:
        raise RequestError(ResponseCode.SYSTEM_ERROR, NO_SUCH_FILTER.format("a class: there are no filter servers"))
    if not is_tag_type(subscription.expression_type):
        return _selection_of_expression(broker, header, subscription.expression_type)
    return group.selections[header.topic]


def _selection_of_expression(broker: Broker, header: PullMessageRequestHeader, expression_type: str) -> Selection:
    _check_filters_are_on(broker, expression_type)
    found = broker.filters.find(header.topic, header.consumer_group)
    wants = None if found is None else broker.filters.filter_of(found)
    if found is None or wants is None:
        remark = "The broker's consumer filter data is not exist!Your expression may be wrong!"
        raise RequestError(ResponseCode.FILTER_DATA_NOT_EXIST, remark)
    if found.client_version < header.sub_version:
        raise RequestError(ResponseCode.FILTER_DATA_NOT_LATEST, "the consumer's consumer filter data not latest")
    return Selection(None, wants.accepts)


def _check_filters_are_on(broker: Broker, expression_type: str) -> None:
    if not broker.config.enable_property_filter:
        raise RequestError(ResponseCode.SYSTEM_ERROR, NO_SUCH_FILTER.format(expression_type))


def _code_of(status: GetStatus, queue_offset: int) -> ResponseCode:
    if status is GetStatus.FOUND:
        return ResponseCode.SUCCESS
    if status in _NEXT_PULL_AT_ONCE:
        return ResponseCode.PULL_RETRY_IMMEDIATELY
    if status in _NOTHING_YET or (status in _EMPTY and queue_offset == 0):
        return ResponseCode.PULL_NOT_FOUND
    return ResponseCode.PULL_OFFSET_MOVED


def _reply(
    broker: Broker,
    header: PullMessageRequestHeader,
    group: SubscriptionGroupConfig,
    found: GetResult,
    code: ResponseCode,
) -> Reply:
    next_offset = found.next_queue_offset
    if code is ResponseCode.PULL_OFFSET_MOVED:
        if broker.config.is_slave and not broker.config.offset_check_in_slave:
            # A slave may be behind its master: its view of the queue's ends must not move a consumer.
            code = ResponseCode.PULL_RETRY_IMMEDIATELY
            next_offset = header.queue_offset
        elif not broker.config.is_slave:
            _store_offset_moved_event(broker, header, next_offset)
    suggested_id = 0
    if broker.config.slave_read_enable:
        suggested_id = group.which_broker_when_consume_slowly if found.is_behind_memory else group.broker_id
    return Reply(
        code,
        found.status.name,
        PullMessageResponseHeader(
            suggest_which_broker_id=suggested_id,
            next_begin_offset=next_offset,
            min_offset=found.min_queue_offset,
            max_offset=found.max_queue_offset,
        ),
        found.buffers if code is ResponseCode.SUCCESS else b"",
    )


def _store_offset_moved_event(broker: Broker, header: PullMessageRequestHeader, new_offset: int) -> None:
    """Leave a message that tells of a group sent to another offset; monitors read them."""
    event = OffsetMovedEvent(
        consumer_group=header.consumer_group,
        message_queue=MessageQueue(topic=header.topic, broker_name=broker.config.broker_name, queue_id=header.queue_id),
        offset_request=header.queue_offset,
        offset_new=new_offset,
    )
    properties = {
        PropertyName.KEYS: header.consumer_group,
        PropertyName.DELAY: "0",
        PropertyName.TAGS: header.consumer_group,
    }
    broker.writer.put(
        Message(
            topic=OFFSET_MOVED_EVENT,
            queue_id=0,
            flag=0,
            sys_flag=0,
            born_timestamp=broker.clock_ms(),
            born_host=broker.store_host,
            body=event.encode(),
            properties=encode_properties(properties).encode(),
        )
    )


def _forbidden(remark: str) -> RequestError:
    return RequestError(ResponseCode.NO_PERMISSION, remark)
