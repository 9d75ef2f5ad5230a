"""END_TRANSACTION: a producer decides. RESUME_CHECK_HALF_MESSAGE: a message that was given up is asked about again.

Source: `EndTransactionProcessor`, `AdminBrokerProcessor#resumeCheckHalfMessage` (RocketMQ 4.5.2). Differs: only a half
message can be committed, to a topic and queue that a send could go to, and only one that was given up be resumed.
What is decided stays so: the same decision once more is SUCCESS and does nothing, the opposite one is refused and in
the log; 4.5.2 delivers at each commit, also after a rollback.
"""

import logging
import time
from typing import Final

from rmqnode.broker import system_topics
from rmqnode.broker.handlers.send_checks import check_destination
from rmqnode.broker.state import Broker
from rmqnode.broker.transactions.decision import Decision
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import EndTransactionRequestHeader, ResumeCheckHalfMessageRequestHeader
from rmqnode.protocol.java_text import parse_int
from rmqnode.protocol.message import StoredMessage, SysFlag, decode_record
from rmqnode.protocol.message_id import MalformedMessageId, decode_offset_message_id
from rmqnode.protocol.properties import PropertyName
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store import PutStatus

logger = logging.getLogger(__name__)

_COMMIT: Final = int(SysFlag.TRANSACTION_COMMIT)
_ROLLBACK: Final = int(SysFlag.TRANSACTION_ROLLBACK)

_DONE: Final = {_COMMIT: "committed", _ROLLBACK: "rolled back"}

_NOT_FOUND: Final = "Find prepared transaction message failed"
_NOT_RESUMED: Final = "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC."

_ILLEGAL: Final = (
    ResponseCode.MESSAGE_ILLEGAL,
    "The message is illegal, maybe msg body or properties length not matched. "
    "msg body length limit 128k, msg properties length limit 32k.",
)
_PUT_ERRORS: Final = {
    PutStatus.MESSAGE_ILLEGAL: _ILLEGAL,
    PutStatus.PROPERTIES_SIZE_EXCEEDED: _ILLEGAL,
    PutStatus.SERVICE_NOT_AVAILABLE: (ResponseCode.SERVICE_NOT_AVAILABLE, "Service not available now."),
    PutStatus.CREATE_MAPPED_FILE_FAILED: (ResponseCode.SYSTEM_ERROR, "Create mapped file failed."),
}


def end_transaction(broker: Broker, request: Request[EndTransactionRequestHeader]) -> Reply | None:
    """Commit or roll back a half message; a producer that does not know yet gets no answer."""
    if broker.config.is_slave:
        return Reply(ResponseCode.SLAVE_NOT_AVAILABLE)
    header = request.header
    if header.commit_or_rollback not in (_COMMIT, _ROLLBACK):
        return None
    half = _half_message(broker, header)
    by = request.connection.peer_host_bytes
    earlier = broker.transactions.decision_about(half)
    if earlier is not None:
        _check_same(half, header, earlier, request.connection.peer)
        return Reply()
    if header.commit_or_rollback == _ROLLBACK:
        broker.transactions.roll_back(half, by)
        return Reply()
    _check_real_topic(broker, half)
    status = broker.transactions.commit(half, by)
    if status is not PutStatus.OK:
        raise RequestError(*_PUT_ERRORS[status])
    return Reply()


def _half_message(broker: Broker, header: EndTransactionRequestHeader) -> StoredMessage:
    half = _message_at(broker, header.commit_log_offset)
    if half is None or half.topic != system_topics.TRANS_HALF_TOPIC:
        raise RequestError(ResponseCode.SYSTEM_ERROR, _NOT_FOUND)
    if half.properties.get(PropertyName.PRODUCER_GROUP) != header.producer_group:
        raise RequestError(ResponseCode.SYSTEM_ERROR, "The producer group wrong")
    if half.queue_offset != header.tran_state_table_offset:
        raise RequestError(ResponseCode.SYSTEM_ERROR, "The transaction state table offset wrong")
    return half


def _check_same(half: StoredMessage, header: EndTransactionRequestHeader, earlier: Decision, peer: str) -> None:
    """Refuse the opposite of what is decided; say it in the log once, because one-way callers do not hear it.

    Raises:
        RequestError: The decision was another one, or nobody remembers which: this one has done nothing.
    """
    if earlier.kind == header.commit_or_rollback:
        return
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(earlier.at_ms / 1000)) if earlier.at_ms else ""
    if earlier.kind:
        remark = f"already {_DONE[earlier.kind]} at {when}"
    else:
        remark = f"already decided{' at ' + when if when else ''}, this broker does not know how"
    if not earlier.is_reported:
        earlier.is_reported = True
        logger.warning(
            "transaction decided otherwise before topic=%a keys=%a message_id=%s producer_group=%a remark=%s by=%s "
            "refused=%s from=%s",
            half.properties.get(PropertyName.REAL_TOPIC),
            half.properties.get(PropertyName.KEYS),
            half.message_id,
            header.producer_group,
            remark,
            earlier.by_text,
            "commit" if header.commit_or_rollback == _COMMIT else "rollback",
            peer,
        )
    raise RequestError(ResponseCode.SYSTEM_ERROR, remark)


def _check_real_topic(broker: Broker, half: StoredMessage) -> None:
    """Refuse a commit to where no send could go: a half message may be older than a change of its topic.

    Raises:
        RequestError: The message stays undecided.
    """
    topic = half.properties.get(PropertyName.REAL_TOPIC)
    queue_id = parse_int(half.properties.get(PropertyName.REAL_QUEUE_ID, ""))
    if not topic or queue_id is None or queue_id < 0:
        raise RequestError(*_ILLEGAL)
    check_destination(broker, topic, queue_id)


def resume_check_half_message(broker: Broker, request: Request[ResumeCheckHalfMessageRequestHeader]) -> Reply:
    """Put a message from TRANS_CHECK_MAX_TIME_TOPIC back among the half messages, to be checked from the start."""
    try:
        message_id = decode_offset_message_id(request.header.msg_id or "")
    except MalformedMessageId:
        raise RequestError(ResponseCode.SYSTEM_ERROR, _NOT_RESUMED) from None
    message = _message_at(broker, message_id.physical_offset)
    if message is None or message.topic != system_topics.TRANS_CHECK_MAX_TIME_TOPIC:
        raise RequestError(ResponseCode.SYSTEM_ERROR, _NOT_RESUMED)
    if broker.config.is_slave:
        raise RequestError(ResponseCode.SYSTEM_ERROR, PutStatus.SERVICE_NOT_AVAILABLE.name)
    if broker.transactions.resume(message) is not PutStatus.OK:
        remark = "Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed."
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    return Reply()


def _message_at(broker: Broker, physical_offset: int) -> StoredMessage | None:
    record = broker.store.find_record(physical_offset)
    return None if record is None else decode_record(record)
