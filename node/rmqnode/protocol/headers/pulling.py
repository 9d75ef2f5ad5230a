"""Headers of pulling, of offsets, and of looking messages up, one struct each."""

import msgspec

from rmqnode.protocol.header_fields import I32, I64, Header


class PullMessageRequestHeader(Header, kw_only=True):
    """Header of PULL_MESSAGE (11) and LITE_PULL_MESSAGE (361)."""

    consumer_group: str
    topic: str
    queue_id: I32
    queue_offset: I64
    max_msg_nums: I32
    sys_flag: I32
    commit_offset: I64
    suspend_timeout_millis: I64
    subscription: str | None = None
    sub_version: I64
    expression_type: str | None = None


class PullMessageResponseHeader(Header):
    """Answer to PULL_MESSAGE (11)."""

    suggest_which_broker_id: I64
    next_begin_offset: I64
    min_offset: I64
    max_offset: I64


class QueryConsumerOffsetRequestHeader(Header):
    """Header of QUERY_CONSUMER_OFFSET (14)."""

    consumer_group: str
    topic: str
    queue_id: I32
    set_zero_if_not_found: bool = True
    """Since 5.0: false asks for QUERY_NOT_FOUND where older brokers answer 0."""


class QueryConsumerOffsetResponseHeader(Header):
    """Answer to QUERY_CONSUMER_OFFSET (14)."""

    offset: I64


class UpdateConsumerOffsetRequestHeader(Header):
    """Header of UPDATE_CONSUMER_OFFSET (15)."""

    consumer_group: str
    topic: str
    queue_id: I32
    commit_offset: I64


class UpdateConsumerOffsetResponseHeader(Header):
    """Answer to UPDATE_CONSUMER_OFFSET (15): no fields, an empty map on the wire."""


class SearchOffsetRequestHeader(Header):
    """Header of SEARCH_OFFSET_BY_TIMESTAMP (29)."""

    topic: str
    queue_id: I32
    timestamp: I64


class QueueRequestHeader(Header):
    """Header of GET_MAX_OFFSET (30), GET_MIN_OFFSET (31) and GET_EARLIEST_MSG_STORETIME (32)."""

    topic: str
    queue_id: I32


class OffsetResponseHeader(Header):
    """Answer to SEARCH_OFFSET_BY_TIMESTAMP (29), GET_MAX_OFFSET (30) and GET_MIN_OFFSET (31)."""

    offset: I64


class GetEarliestMsgStoretimeResponseHeader(Header):
    """Answer to GET_EARLIEST_MSG_STORETIME (32): milliseconds, -1 for an empty queue."""

    timestamp: I64


class QueryMessageRequestHeader(Header):
    """Header of QUERY_MESSAGE (12); times are store times in milliseconds."""

    topic: str
    key: str
    max_num: I32
    begin_timestamp: I64
    end_timestamp: I64
    is_unique_key: str | None = msgspec.field(name="_UNIQUE_KEY_QUERY", default=None)
    """`true`: the key is a unique key; an entry of its own, not part of Java's header class."""


class QueryMessageResponseHeader(Header):
    """Answer to QUERY_MESSAGE (12): how far the index reaches."""

    index_last_update_timestamp: I64
    index_last_update_phyoffset: I64


class ViewMessageRequestHeader(Header):
    """Header of VIEW_MESSAGE_BY_ID (33): a physical offset."""

    offset: I64
