"""CONSUMER_SEND_MSG_BACK: a consumer failed on a message and wants it again later, or never.

Source: `SendMessageProcessor#consumerSendMsgBack` (RocketMQ 4.5.2). Differs: without `maxReconsumeTimes` the
group's value counts; a dead letter is not delayed once more and always names its origin, as since 4.9.
"""

import random

from rmqnode.broker.handlers.remarks import FAQ, sending_forbidden
from rmqnode.broker.handlers.send import VERSION_3_4_9, dead_letter_topic_of
from rmqnode.broker.messages import copy_of
from rmqnode.broker.state import Broker
from rmqnode.broker.system_topics import dead_letter_topic, retry_topic
from rmqnode.net.dispatch import RequestError
from rmqnode.net.written_table import AfterWrite, after_write
from rmqnode.protocol.bodies import Permission
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import ConsumerSendMsgBackRequestHeader
from rmqnode.protocol.message import StoredMessage, decode_record
from rmqnode.protocol.properties import PropertyName
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store import PutStatus


def consumer_send_msg_back(broker: Broker, request: Request[ConsumerSendMsgBackRequestHeader]) -> Reply | AfterWrite:
    """Store a copy of the message for the group's retry topic, delayed, or for its dead letters."""
    reply = _send_back(broker, request)
    group = request.header.group
    outcome: Reply | AfterWrite = after_write(broker.topics, reply, (retry_topic(group), dead_letter_topic(group)))
    return outcome


def _send_back(broker: Broker, request: Request[ConsumerSendMsgBackRequestHeader]) -> Reply:
    header = request.header
    group = broker.groups.find(header.group)
    if group is None:
        remark = f"subscription group not exist, {header.group} {FAQ}"
        raise RequestError(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)
    if not broker.config.broker_permission & Permission.WRITE:
        raise RequestError(ResponseCode.NO_PERMISSION, sending_forbidden(broker.config.broker_ip1))
    if group.retry_queue_nums <= 0:
        return Reply()
    if broker.config.is_slave:
        raise RequestError(ResponseCode.SYSTEM_ERROR, PutStatus.SERVICE_NOT_AVAILABLE.name)
    topic = broker.topics.create_if_absent(
        retry_topic(header.group), group.retry_queue_nums, unit_mode=header.unit_mode
    )
    if not topic.perm & Permission.WRITE:
        remark = f"the topic[{topic.topic_name}] sending message is forbidden"
        raise RequestError(ResponseCode.NO_PERMISSION, remark)
    record = broker.store.find_record(header.offset)
    if record is None:
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"look message by offset failed, {header.offset}")
    stored = decode_record(record)
    reconsume_times_max = group.retry_max_times
    if request.version >= VERSION_3_4_9 and header.max_reconsume_times is not None:
        reconsume_times_max = header.max_reconsume_times
    properties = _properties_of_copy(stored)
    queue_id = random.randrange(group.retry_queue_nums)
    if stored.reconsume_times >= reconsume_times_max or header.delay_level < 0:
        topic = dead_letter_topic_of(broker, header.group)
        queue_id = 0
        properties.pop(PropertyName.DELAY, None)
    else:
        properties[PropertyName.DELAY] = str(header.delay_level or 3 + stored.reconsume_times)
    message = copy_of(stored, topic.topic_name, queue_id, properties)
    message.reconsume_times += 1
    message.store_host = None
    result = broker.writer.put(message)
    if result.status is not PutStatus.OK:
        raise RequestError(ResponseCode.SYSTEM_ERROR, result.status.name)
    broker.statistics.sent_back(header.group, properties[PropertyName.RETRY_TOPIC])
    return Reply()


def _properties_of_copy(stored: StoredMessage) -> dict[str, str]:
    properties = dict(stored.properties)
    properties.setdefault(PropertyName.RETRY_TOPIC, stored.topic)
    properties.setdefault(PropertyName.ORIGIN_MESSAGE_ID, stored.offset_message_id)
    properties[PropertyName.WAIT] = "false"
    return properties
