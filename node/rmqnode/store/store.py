"""The message store: puts, reads, flushes, opens and closes one store directory. Sync; no sockets, no tasks.

One thread, the event loop's, calls everything; only the methods marked as blocking may run in worker threads beside
it. Dispatch to the consume queues happens inside the put, so a stored message is readable at once and there is no
queue that could be behind the log.

Source: DefaultMessageStore, CommitLog#putMessage (RocketMQ 4.5.2).
"""

import errno
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from zlib import crc32

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import UNIT, UNIT_SIZE, ConsumeQueue, rounded_to_units
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.record import (
    CRC_MASK,
    MESSAGE_MAGIC,
    PROPERTIES_SIZE_MAX,
    RECORD_HEAD,
    SYS_FLAG_TRANSACTION,
    SYS_FLAG_WITHOUT_QUEUE_OFFSET,
    TOPIC_SIZE_MAX,
)
from rmqnode.store.results import BatchPart, GetResult, GetStatus, PutResult, PutStatus

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_QUEUE_ID_MAX: Final = 2**31 - 1

_pack_head: Final = RECORD_HEAD.pack
_pack_unit_into: Final = UNIT.pack_into


class MessageStore:
    """One store directory.

    Args:
        options: Folders, sizes and limits.
        clock_ms: Milliseconds since the epoch; asked once for each put.
    """

    def __init__(self, options: StoreOptions, clock_ms: Callable[[], int]) -> None:
        self._options = options
        self._clock_ms = clock_ms
        self._store_host = options.store_host
        self._size_max = options.message_size_bytes_max
        self._budget = MappingBudget(options.mapped_files_max)
        self._log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, self._budget)
        self._table = QueueTable(options.root / "consumequeue", options.mapped_file_size_consume_queue, self._budget)
        self._queues = self._table.by_key
        self._is_open = False

    def put(
        self,
        topic: str,
        queue_id: int,
        flag: int,
        sys_flag: int,
        born_timestamp: int,
        born_host: bytes,
        body: bytes | memoryview,
        properties: bytes,
        tags_code: int,
        reconsume_times: int = 0,
        prepared_transaction_offset: int = 0,
        store_host: bytes | None = None,
    ) -> PutResult:
        """Append one message and its consume queue unit; both are readable when this returns, not yet on disk.

        Args:
            topic: 1 to 127 bytes of UTF-8, without `/`.
            queue_id: From 0 up; the caller checks it against the topic's queues.
            flag: The producer's own number.
            sys_flag: Bits of MessageSysFlag; prepared and rollback records get no unit and queue offset 0.
            born_timestamp: The producer's time, in milliseconds.
            born_host: 4 bytes IPv4, 4 bytes port.
            body: Stored as it is.
            properties: Encoded properties, at most 32767 bytes.
            tags_code: Of the unit: hash of the tags, or the delivery time of a delayed message.
            reconsume_times: How often the message was sent back.
            prepared_transaction_offset: Physical offset of the half message of a committed one.
            store_host: Where the message was first stored, if not here.

        Source: CommitLog#putMessage, DefaultAppendMessageCallback#doAppend.
        """
        queue = self._queues.get((topic, queue_id)) or self._new_queue(topic, queue_id)
        log = self._log
        body_size = len(body)
        properties_size = len(properties)
        size = queue.record_fixed_size + body_size + properties_size
        begin = log.wrote_offset
        end = begin + size
        queue_offset = queue.max_queue_offset
        if (
            end > log.limit
            or queue_offset >= queue.limit
            or size > self._size_max
            or properties_size > PROPERTIES_SIZE_MAX
        ):
            status = self._prepare(queue, 1, size, properties_size)
            if status is not PutStatus.OK:
                return PutResult(status)
            begin = log.wrote_offset
            end = begin + size
        now = self._clock_ms()
        has_unit = not sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET
        if not has_unit:
            queue_offset = 0
        base = log.base_offset
        log.mapping[begin - base : end - base] = b"".join(
            (
                _pack_head(
                    size, MESSAGE_MAGIC, crc32(body) & CRC_MASK, queue_id, flag, queue_offset, begin, sys_flag,
                    born_timestamp, born_host, now, store_host or self._store_host, reconsume_times,
                    prepared_transaction_offset, body_size,
                ),
                body,
                queue.topic_field,
                properties_size.to_bytes(2, "big"),
                properties,
            )
        )  # fmt: skip
        if has_unit:
            _pack_unit_into(
                queue.mapping, (queue_offset - queue.base_queue_offset) * UNIT_SIZE, begin, size, tags_code
            )
            queue.max_queue_offset = queue_offset + 1
        log.last_store_timestamp = now
        # Last: a flush in another thread takes this as the promise that everything below is in place.
        log.wrote_offset = end
        return PutResult(PutStatus.OK, begin, queue_offset, end, now)

    def get(
        self,
        topic: str,
        queue_id: int,
        queue_offset: int,
        count_max: int,
        tags_codes: frozenset[int] | None = None,
    ) -> GetResult:
        """Read messages of a queue from an offset on.

        Args:
            topic: Topic of the queue.
            queue_id: Number of the queue.
            queue_offset: First message to look at.
            count_max: Most messages to return; the options bound it further. The first one always fits.
            tags_codes: Signed 32-bit tag hashes to let through; None lets all through.
        """
        queue = self._queues.get((topic, queue_id))
        if queue is None:
            return GetResult(GetStatus.NO_MESSAGE_IN_QUEUE, 0, 0, 0)
        return read_messages(self._log, queue, queue_offset, count_max, tags_codes, self._options)
