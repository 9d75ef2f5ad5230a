"""Appending a batch: several messages to one queue, all or none, in one file, with one store timestamp.

Source: CommitLog#putMessages, MessageExtBatchEncoder#encode (RocketMQ 4.5.2).
"""

from collections.abc import Sequence
from zlib import crc32

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.record import CRC_MASK, MESSAGE_MAGIC, RECORD_HEAD
from rmqnode.store.results import BatchPart, PutResult, PutStatus


def record_sizes(queue: ConsumeQueue, parts: Sequence[BatchPart]) -> list[int]:
    """Length of each part's record, in bytes."""
    fixed_size = queue.record_fixed_size
    return [fixed_size + len(part.body) + len(part.properties) for part in parts]


def append_batch(
    log: CommitLog,
    queue: ConsumeQueue,
    parts: Sequence[BatchPart],
    sizes: Sequence[int],
    sys_flag: int,
    born_timestamp: int,
    born_host: bytes,
    now: int,
    store_host: bytes,
    reconsume_times: int,
) -> PutResult:
    """Write the records and units of a batch for which there is room.

    Args:
        log: Has room for all records behind each other.
        queue: Has room for as many units.
        parts: At least one message.
        sizes: Their `record_sizes`.
        sys_flag: As of `appending.Appender`, like the other arguments.
        born_timestamp: See there.
        born_host: See there.
        now: Store timestamp, in milliseconds.
        store_host: See there.
        reconsume_times: See there.
    """
    first_queue_offset = queue.max_queue_offset
    begin = end = log.wrote_offset
    offsets: list[int] = []
    pieces: list[bytes | memoryview] = []
    for index, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        head = RECORD_HEAD.pack(
            size, MESSAGE_MAGIC, crc32(part.body) & CRC_MASK, queue.queue_id, part.flag, first_queue_offset + index,
            end, sys_flag, born_timestamp, born_host, now, store_host, reconsume_times, 0, len(part.body),
        )  # fmt: skip
        properties_size = len(part.properties).to_bytes(2, "big")
        pieces += (head, part.body, queue.topic_field, properties_size, part.properties)
        offsets.append(end)
        end += size
    log.mapping[begin - log.base_offset : end - log.base_offset] = b"".join(pieces)
    for part, physical_offset, size in zip(parts, offsets, sizes, strict=True):
        queue.append(physical_offset, size, part.tags_code)
    log.last_store_timestamp = now
    log.wrote_offset = end
    return PutResult(PutStatus.OK, begin, first_queue_offset, end, now, tuple(offsets))
