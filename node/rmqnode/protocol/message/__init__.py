"""Messages in bytes: the stored form that nodes hand out (`record`), the batch that producers send (`batch`)."""

from rmqnode.protocol.message.batch import BatchPart, decode_batch, encode_batch, iter_batch
from rmqnode.protocol.message.errors import MalformedMessage
from rmqnode.protocol.message.record import (
    MESSAGE_MAGIC,
    MESSAGE_MAGIC_V2,
    Host,
    StoredMessage,
    SysFlag,
    crc_of_body,
    decode_record,
    decode_records,
    encode_record,
)

__all__ = [
    "MESSAGE_MAGIC",
    "MESSAGE_MAGIC_V2",
    "BatchPart",
    "Host",
    "MalformedMessage",
    "StoredMessage",
    "SysFlag",
    "crc_of_body",
    "decode_batch",
    "decode_record",
    "decode_records",
    "encode_batch",
    "encode_record",
    "iter_batch",
]
