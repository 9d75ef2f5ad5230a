"""SEND_MESSAGE, SEND_MESSAGE_V2, SEND_BATCH_MESSAGE: from a producer into the store.

Source: `SendMessageProcessor`, `AbstractSendMessageProcessor#msgCheck` (RocketMQ 4.5.2). The order of the checks is
Java's. Differs: a send to a retry topic without `maxReconsumeTimes` takes the group's, and one that becomes a dead
letter is not delayed, as in 4.9. A message of a batch that wants to wait, and one that is marked as prepared and is no
half message, are refused: 4.5.2 delivers the one at once and the other never. A batch of more than 512 messages is
stored in stretches, between which others may be stored and of which a full disk may refuse the later ones.
"""

import random
from typing import Final

from rmqnode.broker import system_topics
from rmqnode.broker.flow_control import refuse_when_busy
from rmqnode.broker.handlers.remarks import FAQ, ILLEGAL, put_error
from rmqnode.broker.handlers.send_checks import (
    DELIVERY_TIME_NAME,
    TIMER_NAMES,
    SendHeader,
    check_send,
    is_prepared,
    refuse_delivery_time,
)
from rmqnode.broker.messages import WITHOUT_HOST_FLAGS, Message, with_property
from rmqnode.broker.names import TOPIC_LENGTH_MAX
from rmqnode.broker.outcome import AfterFlush, AfterReplication
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.net.slices import InSlices, Steps, batched, in_slices
from rmqnode.net.written_table import AfterWrite, after_write
from rmqnode.protocol.bodies import TopicConfig, TopicFilterType
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import (
    SendMessageRequestHeader,
    SendMessageRequestHeaderV2,
    SendMessageResponseHeader,
)
from rmqnode.protocol.java_text import parse_int
from rmqnode.protocol.message import BatchPart as SentPart
from rmqnode.protocol.message import SysFlag, iter_batch
from rmqnode.protocol.properties import PropertyName, find_property
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store import BatchPart, PutResult, PutStatus, tags_code_of
from rmqnode.store.record import RECORD_HEAD

_PARTS_AT_ONCE: Final = 512
"""Parts of a batch that are stored together, about 2 ms; most batches are smaller."""

_MULTI_TAGS: Final = int(SysFlag.MULTI_TAGS)
_UNDECIDED: Final = int(SysFlag.TRANSACTION_PREPARED)
"""Set for prepared and rolled back messages, which get no unit: no consumer would ever see them."""
_MULTI_TAG_TOPIC: Final = TopicFilterType.MULTI_TAG
_OK: Final = PutStatus.OK
"""By names of our own: to take a member out of an enum costs as much as a call."""

VERSION_3_4_9: Final = 121
"""Clients since this version say how often a message may be consumed."""

_TRANSACTION_NAME: Final = PropertyName.TRANSACTION_PREPARED.encode() + b"\x01"
_DELAY_NAME: Final = PropertyName.DELAY.encode() + b"\x01"
_REPLY_NAME: Final = PropertyName.REPLY_TO_CLIENT.encode() + b"\x01"
_WAIT_NAME: Final = PropertyName.WAIT.encode() + b"\x01"

Outcome = Reply | AfterFlush | AfterReplication | AfterWrite | InSlices
SendRequest = Request[SendMessageRequestHeader] | Request[SendMessageRequestHeaderV2]


def send_message(broker: Broker, request: SendRequest) -> Outcome:
    """Store the message or the batch that a producer sent."""
    try:
        outcome = _send(broker, request)
    except RequestError as error:
        return refused(broker, error)
    return _after_creation(broker, request, outcome) if broker.topics.unwritten else outcome


def _after_creation(broker: Broker, request: SendRequest, outcome: Outcome) -> Outcome:
    """Let a send to a topic that a restart would forget wait until it is written."""
    topic = request.header.topic
    names = [topic]
    if topic.startswith(system_topics.RETRY_GROUP_TOPIC_PREFIX):
        group = topic.removeprefix(system_topics.RETRY_GROUP_TOPIC_PREFIX)
        names.append(system_topics.dead_letter_topic(group))
    waiting: Outcome = after_write(
        broker.topics,
        outcome,
        names,
        lambda error: refused(broker, put_error(broker, PutStatus.SERVICE_NOT_AVAILABLE)),
    )
    return waiting


def refused(broker: Broker, error: RequestError) -> Reply:
    """Answer a send that is not taken; its producer reads region and trace switch all the same."""
    config = broker.config
    header = SendMessageResponseHeader(msg_region=config.region_id, trace_on=config.trace_on)
    return Reply(error.code, error.remark, header)


