"""The two ids of a message: the offset message id made by the broker, the unique id made by the producer.

The offset message id says where a message is: store host and physical offset. The unique id (`UNIQ_KEY`) says who
sent it and when. Both are upper-case hexadecimal: 32 digits with an IPv4 address, 56 with an IPv6 address.
Source: `MessageDecoder#createMessageId`, `MessageClientIDSetter` (RocketMQ 4.5.2; IPv6 4.9.7).
"""

import struct
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from rmqnode.protocol.errors import ProtocolError

_DIGIT_COUNTS: Final = (32, 56)
_IPV4_LENGTH: Final = 4
_IPV6_LENGTH: Final = 16

_PORT_AND_OFFSET: Final = struct.Struct(">iq")
_SENDER: Final = struct.Struct(">HI")
_TIME_AND_COUNTER: Final = struct.Struct(">IH")
assert _IPV4_LENGTH + _PORT_AND_OFFSET.size == _IPV4_LENGTH + _SENDER.size + _TIME_AND_COUNTER.size == 16


class MalformedMessageId(ProtocolError):
    """A text is no message id."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        super().__init__(f"no message id (32 or 56 hexadecimal digits): {message_id[:80]!r}")


class OffsetMessageId(NamedTuple):
    """What an offset message id says."""

    ip: bytes
    """Address of the store host, 4 or 16 bytes."""
    port: int
    physical_offset: int


def encode_offset_message_id(ip: bytes, port: int, physical_offset: int) -> str:
    """Write the id of the message at a physical offset of the broker at ip (4 or 16 bytes) and port."""
    return (ip + _PORT_AND_OFFSET.pack(port, physical_offset)).hex().upper()


def decode_offset_message_id(message_id: str) -> OffsetMessageId:
    """Read an offset message id.

    Raises:
        MalformedMessageId: Wrong length, or not hexadecimal.
    """
    data = _bytes_of(message_id)
    port, physical_offset = _PORT_AND_OFFSET.unpack_from(data, len(data) - _PORT_AND_OFFSET.size)
    return OffsetMessageId(data[: -_PORT_AND_OFFSET.size], port, physical_offset)


def unique_id_time_ms(unique_id: str, now_ms: int) -> int:
    """Return when a unique id was made, ms since the epoch.

    The id holds only the time since the start of a month in the sender's time zone; the month is taken to be the
    present one here, or the one before if that would be in the future.

    Raises:
        MalformedMessageId: Wrong length, or not hexadecimal.
    """
    data = _bytes_of(unique_id)
    span_ms, _ = _TIME_AND_COUNTER.unpack_from(data, len(data) - _TIME_AND_COUNTER.size)
    start_ms = _month_start_ms(now_ms)
    if start_ms + span_ms >= now_ms:
        start_ms = _month_start_ms(now_ms, months_later=-1)
    return start_ms + int(span_ms)


class UniqueIdGenerator:
    """Makes unique ids as a Java client does: address, pid, a number of this generator, time, counter.

    Args:
        ip: Address of this host, 4 or 16 bytes.
        pid: Process id; its low 16 bits are used.
        instance: 32 bits that tell generators of one process apart (Java: hash of the class loader).
        clock_ms: Wall clock, ms since the epoch.
    """

    def __init__(self, ip: bytes, pid: int, instance: int, clock_ms: Callable[[], int]) -> None:
        if len(ip) not in (_IPV4_LENGTH, _IPV6_LENGTH):
            raise ValueError(f"an address has 4 or 16 bytes, not {len(ip)}")
        self._prefix = (ip + _SENDER.pack(pid & 0xFFFF, instance & 0xFFFFFFFF)).hex().upper()
        self._clock_ms = clock_ms
        self._counter = 0
        self._month_start_ms = self._next_month_start_ms = 0

    def create(self) -> str:
        """Return the next id; 65 536 of them are distinct within one millisecond."""
        now_ms = self._clock_ms()
        if not self._month_start_ms <= now_ms < self._next_month_start_ms:
            self._month_start_ms = _month_start_ms(now_ms)
            self._next_month_start_ms = _month_start_ms(now_ms, months_later=1)
        suffix = _TIME_AND_COUNTER.pack(now_ms - self._month_start_ms, self._counter)
        self._counter = (self._counter + 1) & 0xFFFF
        return self._prefix + suffix.hex().upper()


def _bytes_of(message_id: str) -> bytes:
    if len(message_id) not in _DIGIT_COUNTS:
        raise MalformedMessageId(message_id)
    try:
        data = bytes.fromhex(message_id)
    except ValueError:
        raise MalformedMessageId(message_id) from None
    if 2 * len(data) != len(message_id):  # `fromhex` skips blanks
        raise MalformedMessageId(message_id)
    return data


def _month_start_ms(now_ms: int, months_later: int = 0) -> int:
    """Return the first moment of a month in the local time zone, as Java's Calendar sees it."""
    now = time.localtime(now_ms // 1000)
    month = (now.tm_year, now.tm_mon + months_later, 1, 0, 0, 0, 0, 0, -1)
    return int(time.mktime(month)) * 1000
