"""Messages in the stored form that nodes hand out, as values.

The stored form is the commit log record: the bodies of PULL_MESSAGE, QUERY_MESSAGE, VIEW_MESSAGE_BY_ID,
CHECK_TRANSACTION_STATE and CONSUME_MESSAGE_DIRECTLY hold records back to back. Not responsible for appending
records to a log (the store does) nor for what properties mean.
Source: `MessageDecoder#decode` (RocketMQ 4.5.2; IPv6 hosts 4.9.7, version 2 of the record 5.3.2).

    total size i32 · magic u32 · body CRC i32 · queue id i32 · flag i32 · queue offset i64 · physical offset i64
    sys flag i32 · born timestamp i64 · born host (ip 4 or 16, port i32) · store timestamp i64 · store host
    reconsume times i32 · prepared transaction offset i64 · body length i32, body
    topic length i8 (version 2: i16), topic · properties length i16, properties
"""

import struct
import zlib
from enum import IntFlag
from typing import Final, NamedTuple

import msgspec

from rmqnode.protocol.message.errors import MalformedMessage
from rmqnode.protocol.message_id import encode_offset_message_id
from rmqnode.protocol.properties import PropertyName, decode_properties, encode_properties

MESSAGE_MAGIC: Final = 0xDAA320A7
"""Marks a message record."""
MESSAGE_MAGIC_V2: Final = 0xDAA320AB
"""Marks a message record of a topic above 127 bytes, written by 5.x only."""

_INFLATED_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest body after decompression: 16 times the largest that a broker takes by default."""

_COMPRESSION_TYPES: Final = {0x000: "ZLIB", 0x100: "LZ4", 0x200: "ZSTD", 0x300: "ZLIB"}
_COMPRESSION_TYPE_MASK: Final = 0x700

_SYS_FLAG_POSITION: Final = 36
_SYS_FLAG: Final = struct.Struct(">i")
_HEADS: Final = tuple(
    struct.Struct(f">iIiiiqqiq{born_host}siq{store_host}siiqi") for store_host in (4, 16) for born_host in (4, 16)
)
"""From the total size to the body length; by the two sys flag bits for IPv6 hosts."""
assert [head.size for head in _HEADS] == [88, 100, 100, 112]

_CRC_MASK: Final = 0x7FFFFFFF

_TOPIC_LENGTH_MAX: Final = 127
_TOPIC_LENGTH: Final = struct.Struct(">b")
_TOPIC_LENGTH_V2: Final = struct.Struct(">h")
_PROPERTIES_LENGTH: Final = struct.Struct(">h")


class SysFlag(IntFlag):
    """Bits of a message's `sys_flag`; bits 8 to 10 hold the compression type."""

    COMPRESSED = 0x1
    MULTI_TAGS = 0x2
    TRANSACTION_PREPARED = 0x4
    TRANSACTION_COMMIT = 0x8
    TRANSACTION_ROLLBACK = 0xC
    """Both transaction bits: the mask of the transaction type as well."""
    BORN_HOST_IPV6 = 0x10
    STORE_HOST_IPV6 = 0x20


class Host(NamedTuple):
    """Address inside a record."""

    ip: bytes
    """4 or 16 bytes."""
    port: int

    def __str__(self) -> str:
        if len(self.ip) == 4:
            return f"{'.'.join(map(str, self.ip))}:{self.port}"
        groups = (f"{self.ip[i] << 8 | self.ip[i + 1]:x}" for i in range(0, 16, 2))
        return f"[{':'.join(groups)}]:{self.port}"


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message as a broker stored it."""

    topic: str
    queue_id: int
    flag: int
    """The producer's own number; no node looks at it."""
    queue_offset: int
    physical_offset: int
    sys_flag: int
    """Bits of `SysFlag`."""
    born_timestamp: int
    """Producer's clock, ms since the epoch."""
    born_host: Host
    """Peer of the connection that it came over."""
    store_timestamp: int
    """Broker's clock, ms since the epoch."""
    store_host: Host
    """Broker that stored it first."""
    reconsume_times: int
    prepared_transaction_offset: int
    """Physical offset of the half message of a committed one, else 0."""
    body: bytes
    """As stored: compressed when the sys flag says so."""
    body_crc: int
    """CRC-32 of `body` as it was stored, without the top bit; decoding does not compare the two."""
    properties: dict[str, str]
    size_bytes: int
    """Whole record."""

    @property
    def offset_message_id(self) -> str:
        """The id by which VIEW_MESSAGE_BY_ID finds it."""
        return encode_offset_message_id(*self.store_host, self.physical_offset)

    @property
    def message_id(self) -> str:
        """The producer's unique id, or the offset message id of a message without one."""
        return self.properties.get(PropertyName.UNIQUE_KEY) or self.offset_message_id

    @property
    def has_damaged_body(self) -> bool:
        """Whether the body is not the one that was sent: its CRC differs, or did when a broker of ours copied it.

        Computed each time.
        """
        body = self.body
        if body and zlib.crc32(body) & _CRC_MASK != self.body_crc:
            return True
        return PropertyName.BODY_DAMAGED in self.properties

    @property
    def compression(self) -> str | None:
        """How the body is compressed: `ZLIB`, `LZ4`, `ZSTD` or `type N`; None when it is not."""
        if not self.sys_flag & SysFlag.COMPRESSED:
            return None
        compression_type = self.sys_flag & _COMPRESSION_TYPE_MASK
        return _COMPRESSION_TYPES.get(compression_type, f"type {compression_type >> 8}")

    def decompressed_body(self) -> bytes:
        """Return the body as the producer gave it.

        Raises:
            MalformedMessage: It is LZ4 or ZSTD, no whole zlib stream, or above 64 MiB.
        """
        compression = self.compression
        if compression is None:
            return self.body
        if compression != "ZLIB":
            raise MalformedMessage(f"body is compressed by {compression}, only ZLIB can be read")
        return _inflate(self.body)