def _send(broker: Broker, request: SendRequest) -> Outcome:
    header = request.header
    connection = request.connection
    if connection.queued_seconds or not broker.is_durable_at_once:
        refuse_when_busy(broker, connection)
    topic_config = check_send(broker, header, connection.peer)
    queue_id = header.queue_id
    if queue_id < 0:
        queue_id = random.randrange(max(1, topic_config.write_queue_nums))
    if header.batch:
        return _send_batch(broker, request, topic_config, queue_id)
    topic = header.topic
    stored_queue_id = queue_id
    dead_letters = None
    if topic.startswith(system_topics.RETRY_GROUP_TOPIC_PREFIX):
        dead_letters = _dead_letters_for(broker, request)
        if dead_letters is not None:
            topic_config, topic, stored_queue_id = dead_letters, dead_letters.topic_name, 0
    message = message_of(request, topic, stored_queue_id)
    properties = message.properties
    if topic_config.topic_filter_type is _MULTI_TAG_TOPIC:
        message.sys_flag |= _MULTI_TAGS
    if TIMER_NAMES in properties or DELIVERY_TIME_NAME in properties:
        refuse_delivery_time(broker, properties)
    if _REPLY_NAME in properties:
        # The replier learns from it where its reply has to go.
        message.properties = with_property(properties, PropertyName.CLUSTER, broker.config.broker_cluster_name)
    if _TRANSACTION_NAME in properties and is_prepared(broker, message):
        result = broker.transactions.prepare(message)
    elif message.sys_flag & _UNDECIDED:
        result = broker.writer.put(without_transaction(message), may_be_delayed=dead_letters is None)
    elif dead_letters is not None:
        # The consumer asked for a delay before the next try; there is none.
        result = broker.writer.put(message, may_be_delayed=False)
    else:
        result = broker.writer.put(message)
    if result.status is not _OK:
        raise put_error(broker, result.status)
    message_id = f"{broker.message_id_prefix}{result.physical_offset:016X}"
    return _stored(broker, result, message_id, queue_id, properties)


def message_of(request: SendRequest, topic: str, queue_id: int) -> Message:
    """Make the message that a producer's request carries, for a topic and queue."""
    header = request.header
    return Message(
        topic,
        queue_id,
        header.flag,
        header.sys_flag & WITHOUT_HOST_FLAGS,
        header.born_timestamp,
        request.connection.peer_host_bytes,
        request.body,
        (header.properties or "").encode("utf-8", "replace"),
        header.reconsume_times or 0,
    )


def without_transaction(message: Message) -> Message:
    """Take the mark of a prepared message from one that is no half message, if it was one before.

    Raises:
        RequestError: It never was (it has no TRAN_MSG): whoever marks it expects a transaction, which this is not.
    """
    value = find_property(message.properties, PropertyName.TRANSACTION_PREPARED)
    if value is None or value.lower() != b"true":
        remark = f"sysFlag[{message.sys_flag}] marks a prepared message, {PropertyName.TRANSACTION_PREPARED} does not"
        raise RequestError(ResponseCode.MESSAGE_ILLEGAL, remark)
    message.sys_flag &= ~int(SysFlag.TRANSACTION_ROLLBACK)
    return message


