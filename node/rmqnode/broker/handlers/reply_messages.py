"""SEND_REPLY_MESSAGE, SEND_REPLY_MESSAGE_V2: the answer to a request-reply message, handed to who asked.

The requester is found by the client id in REPLY_TO_CLIENT: its producer sends heartbeats to every broker before it
asks. It gets the message with PUSH_REPLY_MESSAGE_TO_CLIENT, and the send of the reply is answered as it answers.
Source: `ReplyMessageProcessor` (RocketMQ 4.9.7; 4.5.2 has none). Differs: the reply is stored before it is handed on,
and refused when it can never be stored.
"""

import random
from typing import Final

from rmqnode.broker.flow_control import refuse_when_busy
from rmqnode.broker.handlers.remarks import put_error
from rmqnode.broker.handlers.send import SendRequest, message_of, refused, without_transaction
from rmqnode.broker.handlers.send_checks import SendHeader, check_send
from rmqnode.broker.outcome import AfterClients, ClientCall
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers import ReplyMessageRequestHeader, SendMessageResponseHeader
from rmqnode.protocol.message import SysFlag
from rmqnode.protocol.properties import PropertyName, decode_properties, encode_properties
from rmqnode.protocol.routes import Reply
from rmqnode.store import PutStatus

_PUSH_TIMEOUT_SECONDS: Final = 10.0


def send_reply_message(broker: Broker, request: SendRequest) -> Reply | AfterClients:
    """Store a reply and hand it to the client that waits for it."""
    try:
        return _send_reply(broker, request)
    except RequestError as error:
        return refused(broker, error)


def _send_reply(broker: Broker, request: SendRequest) -> Reply | AfterClients:
    header = request.header
    refuse_when_busy(broker, request.connection)
    topic_config = check_send(broker, header, request.connection.peer)
    queue_id = header.queue_id
    if queue_id < 0:
        queue_id = random.randrange(max(1, topic_config.write_queue_nums))
    answer = _store(broker, request, queue_id)
    properties = decode_properties(header.properties or "")
    client_id = properties.get(PropertyName.REPLY_TO_CLIENT)
    connection = broker.clients.producer_connection(client_id) if client_id is not None else None
    if connection is None:
        remark = f"push reply message fail, channel of <{client_id}> not found."
        if client_id is None:
            remark = "reply message properties[REPLY_TO_CLIENT] is null"
        return Reply(ResponseCode.SYSTEM_ERROR, remark, answer)
    now_ms = broker.clock_ms()
    properties[PropertyName.PUSH_REPLY_TIME] = str(now_ms)
    command = Command(
        code=RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT,
        ext_fields=header_to_ext_fields(_push_header(broker, header, request.connection.peer, properties, now_ms)),
        body=request.body,
    )

    def answer_as(responses: list[Command | RemotingError]) -> Reply:
        (response,) = responses
        if isinstance(response, Command) and response.code == ResponseCode.SUCCESS:
            return Reply(header=answer)
        return Reply(ResponseCode.SYSTEM_ERROR, f"push reply message to {client_id}fail.", answer)

    return AfterClients([ClientCall(connection, command, _PUSH_TIMEOUT_SECONDS)], answer_as)


def _store(broker: Broker, request: SendRequest, queue_id: int) -> SendMessageResponseHeader:
    """Store the reply where that is switched on; return what its sender is told, zeros without a place in the log."""
    config = broker.config
    answer = SendMessageResponseHeader(
        msg_id="0", queue_id=queue_id, queue_offset=0, msg_region=config.region_id, trace_on=config.trace_on
    )
    if config.store_reply_message_enable:
        message = message_of(request, request.header.topic, queue_id)
        if message.sys_flag & SysFlag.TRANSACTION_PREPARED:
            message = without_transaction(message)
        result = broker.writer.put(message)
        if result.status in (PutStatus.MESSAGE_ILLEGAL, PutStatus.PROPERTIES_SIZE_EXCEEDED):
            raise put_error(broker, result.status)
        if result.status is PutStatus.OK:
            answer.msg_id = f"{broker.message_id_prefix}{result.physical_offset:016X}"
            answer.queue_offset = result.queue_offset
    return answer


def _push_header(
    broker: Broker, header: SendHeader, peer: str, properties: dict[str, str], now_ms: int
) -> ReplyMessageRequestHeader:
    return ReplyMessageRequestHeader(
        producer_group=header.producer_group,
        topic=header.topic,
        default_topic=header.default_topic,
        default_topic_queue_nums=header.default_topic_queue_nums,
        queue_id=header.queue_id,
        sys_flag=header.sys_flag,
        born_timestamp=header.born_timestamp,
        flag=header.flag,
        properties=encode_properties(properties),
        reconsume_times=header.reconsume_times,
        unit_mode=header.unit_mode,
        born_host=peer,
        store_host=f"{broker.config.broker_ip1}:{broker.config.listen_port}",
        store_timestamp=now_ms,
    )
