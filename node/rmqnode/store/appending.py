"""Puts: a message, or a batch, into commit log and consume queue in one step. The hot path of a broker.

Encodes the record, because a call and a copy more would cost as much as the rest. Room for it is made ahead in steps,
so a put asks for it rarely, and a full disk refuses a message before anything of it is written.

Source: CommitLog#putMessage, #putMessages (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final
from zlib import crc32

from rmqnode.store.batch import append_batch, record_sizes
from rmqnode.store.cleaning import Cleaner
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.disk import DISK_FULL
from rmqnode.store.options import StoreOptions
from rmqnode.store.put_times import PutTimes
from rmqnode.store.queue_table import QueueTable, names_a_queue
from rmqnode.store.queue_units import UNIT, UNIT_SIZE
from rmqnode.store.record import (
    BLANK_SIZE_MIN,
    CRC_MASK,
    MESSAGE_MAGIC,
    PROPERTIES_SIZE_MAX,
    RECORD_FIXED_SIZE,
    RECORD_HEAD,
    SYS_FLAG_TRANSACTION,
    SYS_FLAG_WITHOUT_QUEUE_OFFSET,
)
from rmqnode.store.results import BatchPart, PutResult, PutStatus

_OK: Final = PutStatus.OK
"""By a name of its own: to take a member out of an enum costs as much as a call."""

_pack_head: Final = RECORD_HEAD.pack
_pack_unit_into: Final = UNIT.pack_into


class Appender:
    """The writing end of a store whose own broker gives it messages.

    What both kinds of put take:

    topic: 1 to 127 bytes of UTF-8, without `/`.
    queue_id: From 0 up; the caller checks it against the topic's queues.
    sys_flag: Bits of MessageSysFlag; prepared and rollback records get no unit and queue offset 0.
    born_timestamp: The producer's time, in milliseconds.
    born_host: 4 bytes IPv4, 4 bytes port.
    reconsume_times: How often the message was sent back.
    store_host: Where the message was first stored, if not here.
    """

    def __init__(
        self,
        options: StoreOptions,
        log: CommitLog,
        table: QueueTable,
        cleaner: Cleaner,
        put_times: PutTimes,
        clock_ms: Callable[[], int],
    ) -> None:
        self._options = options
        self._log = log
        self._table = table
        self._queues = table.by_key
        self._cleaner = cleaner
        self._put_times = put_times
        self._clock_ms = clock_ms
        self._store_host = options.store_host
        self._size_max = options.message_size_bytes_max
        self.is_open = False
        """Whether the store is: before and after every put is refused."""
        self.gone: Path | None = None
        """Folder or file of the store that was deleted or moved meanwhile: every put is refused."""
        self.out_of_space: Path | None = None
        """Folder that the last put found no space in."""

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
        delay_ms: int = 0,
    ) -> PutResult:
        """Append one message and its consume queue unit; both are readable when this returns, not yet on disk.

        Args, besides those of the class: the producer's own `flag`; `body`, stored as it is; encoded `properties`, at
        most 32767 bytes; `tags_code` of the unit, the hash of the tags, which with `delay_ms` is the time of delivery;
        `prepared_transaction_offset`, the physical offset of the half message of a committed one.

        Source: DefaultAppendMessageCallback#doAppend.
        """
        queue = self._queues.get((topic, queue_id)) or self._table.new(topic, queue_id)
        if queue is None:
            return PutResult(PutStatus.MESSAGE_ILLEGAL)
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
            if properties_size > PROPERTIES_SIZE_MAX:
                return PutResult(PutStatus.PROPERTIES_SIZE_EXCEEDED)
            if (status := self._make_room(queue, 1, size)) is not PutStatus.OK:
                return PutResult(status)
            begin = log.wrote_offset
            end = begin + size
        now = self._clock_ms()
        tags_code = now + delay_ms if delay_ms else tags_code
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
                body, queue.topic_field, properties_size.to_bytes(2, "big"), properties,
            )
        )  # fmt: skip
        if has_unit:
            _pack_unit_into(queue.mapping, (queue_offset - queue.base_queue_offset) * UNIT_SIZE, begin, size, tags_code)
            queue.max_queue_offset = queue_offset + 1
        log.last_store_timestamp = now
        # Last: a flush in another thread takes this as the promise that everything below is in place.
        log.wrote_offset = end
        return PutResult(_OK, begin, queue_offset, end, now)

    def put_batch(
        self,
        topic: str,
        queue_id: int,
        sys_flag: int,
        born_timestamp: int,
        born_host: bytes,
        parts: Sequence[BatchPart],
        reconsume_times: int = 0,
        store_host: bytes | None = None,
    ) -> PutResult:
        """Append several messages, `parts`, to one queue: all or none, in one file, with one store timestamp.

        A batch cannot be part of a transaction.

        Source: CommitLog#putMessages, MessageExtBatchEncoder#encode.
        """
        queue = self._queues.get((topic, queue_id)) or self._table.new(topic, queue_id)
        if queue is None or not parts or sys_flag & SYS_FLAG_TRANSACTION:
            return PutResult(PutStatus.MESSAGE_ILLEGAL)
        if any(len(part.properties) > PROPERTIES_SIZE_MAX for part in parts):
            return PutResult(PutStatus.PROPERTIES_SIZE_EXCEEDED)
        sizes = record_sizes(queue, parts)
        log = self._log
        total = sum(sizes)
        has_room = log.wrote_offset + total <= log.limit and queue.max_queue_offset + len(parts) <= queue.limit
        if not has_room or total > self._size_max:
            status = self._make_room(queue, len(parts), total)
            if status is not PutStatus.OK:
                return PutResult(status)
        return append_batch(
            log, queue, parts, sizes, sys_flag, born_timestamp, born_host, self._clock_ms(),
            store_host or self._store_host, reconsume_times,
        )  # fmt: skip

    def refusal(self, topic: str, queue_id: int, body_size: int, properties_size: int) -> PutStatus:
        """Say why a message of these sizes, in bytes, can never be put into a queue; OK when it can."""
        queue = self._queues.get((topic, queue_id))
        if queue is not None:
            fixed_size = queue.record_fixed_size
        elif names_a_queue(topic, queue_id):
            fixed_size = RECORD_FIXED_SIZE + len(topic.encode())
        else:
            return PutStatus.MESSAGE_ILLEGAL
        if fixed_size + body_size + properties_size > self._size_max:
            return PutStatus.MESSAGE_ILLEGAL
        return _OK if properties_size <= PROPERTIES_SIZE_MAX else PutStatus.PROPERTIES_SIZE_EXCEEDED

    def use_limit(self, size_max: int | None) -> int:
        """Refuse longer records than this many bytes from now on; None: than fit into a file. Returns the old limit."""
        limit = self._size_max
        self._size_max = self._options.mapped_file_size_commit_log - BLANK_SIZE_MIN if size_max is None else size_max
        return limit

    def _make_room(self, queue: ConsumeQueue, unit_count: int, size: int) -> PutStatus:
        """Let units and bytes be writable, or say why not; a refusal leaves everything readable as it was."""
        if not self.is_open or self.gone is not None or self._cleaner.full_folder is not None:
            return PutStatus.SERVICE_NOT_AVAILABLE
        if size > self._size_max:
            return PutStatus.MESSAGE_ILLEGAL
        folder = self._options.commit_log_dir
        begin = perf_counter()
        try:
            # The queue last: the log may let the budget unmap the queue that has been mapped longest.
            if self._log.wrote_offset + size > self._log.limit:
                self._log.make_room(size)
            folder = self._options.consume_queue_dir
            if queue.max_queue_offset + unit_count > queue.limit:
                queue.make_room(unit_count)
        except OSError as error:
            if not queue.max_queue_offset:
                queue.delete()
            if error.errno not in DISK_FULL:
                return PutStatus.CREATE_MAPPED_FILE_FAILED
            self.out_of_space = folder
            return PutStatus.SERVICE_NOT_AVAILABLE
        self.out_of_space = None
        self._queues[queue.topic, queue.queue_id] = queue
        self._put_times.note(perf_counter() - begin)
        return PutStatus.OK