def crc_of_body(body: bytes) -> int:
    """Return the CRC that a record carries for a body; of an empty one no broker compares it."""
    return zlib.crc32(body) & _CRC_MASK


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(body, _INFLATED_BYTES_MAX)
    except zlib.error as error:
        raise MalformedMessage(f"body can't be inflated: {error}") from None
    if not inflater.eof:
        raise MalformedMessage(f"compressed body is cut short or above {_INFLATED_BYTES_MAX} bytes")
    return inflated


def decode_records(data: bytes | bytearray | memoryview) -> list[StoredMessage]:
    """Read records back to back; one cut short at the end is left out silently, as in Java.

    Raises:
        MalformedMessage: Something between them is no record.
    """
    records: list[StoredMessage] = []
    position = 0
    while _has_whole_record(data, position):
        record = decode_record(data, position)
        records.append(record)
        position += record.size_bytes
    return records


def _has_whole_record(data: bytes | bytearray | memoryview, position: int) -> bool:
    left = len(data) - position
    return left >= _HEADS[0].size and left >= int.from_bytes(data[position : position + 4])


def decode_record(buffer: bytes | bytearray | memoryview, offset: int = 0) -> StoredMessage:
    """Read the record that begins at an offset of a buffer; what follows it is not looked at.

    Raises:
        MalformedMessage: No record, or the buffer ends inside it.
    """
    try:
        (sys_flag,) = _SYS_FLAG.unpack_from(buffer, offset + _SYS_FLAG_POSITION)
        head_layout = _HEADS[sys_flag >> 4 & 3]
        head = head_layout.unpack_from(buffer, offset)
    except struct.error:
        raise MalformedMessage("the buffer ends inside the head of a message") from None
    size_bytes, magic, body_crc, queue_id, flag, queue_offset, physical_offset, _, born_timestamp = head[:9]
    born_ip, born_port, store_timestamp, store_ip, store_port = head[9:14]
    reconsume_times, prepared_transaction_offset, body_length = head[14:]
    if magic not in (MESSAGE_MAGIC, MESSAGE_MAGIC_V2):
        raise MalformedMessage(f"magic {magic:08x} is not a message's")
    if not head_layout.size < size_bytes <= len(buffer) - offset:
        raise MalformedMessage(f"a message of {size_bytes} bytes in {len(buffer) - offset} bytes")
    end = offset + size_bytes
    body_start = offset + head_layout.size
    body_end = body_start + body_length
    topic_layout = _TOPIC_LENGTH if magic == MESSAGE_MAGIC else _TOPIC_LENGTH_V2
    topic_start = body_end + topic_layout.size
    try:
        (topic_length,) = topic_layout.unpack_from(buffer, max(body_end, body_start))
        topic_end = topic_start + topic_length
        (properties_length,) = _PROPERTIES_LENGTH.unpack_from(buffer, max(topic_end, body_start))
    except struct.error:
        raise MalformedMessage(f"a field of a message ends beyond its {size_bytes} bytes") from None
    properties_start = topic_end + _PROPERTIES_LENGTH.size
    # Three lengths that are not negative and fill the record exactly: then none of them leads out of it.
    if min(body_length, topic_length, properties_length) < 0 or properties_start + properties_length != end:
        raise MalformedMessage(
            f"fields of {body_length}, {topic_length} and {properties_length} bytes in a message of {size_bytes} bytes"
        )
    topic = bytes(buffer[topic_start:topic_end])
    properties = bytes(buffer[properties_start:end])
    return StoredMessage(
        topic=topic.decode("utf-8", "replace"),
        queue_id=queue_id,
        flag=flag,
        queue_offset=queue_offset,
        physical_offset=physical_offset,
        sys_flag=sys_flag,
        born_timestamp=born_timestamp,
        born_host=Host(born_ip, born_port),
        store_timestamp=store_timestamp,
        store_host=Host(store_ip, store_port),
        reconsume_times=reconsume_times,
        prepared_transaction_offset=prepared_transaction_offset,
        body=bytes(buffer[body_start:body_end]),
        body_crc=body_crc,
        properties=decode_properties(properties.decode("utf-8", "replace")),
        size_bytes=size_bytes,
    )


def encode_record(message: StoredMessage) -> bytes:
    """Write a message in the stored form; size and CRC are computed, `size_bytes` and `body_crc` not looked at.

    Source: `MessageDecoder#encode`.
    """
    topic = message.topic.encode()
    properties = encode_properties(message.properties).encode("utf-8", "replace")
    head_layout = _HEADS[message.sys_flag >> 4 & 3]
    is_long = len(topic) > _TOPIC_LENGTH_MAX
    topic_length = (_TOPIC_LENGTH_V2 if is_long else _TOPIC_LENGTH).pack(len(topic))
    fields = (topic_length, topic, _PROPERTIES_LENGTH.pack(len(properties)), properties)
    size_bytes = head_layout.size + len(message.body) + sum(map(len, fields))
    head = head_layout.pack(
        size_bytes,
        MESSAGE_MAGIC_V2 if is_long else MESSAGE_MAGIC,
        crc_of_body(message.body),
        message.queue_id,
        message.flag,
        message.queue_offset,
        message.physical_offset,
        message.sys_flag,
        message.born_timestamp,
        *message.born_host,
        message.store_timestamp,
        *message.store_host,
        message.reconsume_times,
        message.prepared_transaction_offset,
        len(message.body),
    )
    return b"".join((head, message.body, *fields))
