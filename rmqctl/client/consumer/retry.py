"""What becomes of a message whose handler failed: values and rules, no I/O.

A handler says `Retry` (or raises) and the broker delivers the message again later, from the group's retry topic. After
`max_reconsume_times` it lies in the dead-letter queue `%DLQ%group`, where nobody reads by default. Source:
`DefaultMQPushConsumerImpl#sendMessageBack`, `ConsumeMessageOrderlyService#sendMessageBack` (RocketMQ 4.5.2).
"""

import time
from typing import Final

import msgspec

from rmqctl.client.names import AUTO_CREATE_TOPIC, RETRY_PREFIX
from rmqctl.client.received import original_topic
from rmqnode.protocol.headers import ConsumerSendMsgBackRequestHeader, SendMessageRequestHeaderV2
from rmqnode.protocol.message import StoredMessage, SysFlag
from rmqnode.protocol.properties import PropertyName, encode_properties

MAX_RECONSUME_TIMES: Final = 16
"""How often a message is delivered again by default: the last time after about 4 h 46 min."""

MAX_RECONSUME_TIMES_ORDERLY: Final = 2**31 - 1
"""An orderly consumer tries for ever by default: to go on would break the order."""

_PRODUCER_GROUP: Final = "CLIENT_INNER_PRODUCER"
_COMPRESSION_BITS: Final = SysFlag.COMPRESSED | 0x700


class Retry(msgspec.Struct, frozen=True):
    """What a handler returns to get the message again later."""

    delay_level: int = 0
    """1 to 18 as the broker's `messageDelayLevel` says (1s 5s 10s 30s 1m …); 0: longer with each failure; negative:
    to the dead-letter queue at once. An orderly consumer does not look at it."""
    suspend_seconds: float | None = None
    """Orderly only: how long its queue stands still; None: as the consumer was told."""


def retry_topic(group: str) -> str:
    """Return the topic that a group's failed messages come back from."""
    return RETRY_PREFIX + group


def send_back_header(
    stored: StoredMessage, group: str, delay_level: int, max_reconsume_times: int
) -> ConsumerSendMsgBackRequestHeader:
    """Return the header of CONSUMER_SEND_MSG_BACK: the broker copies the message by itself."""
    return ConsumerSendMsgBackRequestHeader(
        offset=stored.physical_offset,
        group=group,
        delay_level=delay_level,
        origin_msg_id=stored.offset_message_id,
        origin_topic=original_topic(stored),
        max_reconsume_times=max_reconsume_times,
    )


def retry_copy_header(
    stored: StoredMessage, group: str, queue_id: int, reconsume_times: int, max_reconsume_times: int
) -> SendMessageRequestHeaderV2:
    """Return the header that sends a copy to the retry topic ourselves, on any broker.

    Args:
        stored: Its body goes with the copy as it is, compressed or not.
        group: The consumer group.
        queue_id: Of the retry topic.
        reconsume_times: What the copy says; from `max_reconsume_times` on the broker makes a dead letter of it.
        max_reconsume_times: Of this group.
    """
    properties = dict(stored.properties)
    properties.setdefault(PropertyName.ORIGIN_MESSAGE_ID, stored.offset_message_id)
    properties[PropertyName.RETRY_TOPIC] = original_topic(stored)
    if reconsume_times < max_reconsume_times:
        properties[PropertyName.DELAY] = str(3 + stored.reconsume_times)
    else:
        # A dead letter comes to nobody, so nothing is to be waited for, as Java lets brokers do.
        properties.pop(PropertyName.DELAY, None)
    return SendMessageRequestHeaderV2(
        producer_group=_PRODUCER_GROUP,
        topic=retry_topic(group),
        default_topic=AUTO_CREATE_TOPIC,
        default_topic_queue_nums=1,
        queue_id=queue_id,
        sys_flag=stored.sys_flag & _COMPRESSION_BITS,
        born_timestamp=time.time_ns() // 1_000_000,
        flag=stored.flag,
        properties=encode_properties(properties),
        reconsume_times=reconsume_times,
        max_reconsume_times=max_reconsume_times,
    )
