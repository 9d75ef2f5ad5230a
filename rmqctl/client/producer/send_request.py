"""From a message to the request that carries it, and from the answer to a result. Values, no I/O.

Source: `DefaultMQProducerImpl#sendKernelImpl`, `MQClientAPIImpl#processSendResponse`, `MessageBatch` (RocketMQ 4.5.2).
"""

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from rmqctl.client.answers import Answer
from rmqctl.client.compression import compress_body
from rmqctl.client.errors import InvalidArgument
from rmqctl.client.message import Message, SendResult, SendStatus, check_properties_size, wire_properties
from rmqctl.client.names import AUTO_CREATE_TOPIC, RETRY_PREFIX
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import I32, I64, Header
from rmqnode.protocol.headers import SendMessageRequestHeaderV2
from rmqnode.protocol.message import BatchPart, SysFlag, encode_batch
from rmqnode.protocol.properties import PropertyName, encode_properties

DEFAULT_QUEUE_COUNT: Final = 4
"""Queues that a broker gives a topic which it creates by itself (`defaultTopicQueueNums` of a producer)."""

REPLY_MESSAGE_TYPE: Final = "reply"
"""Value of `PropertyName.MESSAGE_TYPE` of what answers a request message."""

_STATUS_BY_CODE: Final = {
    int(ResponseCode.SUCCESS): SendStatus.SEND_OK,
    int(ResponseCode.FLUSH_DISK_TIMEOUT): SendStatus.FLUSH_DISK_TIMEOUT,
    int(ResponseCode.FLUSH_SLAVE_TIMEOUT): SendStatus.FLUSH_SLAVE_TIMEOUT,
    int(ResponseCode.SLAVE_NOT_AVAILABLE): SendStatus.SLAVE_NOT_AVAILABLE,
}

STORED: Final = frozenset(_STATUS_BY_CODE)
"""Response codes of a message that is stored."""

BATCH_SIZE_BYTES_MAX: Final = 1024 * 1024
"""How large a batch may be as a whole: a broker takes 4 MiB unless it is configured, Apache advises 1 MiB."""


class SendReplyHeader(Header):
    """What a producer needs of the answer to a send; brokers other than 4.5.2 may leave the rest out."""

    msg_id: str
    queue_id: I32
    queue_offset: I64


class SendRequest(msgspec.Struct, frozen=True):
    """A message, or a batch of them, ready for the wire; the queue is chosen for each attempt."""

    code: RequestCode
    topic: str
    body: bytes
    properties: str
    flag: int
    sys_flag: int
    message_ids: tuple[str, ...]
    """Unique key of each message."""
    reconsume_times: int = 0
    max_reconsume_times: int | None = None

    def header(self, group: str, queue_id: int) -> SendMessageRequestHeaderV2:
        """Return the header of an attempt that begins now."""
        return SendMessageRequestHeaderV2(
            producer_group=group,
            topic=self.topic,
            default_topic=AUTO_CREATE_TOPIC,
            default_topic_queue_nums=DEFAULT_QUEUE_COUNT,
            queue_id=queue_id,
            sys_flag=self.sys_flag,
            born_timestamp=time.time_ns() // 1_000_000,
            flag=self.flag,
            properties=self.properties,
            reconsume_times=self.reconsume_times,
            max_reconsume_times=self.max_reconsume_times,
            batch=self.code is RequestCode.SEND_BATCH_MESSAGE,
        )


def single_request(message: Message, unique_key: str, compress_over_bytes: int | None) -> SendRequest:
    """Return the request for one message, which was checked; a body above the limit is compressed.

    Raises:
        InvalidArgument: Its properties are too large.
    """
    properties = wire_properties(message, unique_key)
    reconsume_times, max_reconsume_times = 0, None
    if message.topic.startswith(RETRY_PREFIX):
        # A consumer's own resend: the broker wants these as fields.
        reconsume_times = int(properties.pop(PropertyName.RECONSUME_TIME, 0))
        maximum = properties.pop(PropertyName.MAX_RECONSUME_TIMES, None)
        max_reconsume_times = None if maximum is None else int(maximum)
    text = encode_properties(properties)
    check_properties_size(text)
    body, sys_flag = message.body, 0
    if PropertyName.TRANSACTION_PREPARED in message.system_properties:
        # Never compressed: once 4.5.2's brokers have asked about a half message they keep a copy that is flagged as
        # compressed and is not, so that no consumer could read it.
        sys_flag = int(SysFlag.TRANSACTION_PREPARED)
    elif compress_over_bytes is not None and len(body) >= compress_over_bytes:
        body, sys_flag = compress_body(body), int(SysFlag.COMPRESSED)
    is_reply = message.system_properties.get(PropertyName.MESSAGE_TYPE) == REPLY_MESSAGE_TYPE
    return SendRequest(
        RequestCode.SEND_REPLY_MESSAGE_V2 if is_reply else RequestCode.SEND_MESSAGE_V2,
        message.topic,
        body,
        text,
        message.flag,
        sys_flag,
        (unique_key,),
        reconsume_times,
        max_reconsume_times,
    )


