"""Headers of sending: messages, transactions, replies, messages that consumers give back, one struct each."""

import msgspec

from rmqnode.protocol.header_fields import I32, I64, Header


class SendMessageRequestHeader(Header):
    """Header of SEND_MESSAGE (10)."""

    producer_group: str
    topic: str
    default_topic: str
    default_topic_queue_nums: I32
    queue_id: I32
    sys_flag: I32
    born_timestamp: I64
    flag: I32
    properties: str | None = None
    reconsume_times: I32 | None = None
    unit_mode: bool = False
    batch: bool = False
    max_reconsume_times: I32 | None = None


class SendMessageRequestHeaderV2(Header):
    """Header of SEND_MESSAGE_V2 (310) and SEND_BATCH_MESSAGE (320): letters on the wire, words here."""

    producer_group: str = msgspec.field(name="a")
    topic: str = msgspec.field(name="b")
    default_topic: str = msgspec.field(name="c")
    default_topic_queue_nums: I32 = msgspec.field(name="d")
    queue_id: I32 = msgspec.field(name="e")
    sys_flag: I32 = msgspec.field(name="f")
    born_timestamp: I64 = msgspec.field(name="g")
    flag: I32 = msgspec.field(name="h")
    properties: str | None = msgspec.field(name="i", default=None)
    reconsume_times: I32 | None = msgspec.field(name="j", default=None)
    unit_mode: bool = msgspec.field(name="k", default=False)
    max_reconsume_times: I32 | None = msgspec.field(name="l", default=None)
    batch: bool = msgspec.field(name="m", default=False)


class SendMessageResponseHeader(Header, kw_only=True):
    """Answer to all sends; region and trace switch are read by clients without a check."""

    msg_id: str | None = None
    queue_id: I32 | None = None
    queue_offset: I64 | None = None
    msg_region: str = msgspec.field(name="MSG_REGION")
    trace_on: bool = msgspec.field(name="TRACE_ON")


class EndTransactionRequestHeader(Header, kw_only=True):
    """Header of END_TRANSACTION (37): 8 commits, 12 rolls back, 0 does not know."""

    producer_group: str
    tran_state_table_offset: I64
    """Queue offset of the half message."""
    commit_log_offset: I64
    """Physical offset of the half message."""
    commit_or_rollback: I32
    from_transaction_check: bool = False
    msg_id: str | None = None
    transaction_id: str | None = None


class CheckTransactionStateRequestHeader(Header, kw_only=True):
    """Header of CHECK_TRANSACTION_STATE (39), broker to client; offsets as of END_TRANSACTION."""

    tran_state_table_offset: I64
    commit_log_offset: I64
    msg_id: str | None = None
    transaction_id: str | None = None
    offset_msg_id: str | None = None


class ResumeCheckHalfMessageRequestHeader(Header):
    """Header of RESUME_CHECK_HALF_MESSAGE (323): an offset message id."""

    msg_id: str | None = None


class ReplyMessageRequestHeader(Header, kw_only=True):
    """Header of PUSH_REPLY_MESSAGE_TO_CLIENT (326), broker to client; hosts are `ip:port`."""

    producer_group: str
    topic: str
    default_topic: str
    default_topic_queue_nums: I32
    queue_id: I32
    sys_flag: I32
    born_timestamp: I64
    flag: I32
    properties: str | None = None
    reconsume_times: I32 | None = None
    unit_mode: bool = False
    born_host: str
    store_host: str
    store_timestamp: I64


class ConsumerSendMsgBackRequestHeader(Header):
    """Header of CONSUMER_SEND_MSG_BACK (36); `offset` is the physical offset of the message."""

    offset: I64
    group: str
    delay_level: I32
    origin_msg_id: str | None = None
    origin_topic: str | None = None
    unit_mode: bool = False
    max_reconsume_times: I32 | None = None
