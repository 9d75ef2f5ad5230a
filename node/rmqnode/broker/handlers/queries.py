"""Single messages: by key or unique key over the index, by the physical offset in their id.

Source: `QueryMessageProcessor` (RocketMQ 4.5.2). Differs: a query sees every message that was sent before it.
"""

from typing import Final

from rmqnode.broker.outcome import AfterIndexing
from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import (
    QueryMessageRequestHeader,
    QueryMessageResponseHeader,
    ViewMessageRequestHeader,
)
from rmqnode.protocol.routes import Reply, Request

_NOT_FOUND: Final = "can not find message, maybe time range not correct"


def query_message(broker: Broker, request: Request[QueryMessageRequestHeader]) -> AfterIndexing:
    """Answer the messages that may have a key, once the index has caught up; the client compares the keys.

    Two keys can have one hash, and 4.5.2 returns both: clients know.
    """
    header = request.header
    count_max = broker.config.default_query_max_num if header.is_unique_key == "true" else header.max_num

    def answer() -> Reply:
        found = broker.store.query(header.topic, header.key, count_max, header.begin_timestamp, header.end_timestamp)
        reply_header = QueryMessageResponseHeader(
            index_last_update_timestamp=found.index_last_update_timestamp,
            index_last_update_phyoffset=found.index_last_update_offset,
        )
        if not found.buffers:
            return Reply(ResponseCode.QUERY_NOT_FOUND, _NOT_FOUND, reply_header)
        return Reply(header=reply_header, body=found.buffers)

    return AfterIndexing(answer)


def view_message_by_id(broker: Broker, request: Request[ViewMessageRequestHeader]) -> Reply:
    """Answer the message at a physical offset."""
    record = broker.store.read_record(request.header.offset)
    if record is None:
        remark = f"can not find message by the offset, {request.header.offset}"
        raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
    return Reply(body=[record])
