"""What is looked at before a producer's message is stored: broker, topic, queue id, and what the message asks for.

Source: `AbstractSendMessageProcessor#msgCheck` (RocketMQ 4.5.2). The order of the checks is Java's.
"""

import logging
import time
from typing import Final

from rmqnode.broker import system_topics
from rmqnode.broker.handlers.remarks import FAQ, put_error, sending_forbidden
from rmqnode.broker.messages import Message
from rmqnode.broker.names import topic_problem
from rmqnode.broker.state import Broker
from rmqnode.config import BrokerRole
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.bodies import Permission, TopicConfig
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import SendMessageRequestHeader, SendMessageRequestHeaderV2
from rmqnode.protocol.java_text import parse_boolean
from rmqnode.protocol.properties import PropertyName, find_property
from rmqnode.store import PutStatus

logger = logging.getLogger(__name__)

SendHeader = SendMessageRequestHeader | SendMessageRequestHeaderV2

_WRITE: Final = int(Permission.WRITE)
"""As a plain int: `&` with an IntFlag costs a microsecond."""
_SLAVE: Final = BrokerRole.SLAVE

TIMER_NAMES: Final = b"TIMER_DEL"
DELIVERY_TIME_NAME: Final = b"__STARTDELIVERTIME"
"""What the properties of a message with a delivery time contain, one or the other: see `refuse_delivery_time`."""

_DELIVERY_TIMES: Final = (
    PropertyName.TIMER_DELAY_SEC,
    PropertyName.TIMER_DELAY_MS,
    PropertyName.TIMER_DELIVER_MS,
    PropertyName.START_DELIVER_TIME,
)


def check_send(broker: Broker, header: SendHeader, peer: str) -> TopicConfig:
    """Return the topic to send to, created when that is allowed.

    Raises:
        RequestError: The broker, the topic or the queue id does not allow the send.
    """
    config = broker.config
    if config.start_accept_send_request_timestamp_ms:
        _check_accepting(broker, config.start_accept_send_request_timestamp_ms)
    if config.broker_role is _SLAVE:
        raise put_error(broker, PutStatus.SERVICE_NOT_AVAILABLE)
    topic = header.topic
    if topic in system_topics.CLOSED_TO_PRODUCERS:
        raise RequestError(ResponseCode.NO_PERMISSION, f"Sending message to topic[{topic}] is forbidden.")
    topic_config = broker.topics.get(topic)
    if not config.broker_permission & _WRITE and topic_config is not None and topic_config.order:
        raise RequestError(ResponseCode.NO_PERMISSION, sending_forbidden(config.broker_ip1))
    if topic == system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC:
        remark = f"the topic[{topic}] is conflict with system reserved words."
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    if topic_config is None:
        topic_config = _create_topic(
            broker, topic, header.default_topic, header.default_topic_queue_nums, unit_mode=header.unit_mode
        )
    queue_id = header.queue_id
    if queue_id >= topic_config.write_queue_nums and queue_id >= topic_config.read_queue_nums:
        remark = f"request queueId[{queue_id}] is illegal, {_describe(topic_config)} Producer: {peer}"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    return topic_config


def check_destination(broker: Broker, topic: str, queue_id: int) -> None:
    """Check where the commit of a transaction wants to store its message as a send to there is checked.

    Raises:
        RequestError: No producer may send there, or the topic can't be created or has no such queue.
    """
    if topic in system_topics.CLOSED_TO_PRODUCERS:
        raise RequestError(ResponseCode.NO_PERMISSION, f"Sending message to topic[{topic}] is forbidden.")
    if topic == system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC:
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"the topic[{topic}] is conflict with system reserved words.")
    config = broker.topics.get(topic) or _create_topic(
        broker, topic, system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC, broker.config.default_topic_queue_nums
    )
    if queue_id >= config.write_queue_nums and queue_id >= config.read_queue_nums:
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"queueId[{queue_id}] is illegal, {_describe(config)}")


def _check_accepting(broker: Broker, start_ms: int) -> None:
    if broker.clock_ms() < start_ms:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start_ms / 1000))
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"broker unable to service, until {when},{start_ms % 1000:03d}")


def _create_topic(
    broker: Broker, topic: str, default_topic: str, queue_nums: int, *, unit_mode: bool = False
) -> TopicConfig:
    problem = topic_problem(topic)
    if problem is not None:
        raise RequestError(ResponseCode.SYSTEM_ERROR, problem)
    try:
        created = broker.topics.create_by_send(topic, default_topic, queue_nums, unit_mode=unit_mode)
    except OSError as error:
        logger.error("topic not created by a send topic=%s reason=%s", topic, error)
        raise put_error(broker, PutStatus.SERVICE_NOT_AVAILABLE) from None
    if created is None:
        remark = f"topic[{topic}] not exist, apply first please!{FAQ}"
        raise RequestError(ResponseCode.TOPIC_NOT_EXIST, remark)
    return created


def refuse_delivery_time(broker: Broker, properties: bytes) -> None:
    """Refuse what 5.x clients ask for and this broker would otherwise deliver at once.

    Raises:
        RequestError: MESSAGE_ILLEGAL, which clients do not try on another broker.
    """
    for name in _DELIVERY_TIMES:
        if find_property(properties, name) is not None:
            levels = broker.config.message_delay_level
            remark = f"this broker keeps no delivery times ({name}), only delay levels (DELAY): {levels}"
            raise RequestError(ResponseCode.MESSAGE_ILLEGAL, remark)


def is_prepared(broker: Broker, message: Message) -> bool:
    """Whether a message waits for the end of a transaction.

    Raises:
        RequestError: It does, and this broker takes none.
    """
    value = find_property(message.properties, PropertyName.TRANSACTION_PREPARED)
    if value is None or not parse_boolean(value.decode("utf-8", "replace")):
        return False
    if message.reconsume_times > 0 and find_property(message.properties, PropertyName.DELAY) is not None:
        # A consumer before 4.6.1 sends a committed message back itself and leaves the property in it.
        return False
    if broker.config.reject_transaction_message:
        remark = f"the broker[{broker.config.broker_ip1}] sending transaction message is forbidden"
        raise RequestError(ResponseCode.NO_PERMISSION, remark)
    return True


def _describe(topic: TopicConfig) -> str:
    """Return a topic's configuration as Java's `TopicConfig#toString` shows it."""
    permission = "".join(
        letter if topic.perm & bit else "-"
        for letter, bit in (("R", Permission.READ), ("W", Permission.WRITE), ("X", Permission.INHERIT))
    )
    return (
        f"TopicConfig [topicName={topic.topic_name}, readQueueNums={topic.read_queue_nums}, "
        f"writeQueueNums={topic.write_queue_nums}, perm={permission}, "
        f"topicFilterType={topic.topic_filter_type.value}, topicSysFlag={topic.topic_sys_flag}, "
        f"order={'true' if topic.order else 'false'}]"
    )
