"""Requests that a tool makes of a consumer: the broker passes them on over the consumer's connection.

Source: `AdminBrokerProcessor#resetOffset`, `#getConsumerStatus`, `#callConsumer`, `Broker2Client` (RocketMQ 4.5.2);
the remarks are theirs, tools show them. Differs: a group that is not online, and a message that is not there, are
answered in words, where Apache's runs into a NullPointerException.
"""

from collections.abc import Callable
from typing import Final

from rmqnode.broker.clients import Member
from rmqnode.broker.outcome import AfterClients, ClientCall
from rmqnode.broker.state import Broker
from rmqnode.net.connection import Connection
from rmqnode.net.dispatch import RequestError
from rmqnode.net.errors import RemotingError, RequestTimeout
from rmqnode.protocol.bodies import (
    GetConsumerStatusBody,
    MessageQueue,
    MessageQueueForC,
    ResetOffsetBody,
    ResetOffsetBodyForC,
)
from rmqnode.protocol.codes import LanguageCode, RequestCode, ResponseCode, version_name
from rmqnode.protocol.command import FLAG_ONEWAY, Command, language_name
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers.administration import (
    ConsumeMessageDirectlyRequestHeader,
    GetConsumerRunningInfoRequestHeader,
    GetConsumerStatusRequestHeader,
    ResetOffsetRequestHeader,
)
from rmqnode.protocol.message_id import decode_offset_message_id
from rmqnode.protocol.routes import Reply, Request

VERSION_3_0_7: Final = 28
"""Clients since this version can be told offsets and asked for them."""

VERSION_3_1_8: Final = 62
"""Clients since this version can describe themselves and consume a message that they are handed."""

_STATUS_TIMEOUT_SECONDS: Final = 5.0
_CALL_TIMEOUT_SECONDS: Final = 10.0


def invoke_broker_to_reset_offset(broker: Broker, request: Request[ResetOffsetRequestHeader]) -> Reply:
    """Tell all members of a group to go on at another offset; answer the offsets."""
    header = request.header
    offsets = _offsets_to_reset(broker, header)
    group = broker.clients.consumer_group(header.group)
    if group is None:
        remark = (
            f"Consumer not online, so can not reset offset, Group: {header.group} Topic: {header.topic} "
            f"Timestamp: {header.timestamp}"
        )
        raise RequestError(ResponseCode.CONSUMER_NOT_ONLINE, remark)
    told = ResetOffsetRequestHeader(topic=header.topic, group=header.group, timestamp=header.timestamp)
    body = _reset_body(offsets, is_for_c=language_name(request.language) == LanguageCode.CPP.name)
    for connection, member in group.members.items():
        _check_version(member)
        code = RequestCode.RESET_CONSUMER_CLIENT_OFFSET
        ext_fields = header_to_ext_fields(told)
        connection.send(Command(code=code, flag=FLAG_ONEWAY, ext_fields=ext_fields, body=body))
    return Reply(body=ResetOffsetBody(offset_table=offsets).encode())


def _offsets_to_reset(broker: Broker, header: ResetOffsetRequestHeader) -> dict[MessageQueue, int]:
    """Return where each queue goes on: at the time asked for, but not forward unless that is forced."""
    topic = broker.topics.get(header.topic)
    if topic is None:
        remark = f"[reset-offset] reset offset failed, no topic in this broker. topic={header.topic}"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    offsets: dict[MessageQueue, int] = {}
    for queue_id in range(topic.write_queue_nums):
        committed = broker.offsets.find(header.group, header.topic, queue_id)
        if committed is None:
            raise RequestError(ResponseCode.SYSTEM_ERROR, f"THe consumer group <{header.group}> not exist")
        if header.queue_id >= 0 and queue_id != header.queue_id:
            continue
        wanted = _offset_asked_for(broker, header, queue_id)
        queue = MessageQueue(topic=header.topic, broker_name=broker.config.broker_name, queue_id=queue_id)
        offsets[queue] = wanted if header.is_force else min(wanted, committed)
    return offsets


def _offset_asked_for(broker: Broker, header: ResetOffsetRequestHeader, queue_id: int) -> int:
    if header.queue_id >= 0 and header.offset is not None and header.offset >= 0:
        return header.offset
    if header.timestamp == -1:
        return broker.store.max_offset(header.topic, queue_id)
    return max(0, broker.store.offset_by_time(header.topic, queue_id, header.timestamp))


def _reset_body(offsets: dict[MessageQueue, int], *, is_for_c: bool) -> bytes:
    if not is_for_c:
        return ResetOffsetBody(offset_table=offsets).encode()
    table = [
        MessageQueueForC(topic=queue.topic, broker_name=queue.broker_name, queue_id=queue.queue_id, offset=offset)
        for queue, offset in offsets.items()
    ]
    return ResetOffsetBodyForC(offset_table=table).encode()