def batch_requests(messages: Sequence[tuple[Message, str]], size_bytes_max: int) -> list[SendRequest]:
    """Return as few requests as carry all messages in their order, each below a size.

    Args:
        messages: Of one topic, checked, each with its unique key.
        size_bytes_max: Of the body of a request.

    Raises:
        InvalidArgument: They can't be in one batch, or one of them is larger than a batch may be.
    """
    if not messages:
        raise InvalidArgument("a batch without messages", cure="give at least one")
    first = messages[0][0]
    groups: list[tuple[list[bytes], list[str]]] = []
    size_bytes = size_bytes_max
    for message, unique_key in messages:
        _check_batch_member(message, first)
        properties = encode_properties(wire_properties(message, unique_key))
        check_properties_size(properties)
        part = encode_batch([BatchPart(message.flag, message.body, properties.encode())])
        if len(part) > size_bytes_max:
            raise InvalidArgument(
                f"a message of {len(part)} bytes with its properties is larger than a batch of {size_bytes_max}",
                cure="send it by itself, or raise size_bytes_max up to the broker's maxMessageSize",
            )
        if size_bytes + len(part) > size_bytes_max:
            groups.append(([], []))
            size_bytes = 0
        size_bytes += len(part)
        groups[-1][0].append(part)
        groups[-1][1].append(unique_key)
    return [_batch_request(first, parts, keys) for parts, keys in groups]


def result_of(answer: Answer, request: SendRequest, queue: MessageQueue) -> SendResult:
    """Return the result of a message that was sent by itself.

    Raises:
        BadReply: The answer lacks a field.
    """
    stored = answer.header(SendReplyHeader)
    return SendResult(
        _STATUS_BY_CODE[answer.code],
        request.message_ids[0],
        stored.msg_id,
        request.topic,
        queue.broker_name,
        stored.queue_id,
        stored.queue_offset,
    )


def batch_results_of(answer: Answer, request: SendRequest, queue: MessageQueue) -> list[SendResult]:
    """Return the result of each message of a batch: the broker gives them consecutive offsets.

    Raises:
        BadReply: The answer lacks a field, or the id of a message.
    """
    stored = answer.header(SendReplyHeader)
    offset_message_ids = stored.msg_id.split(",")
    if len(offset_message_ids) != len(request.message_ids):
        raise answer.bad(f"{len(offset_message_ids)} ids for a batch of {len(request.message_ids)} messages")
    return [
        SendResult(
            _STATUS_BY_CODE[answer.code],
            message_id,
            offset_message_ids[index],
            request.topic,
            queue.broker_name,
            stored.queue_id,
            stored.queue_offset + index,
        )
        for index, message_id in enumerate(request.message_ids)
    ]


def _batch_request(first: Message, parts: list[bytes], unique_keys: list[str]) -> SendRequest:
    # The broker takes what concerns the whole batch, such as whether to wait, from the header.
    properties = encode_properties({PropertyName.WAIT: "true" if first.wait_stored else "false"})
    code = RequestCode.SEND_BATCH_MESSAGE
    return SendRequest(code, first.topic, b"".join(parts), properties, 0, 0, tuple(unique_keys))


def _check_batch_member(message: Message, first: Message) -> None:
    if message.topic != first.topic or message.wait_stored != first.wait_stored:
        raise InvalidArgument(
            f"a batch for {first.topic} has a message for {message.topic}"
            if message.topic != first.topic
            else "a batch has messages that wait for disk and slave, and others that do not",
            "one answer stands for all messages of a batch",
            "make a batch of each kind",
        )
    if message.delay_level or message.topic.startswith(RETRY_PREFIX):
        raise InvalidArgument(
            f"a batch has {'a delayed message' if message.delay_level else 'messages of a retry topic'}",
            "brokers do not take such messages in batches",
            "send it by itself",
        )
