"""Putting a message into the store: delay levels redirected, tags hashed, those told who wait for it.

Everything that stores a message goes through `MessageWriter`: sends, retries, delayed messages that are due.
Source: `CommitLog#putMessage`, `DefaultMessageStore.ReputMessageService` (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from rmqnode.broker import system_topics
from rmqnode.broker.delayed.levels import DelayLevels
from rmqnode.broker.held_pulls import HeldPulls
from rmqnode.protocol.java_text import parse_int
from rmqnode.protocol.message import Host, StoredMessage, SysFlag, crc_of_body
from rmqnode.protocol.properties import PropertyName, decode_properties, encode_properties, find_property
from rmqnode.store import BatchPart, Copy, MessageStore, PutResult, PutStatus, tags_code_of
from rmqnode.store.record import RECORD_HEAD, RECORD_HEAD_SIZE
from rmqnode.store.tags_code import TAGS_START

WITHOUT_HOST_FLAGS: Final = ~int(SysFlag.BORN_HOST_IPV6 | SysFlag.STORE_HOST_IPV6)
"""Mask against the bits that say how long a record's hosts are: the broker's to set, and it stores IPv4 hosts. With
them a message, or the copy of one that a client made up, would keep the store from being opened again.
"""

_OK: Final = PutStatus.OK

_DELAY_NAME = PropertyName.DELAY.encode() + b"\x01"
_REAL_TOPIC_NAME = PropertyName.REAL_TOPIC.encode() + b"\x01"
_REAL_QUEUE_ID_NAME = PropertyName.REAL_QUEUE_ID.encode() + b"\x01"


class Message(msgspec.Struct, gc=False):
    """A message on its way into the store. `properties` are in wire form, `born_host` is 4 bytes IP, 4 bytes port."""

    topic: str
    queue_id: int
    flag: int
    sys_flag: int
    born_timestamp: int
    born_host: bytes
    body: bytes
    properties: bytes
    reconsume_times: int = 0
    prepared_transaction_offset: int = 0
    store_host: bytes | None = None
    """Only of messages that were stored before, under this address."""


class MessageWriter:
    """Appends messages to the store of a broker.

    Args:
        on_written: Called after each message, for the flush and, once there are slaves, for them.
    """

    def __init__(
        self,
        store: MessageStore,
        delay_levels: DelayLevels,
        held_pulls: HeldPulls,
        on_written: Callable[[], None],
    ) -> None:
        self._store = store
        self._delay_levels = delay_levels
        self._held_pulls = held_pulls
        self.on_written = on_written

    def put(self, message: Message, *, may_be_delayed: bool = True) -> PutResult:
        """Store one message; with a delay level it goes to the schedule topic first, if it can be stored later on.

        Differs from 4.5.2: a level that is no number counts as none; there the send fails with a Java exception. A
        message that would be too long once it is due is refused; there it is accepted and lost.
        """
        properties = message.properties
        has_delay = _DELAY_NAME in properties
        if has_delay and may_be_delayed:
            level = parse_int((find_property(properties, PropertyName.DELAY) or b"0").decode("utf-8", "replace"))
            if level is not None and level > 0:
                return self._put_delayed(message, min(level, self._delay_levels.level_max))
        # Most messages have neither.
        tags_code = tags_code_of(message.topic, properties, 0, ()) if has_delay or TAGS_START in properties else 0
        result = self._store.put(
            message.topic,
            message.queue_id,
            message.flag,
            message.sys_flag,
            message.born_timestamp,
            message.born_host,
            message.body,
            properties,
            tags_code,
            message.reconsume_times,
            message.prepared_transaction_offset,
            message.store_host,
        )
        if result.queue_offset >= 0:
            self.on_written()
            if self._held_pulls.has_any:
                next_offset = result.queue_offset + 1
                self._held_pulls.message_arrived(message.topic, message.queue_id, next_offset, tags_code, properties)
        return result

    def put_again(self, message: Message, *, may_be_delayed: bool = True) -> PutResult:
        """Store what the store has held before in another form: it was accepted, whatever its limit is now."""
        limit = self._store.use_limit(None)
        try:
            return self.put(message, may_be_delayed=may_be_delayed)
        finally:
            self._store.use_limit(limit)

    def refusal(self, topic: str, queue_id: int, body_size: int, properties_size: int) -> PutStatus:
        """Say why a message could never be stored in a queue; OK when it could."""
        return self._store.refusal(topic, queue_id, body_size, properties_size)

    def put_batch(self, message: Message, parts: Sequence[BatchPart]) -> PutResult:
        """Store the parts of a batch back to back; `message` carries what they share."""
        result = self._store.put_batch(
            message.topic,
            message.queue_id,
            message.sys_flag,
            message.born_timestamp,
            message.born_host,
            parts,
            message.reconsume_times,
        )
        if result.queue_offset >= 0:
            self.on_written()
            for index, part in enumerate(parts, 1):
                self._held_pulls.message_arrived(
                    message.topic, message.queue_id, result.queue_offset + index, part.tags_code, part.properties
                )
        return result

    def put_copies(self, copies: Sequence[Copy]) -> int:
        """Store messages of this store under other topics, as far as there is room; return how many were stored."""
        count = self._store.put_copies(copies)
        if count:
            self.on_written()
            if self._held_pulls.has_any:
                for message, (topic, queue_id), tags_code in copies[:count]:
                    next_offset = self._store.max_offset(topic, queue_id)
                    self._held_pulls.message_arrived(topic, queue_id, next_offset, tags_code, message.properties)
        return count

    def _put_delayed(self, message: Message, level: int) -> PutResult:
        properties = _with_delay(with_destination(message.properties, message.topic, message.queue_id), level)
        # It keeps all its properties when it is due, and then its own topic's name is in it, which may be the longer.
        status = self._store.refusal(message.topic, message.queue_id, len(message.body), len(properties))
        if status is not _OK:
            return PutResult(status)
        queue_id = level - 1
        delay_ms = self._delay_levels.delays_ms[queue_id]
        result = self._store.put(
            system_topics.SCHEDULE_TOPIC,
            queue_id,
            message.flag,
            message.sys_flag,
            message.born_timestamp,
            message.born_host,
            message.body,
            properties,
            0,
            message.reconsume_times,
            message.prepared_transaction_offset,
            message.store_host,
            delay_ms,
        )
        if result.queue_offset >= 0:
            self.on_written()
            self._delay_levels.message_scheduled(result.store_timestamp + delay_ms)
        return result


def with_destination(properties: bytes, topic: str, queue_id: int) -> bytes:
    """Add topic and queue to the properties of a message that is stored elsewhere first."""
    if _REAL_TOPIC_NAME not in properties and _REAL_QUEUE_ID_NAME not in properties:
        separator = b"" if not properties or properties.endswith(b"\x02") else b"\x02"
        added = (_REAL_TOPIC_NAME, topic.encode(), b"\x02", _REAL_QUEUE_ID_NAME, b"%d\x02" % queue_id)
        return b"".join((properties, separator, *added))
    pairs = decode_properties(properties.decode("utf-8", "replace"))
    pairs[PropertyName.REAL_TOPIC] = topic
    pairs[PropertyName.REAL_QUEUE_ID] = str(queue_id)
    return encode_properties(pairs).encode()


def with_property(properties: bytes, name: str, value: str) -> bytes:
    """Add a property at the end, where it replaces an earlier one of this name."""
    separator = b"" if not properties or properties.endswith(b"\x02") else b"\x02"
    return b"%b%b%b\x01%b\x02" % (properties, separator, name.encode(), value.encode())


def _with_delay(properties: bytes, level: int) -> bytes:
    if find_property(properties, PropertyName.DELAY) == b"%d" % level:
        return properties
    pairs = decode_properties(properties.decode("utf-8", "replace"))
    pairs[PropertyName.DELAY] = str(level)
    return encode_properties(pairs).encode()


def message_of_record(record: memoryview) -> Message:
    """Read a record of this store as a message to be put again: faster than `decode_record`, properties as they are.

    One whose body is damaged is marked so, as in `copy_of`.
    """
    head = RECORD_HEAD.unpack_from(record)
    queue_id, flag, _, _, sys_flag, born_timestamp, born_host, _, store_host = head[3:12]
    reconsume_times, prepared_transaction_offset, body_size = head[12:]
    body_end = RECORD_HEAD_SIZE + body_size
    topic_end = body_end + 1 + record[body_end]
    body, properties = bytes(record[RECORD_HEAD_SIZE:body_end]), bytes(record[topic_end + 2 :])
    if body and crc_of_body(body) != head[2]:
        properties = with_property(properties, PropertyName.BODY_DAMAGED, "true")
    return Message(
        topic=str(record[body_end + 1 : topic_end], "utf-8", "replace"),
        queue_id=queue_id,
        flag=flag,
        sys_flag=sys_flag,
        born_timestamp=born_timestamp,
        born_host=born_host,
        body=body,
        properties=properties,
        reconsume_times=reconsume_times,
        prepared_transaction_offset=prepared_transaction_offset,
        store_host=store_host,
    )


def copy_of(stored: StoredMessage, topic: str, queue_id: int, properties: dict[str, str]) -> Message:
    """Make a stored message one to be put elsewhere: sender, age, redeliveries and first store host stay.

    The copy gets a CRC that fits its body, damaged or not; so a damaged one is marked (`BODY_DAMAGED`).
    """
    if stored.has_damaged_body:
        properties = properties | {PropertyName.BODY_DAMAGED: "true"}
    return Message(
        topic=topic,
        queue_id=queue_id,
        flag=stored.flag,
        sys_flag=stored.sys_flag & WITHOUT_HOST_FLAGS,
        born_timestamp=stored.born_timestamp,
        born_host=host_bytes(stored.born_host),
        body=stored.body,
        properties=encode_properties(properties).encode("utf-8", "replace"),
        reconsume_times=stored.reconsume_times,
        store_host=host_bytes(stored.store_host),
    )


def host_bytes(host: Host) -> bytes:
    """Return a host as records store it: 4 bytes IP, 4 bytes port; an IPv6 address, which they can't, as zeros."""
    ip = host.ip if len(host.ip) == 4 else bytes(4)
    return ip + (host.port & 0xFFFFFFFF).to_bytes(4, "big")