def invoke_broker_to_get_consumer_status(
    broker: Broker, request: Request[GetConsumerStatusRequestHeader]
) -> AfterClients:
    """Ask the members of a group, or one of them, how far they are; those that do not answer are left out."""
    header = request.header
    group = broker.clients.consumer_group(header.group)
    if group is None:
        remark = f"No Any Consumer online in the consumer group: [{header.group}]"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    ext_fields = header_to_ext_fields(GetConsumerStatusRequestHeader(topic=header.topic, group=header.group))
    asked: list[str] = []
    calls: list[ClientCall] = []
    for connection, member in group.members.items():
        _check_version(member)
        if header.client_addr in (None, "", member.client_id):
            command = Command(code=RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, ext_fields=dict(ext_fields))
            asked.append(member.client_id)
            calls.append(ClientCall(connection, command, _STATUS_TIMEOUT_SECONDS))

    def answer(answers: list[Command | RemotingError]) -> Reply:
        table = {
            client_id: response
            for client_id, each in zip(asked, answers, strict=True)
            if (response := _positions(each)) is not None
        }
        return Reply(body=GetConsumerStatusBody(consumer_table=table).encode())

    return AfterClients(calls, answer)


def _positions(answer: Command | RemotingError) -> dict[MessageQueue, int] | None:
    """Return a client's offsets; None when it did not answer with any."""
    if isinstance(answer, RemotingError) or answer.code != ResponseCode.SUCCESS or not answer.body:
        return None
    try:
        return GetConsumerStatusBody.decode(answer.body).message_queue_table
    except ProtocolError:
        return None


def get_consumer_running_info(broker: Broker, request: Request[GetConsumerRunningInfoRequestHeader]) -> AfterClients:
    """Let a consumer describe itself: queues, offsets, statistics, stacks."""
    header = request.header
    return _pass_on(broker, RequestCode.GET_CONSUMER_RUNNING_INFO, header, header.client_id, request.body)


def consume_message_directly(broker: Broker, request: Request[ConsumeMessageDirectlyRequestHeader]) -> AfterClients:
    """Hand a stored message to one consumer and answer how its listener liked it."""
    header = request.header
    physical_offset = decode_offset_message_id(header.msg_id or "").physical_offset
    record = broker.store.find_record(physical_offset)
    if record is None:
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"can not find message by the id, {header.msg_id}")
    header.broker_name = broker.config.broker_name
    return _pass_on(broker, RequestCode.CONSUME_MESSAGE_DIRECTLY, header, header.client_id, bytes(record))


def _pass_on(
    broker: Broker,
    code: RequestCode,
    header: GetConsumerRunningInfoRequestHeader | ConsumeMessageDirectlyRequestHeader,
    client_id: str | None,
    body: bytes,
) -> AfterClients:
    """Relay a request to one member of a group, and its response back as it is."""
    found = _member(broker, header.consumer_group, client_id)
    if found is None:
        remark = f"The Consumer <{header.consumer_group}> <{client_id}> not online"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    connection, member = found
    if member.version < VERSION_3_1_8:
        remark = (
            f"The Consumer <{client_id}> Version <{version_name(member.version)}> too low to finish, "
            "please upgrade it to V3_1_8_SNAPSHOT"
        )
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    command = Command(code=code, ext_fields=header_to_ext_fields(header), body=body)
    relayed = _relayed(f"consumer <{header.consumer_group}> <{client_id}>")
    return AfterClients([ClientCall(connection, command, _CALL_TIMEOUT_SECONDS)], relayed)


def _relayed(who: str) -> Callable[[list[Command | RemotingError]], Reply]:
    def answer(answers: list[Command | RemotingError]) -> Reply:
        (response,) = answers
        if isinstance(response, RequestTimeout):
            return Reply(ResponseCode.CONSUME_MSG_TIMEOUT, f"{who} Timeout: {response}")
        if isinstance(response, RemotingError):
            return Reply(ResponseCode.SYSTEM_ERROR, f"invoke {who} Exception: {response}")
        return Reply(response.code, response.remark, body=response.body)

    return answer


def _member(broker: Broker, group_name: str, client_id: str | None) -> tuple[Connection, Member] | None:
    group = broker.clients.consumer_group(group_name)
    members = group.members.items() if group is not None else ()
    return next(((connection, member) for connection, member in members if member.client_id == client_id), None)


def _check_version(member: Member) -> None:
    if member.version < VERSION_3_0_7:
        remark = f"the client does not support this feature. version={version_name(member.version)}"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