def _send_batch(broker: Broker, request: SendRequest, topic_config: TopicConfig, queue_id: int) -> Outcome:
    header = request.header
    if len(header.topic) > TOPIC_LENGTH_MAX:
        raise RequestError(ResponseCode.MESSAGE_ILLEGAL, f"message topic length too long {len(header.topic)}")
    if header.topic.startswith(system_topics.RETRY_GROUP_TOPIC_PREFIX):
        remark = f"batch request does not support retry group {header.topic}"
        raise RequestError(ResponseCode.MESSAGE_ILLEGAL, remark)
    if len(request.body) > broker.config.max_message_size_bytes or _asks_for_delay(header):
        raise RequestError(ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    return in_slices(_batch_steps(broker, request, topic_config, queue_id))


def _batch_steps(broker: Broker, request: SendRequest, topic_config: TopicConfig, queue_id: int) -> Steps[Outcome]:
    try:
        outcome = yield from _put_batch(broker, request, topic_config, queue_id)
    except RequestError as error:
        return refused(broker, error)
    return _after_creation(broker, request, outcome) if broker.topics.unwritten else outcome


def _put_batch(broker: Broker, request: SendRequest, topic_config: TopicConfig, queue_id: int) -> Steps[Outcome]:
    """Store a batch in stretches, of which each is stored whole or not at all."""
    header = request.header
    parts: list[SentPart] = []
    size = 0
    for part in iter_batch(request.body):
        parts.append(part)
        size += RECORD_HEAD.size + len(part.body) + len(part.properties)
        if not len(parts) % _PARTS_AT_ONCE:
            if size > broker.config.max_message_size_bytes:
                raise RequestError(ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
            yield
    if _DELAY_NAME in request.body or _TRANSACTION_NAME in request.body:
        _check_parts_are_plain(parts)
    if TIMER_NAMES in request.body or DELIVERY_TIME_NAME in request.body:
        for each in parts:
            refuse_delivery_time(broker, each.properties)
    if not parts:
        raise RequestError(ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    shared = Message(
        header.topic,
        queue_id,
        header.flag,
        _sys_flag(header, topic_config),
        header.born_timestamp,
        request.connection.peer_host_bytes,
        b"",
        b"",
        header.reconsume_times or 0,
    )
    ids: list[str] = []
    first = None
    for stretch in batched(parts, _PARTS_AT_ONCE):
        if first is not None:
            yield
        result = broker.writer.put_batch(shared, [_with_tags_code(header.topic, part) for part in stretch])
        if result.status is not _OK:
            raise put_error(broker, result.status)
        first = first or result
        ids += [f"{broker.message_id_prefix}{offset:016X}" for offset in result.physical_offsets]
    assert first is not None, "a batch has parts"
    result.queue_offset = first.queue_offset
    message_id = ",".join(ids)
    # All messages of a batch have the same WAIT: the client refuses to mix them.
    return _stored(broker, result, message_id, queue_id, parts[0].properties)


def _with_tags_code(topic: str, part: SentPart) -> BatchPart:
    return BatchPart(part.flag, part.body, part.properties, tags_code_of(topic, part.properties, 0, ()))


def _check_parts_are_plain(parts: list[SentPart]) -> None:
    for part in parts:
        level = parse_int((find_property(part.properties, PropertyName.DELAY) or b"0").decode("ascii", "replace"))
        prepared = find_property(part.properties, PropertyName.TRANSACTION_PREPARED) or b""
        if (level or 0) > 0 or prepared.lower() == b"true":
            remark = "a message of a batch can't be delayed (DELAY) or transactional (TRAN_MSG): send it alone"
            raise RequestError(ResponseCode.MESSAGE_ILLEGAL, remark)


def _asks_for_delay(header: SendHeader) -> bool:
    """Whether a batch as a whole has a delay level, which no batch may have."""
    properties = (header.properties or "").encode("utf-8", "replace")
    return (parse_int((find_property(properties, PropertyName.DELAY) or b"0").decode("ascii", "replace")) or 0) > 0


def _dead_letters_for(broker: Broker, request: SendRequest) -> TopicConfig | None:
    """Return the dead letters' topic for what a consumer sends again itself after too many tries; None before."""
    header = request.header
    name = header.topic.removeprefix(system_topics.RETRY_GROUP_TOPIC_PREFIX)
    group = broker.groups.find(name)
    if group is None:
        remark = f"subscription group not exist, {name} {FAQ}"
        raise RequestError(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)
    reconsume_times_max = group.retry_max_times
    if request.version >= VERSION_3_4_9 and header.max_reconsume_times is not None:
        reconsume_times_max = header.max_reconsume_times
    return dead_letter_topic_of(broker, name) if (header.reconsume_times or 0) >= reconsume_times_max else None


def dead_letter_topic_of(broker: Broker, group: str) -> TopicConfig:
    """Return the topic for messages that a group gave up, created when it is missing.

    Readable and writable as since 4.9; 4.5.2 makes it write-only, so that nobody can look into it.
    """
    return broker.topics.create_if_absent(system_topics.dead_letter_topic(group), 1)


def _sys_flag(header: SendHeader, topic_config: TopicConfig) -> int:
    sys_flag = header.sys_flag & WITHOUT_HOST_FLAGS
    if topic_config.topic_filter_type is _MULTI_TAG_TOPIC:
        sys_flag |= _MULTI_TAGS
    return sys_flag


def _waits(properties: bytes) -> bool:
    """Whether the producer wants to know that disk and slave have the message (WAIT, true unless it says false)."""
    return _WAIT_NAME not in properties or (find_property(properties, PropertyName.WAIT) or b"true").lower() == b"true"


def _stored(broker: Broker, result: PutResult, message_id: str, queue_id: int, properties: bytes) -> Outcome:
    reply = broker.send_replies.stored(message_id, queue_id, result.queue_offset)
    if broker.is_durable_at_once or not _waits(properties):
        return reply
    if broker.flusher.is_sync:
        return AfterFlush(reply, result.end_offset)
    return AfterReplication(reply, result.end_offset)
