"""Reads of one consume queue: messages from an offset on, and the search by time. Changes nothing.

Source: DefaultMessageStore#getMessage, ConsumeQueue#getOffsetInQueueByTime (RocketMQ 4.5.2). Differs: an offset far
behind the end continues at the end (as 4.9 and later; 4.5.2 goes back to 0 when the queue begins there), filler
units are passed over one by one, and the search by time looks at the whole queue instead of the one file that an
mtime names.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from mmap import mmap
from time import thread_time
from typing import Final

from rmqnode.store.commit_log import CommitLog, Window
from rmqnode.store.consume_queue import NO_MAPPING, ConsumeQueue
from rmqnode.store.index.message_index import MessageIndex
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey
from rmqnode.store.queue_units import BLANK_UNIT_SIZE_FIELD, UNIT, UNIT_SIZE
from rmqnode.store.record import properties_between, queue_place
from rmqnode.store.results import GetResult, GetStatus, QueryResult

SCANNED_UNITS_MIN: Final = 16_000 // UNIT_SIZE
"""A filtered read looks at this many units at most, or at as many as messages were asked for."""

FILTER_CPU_SECONDS_MAX: Final = 0.05
"""A read with a filter that must see each message ends after so long, and the reader comes again: an expression may be
long, and all others wait meanwhile."""

_CLOCK_INTERVAL: Final = 16
"""How many messages such a read looks at between two looks at the clock."""

Accepts = Callable[[bytes], bool]
"""Whether a reader wants a message with these properties, in wire form."""

_iter_units: Final = UNIT.iter_unpack
_NO_WINDOW: Final[Window] = (memoryview(b""), 0, 0)


def read_messages(
    log: CommitLog,
    queue: ConsumeQueue,
    queue_offset: int,
    count_max: int,
    tags_codes: AbstractSet[int] | None,
    accepts: Accepts | None,
    options: StoreOptions,
) -> GetResult:
    """Read messages of a queue from an offset on; `tags_codes` and `accepts` None take all."""
    end = queue.max_queue_offset
    if queue_offset >= end or queue_offset < queue.min_queue_offset:
        return _outside(queue, queue_offset)
    units = queue.units(queue_offset, max(SCANNED_UNITS_MIN, count_max))
    if units is None:
        next_offset = queue.next_file_queue_offset(queue_offset)
        return GetResult(GetStatus.OFFSET_FOUND_NULL, next_offset, queue.min_queue_offset, end)
    if accepts is not None:
        return _scan_with_filter(log, queue, queue_offset, units, count_max, tags_codes, accepts, options)
    return _scan(log, queue, queue_offset, units, count_max, tags_codes, options)


def _outside(queue: ConsumeQueue, queue_offset: int) -> GetResult:
    low, high = queue.min_queue_offset, queue.max_queue_offset
    if high == 0:
        return GetResult(GetStatus.NO_MESSAGE_IN_QUEUE, 0, low, high)
    if queue_offset < low:
        return GetResult(GetStatus.OFFSET_TOO_SMALL, low, low, high)
    if queue_offset == high:
        return GetResult(GetStatus.OFFSET_OVERFLOW_ONE, high, low, high)
    return GetResult(GetStatus.OFFSET_OVERFLOW_BADLY, high, low, high)


def _scan(
    log: CommitLog,
    queue: ConsumeQueue,
    queue_offset: int,
    units: memoryview,
    count_max: int,
    tags_codes: AbstractSet[int] | None,
    options: StoreOptions,
) -> GetResult:
    """Collect the records of units until the batch is full.

    The hot loop: a record that is in memory and in the same log file as the one before costs no call.
    """
    buffers: list[memoryview] = []
    count = passed_over = size_bytes = 0
    physical_offset = skip_below = -1
    status = GetStatus.NO_MATCHED_MESSAGE
    memory_begin = log.wrote_offset - options.in_memory_bytes_max
    count_limit = min(count_max, options.max_transfer_count_in_memory)
    size_limit = options.max_transfer_bytes_in_memory
    view, base_offset, readable_end = _NO_WINDOW
    for physical_offset, size, tags_code in _iter_units(units):
        if count and (count >= count_limit or size_bytes + size > size_limit):
            break
        if physical_offset < memory_begin and count and _is_full_from_disk(count, size_bytes + size, options):
            break
        if tags_codes is not None and tags_code not in tags_codes:
            passed_over += 1
            continue
        record_end = physical_offset + size
        if record_end > readable_end or physical_offset < base_offset:
            window = None if physical_offset < skip_below else log.window(physical_offset)
            if window is None or record_end > window[2]:
                passed_over += 1
                if size != BLANK_UNIT_SIZE_FIELD:
                    skip_below = log.next_file_offset(physical_offset)
                    status = GetStatus.MESSAGE_WAS_REMOVING
                continue
            view, base_offset, readable_end = window
        buffers.append(view[physical_offset - base_offset : record_end - base_offset])
        size_bytes += size
        count += 1
    return GetResult(
        GetStatus.FOUND if count else status,
        queue_offset + count + passed_over,
        queue.min_queue_offset,
        queue.max_queue_offset,
        buffers,
        count,
        size_bytes,
        physical_offset < memory_begin,
    )


def _scan_with_filter(
    log: CommitLog,
    queue: ConsumeQueue,
    queue_offset: int,
    units: memoryview,
    count_max: int,
    tags_codes: AbstractSet[int] | None,
    accepts: Accepts,
    options: StoreOptions,
) -> GetResult:
    """As `_scan`, for a filter that must see each message; apart, so that other readers do not pay for it."""
    buffers: list[memoryview] = []
    looked_at = size_bytes = 0
    physical_offset = skip_below = -1
    status = GetStatus.NO_MATCHED_MESSAGE
    memory_begin = log.wrote_offset - options.in_memory_bytes_max
    count_limit = min(count_max, options.max_transfer_count_in_memory)
    view, base_offset, readable_end = _NO_WINDOW
    mapping = NO_MAPPING
    end_time = thread_time() + FILTER_CPU_SECONDS_MAX
    for physical_offset, size, tags_code in _iter_units(units):
        if looked_at and not looked_at % _CLOCK_INTERVAL and thread_time() > end_time:
            break
        count, total = len(buffers), size_bytes + size
        if count and (count >= count_limit or total > options.max_transfer_bytes_in_memory):
            break
        if physical_offset < memory_begin and count and _is_full_from_disk(count, total, options):
            break
        looked_at += 1
        if tags_codes is not None and tags_code not in tags_codes:
            continue
        record_end = physical_offset + size
        if record_end > readable_end or physical_offset < base_offset:
            window = None if physical_offset < skip_below else log.window(physical_offset)
            if window is None or record_end > window[2]:
                if size != BLANK_UNIT_SIZE_FIELD:
                    skip_below = log.next_file_offset(physical_offset)
                    status = GetStatus.MESSAGE_WAS_REMOVING
                continue
            view, base_offset, readable_end = window
            assert isinstance(view.obj, mmap)
            mapping = view.obj
        begin, end = physical_offset - base_offset, record_end - base_offset
        if accepts(properties_between(mapping, begin, end)):
            buffers.append(view[begin:end])
            size_bytes = total
    return GetResult(
        GetStatus.FOUND if buffers else status,
        queue_offset + looked_at,
        queue.min_queue_offset,
        queue.max_queue_offset,
        buffers,
        len(buffers),
        size_bytes,
        physical_offset < memory_begin,
    )


def _is_full_from_disk(count: int, size_bytes: int, options: StoreOptions) -> bool:
    return count >= options.max_transfer_count_on_disk or size_bytes > options.max_transfer_bytes_on_disk


def find_record(log: CommitLog, queues: Mapping[QueueKey, ConsumeQueue], physical_offset: int) -> memoryview | None:
    """The record at a physical offset that may come from anywhere; None unless a unit of its queue points back to it.

    A body may hold bytes that look like a record, with magic, size and the offset where they will lie: a producer can
    know that. What a record says of itself is therefore believed only where the queue says the same.

    Source: DefaultMessageStore#lookMessageByOffset (RocketMQ 4.5.2). Differs: 4.5.2 looks at the size alone; a message
    of a deleted topic, or without a unit, is not found.
    """
    record = log.record(physical_offset)
    place = None if record is None else queue_place(record)
    if record is None or place is None:
        return None
    topic, queue_id, queue_offset = place
    queue = queues.get((topic, queue_id))
    unit = None if queue is None or queue_offset < 0 else queue.unit(queue_offset)
    return record if unit is not None and unit[:2] == (physical_offset, len(record)) else None


def query_messages(
    index: MessageIndex,
    log: CommitLog,
    queues: Mapping[QueueKey, ConsumeQueue],
    topic: str,
    key: str,
    count_max: int,
    begin: int,
    end: int,
) -> QueryResult:
    """Find messages that may have a key, those left out that are gone from the log or from their queue.

    Source: DefaultMessageStore#queryMessage.
    """
    offsets, timestamp, offset = index.query(topic, key, count_max, begin, end)
    if not offsets:
        return QueryResult([], 0, 0)
    records = (find_record(log, queues, each) for each in sorted(offsets))
    return QueryResult([record for record in records if record is not None], timestamp, offset)


def search_by_time(log: CommitLog, queue: ConsumeQueue, timestamp_ms: int) -> int:
    """Queue offset of the message stored nearest to a time: the first of that very time, else the nearer neighbour.

    Before the first message this is the first one, in the future the last one (not the end); 0 for an empty queue.
    """
    first, end = queue.min_queue_offset, queue.max_queue_offset
    if first >= end:
        return 0
    low, high = first, end
    while low < high:
        middle = (low + high) // 2
        readable = _next_readable(queue, middle, high)
        if readable < high and store_time_of_unit(log, queue, readable) < timestamp_ms:
            low = readable + 1
        else:
            high = middle
    if low == first:
        return first
    if low == end:
        return end - 1
    after = store_time_of_unit(log, queue, low) - timestamp_ms
    before = timestamp_ms - store_time_of_unit(log, queue, low - 1)
    return low if after < before else low - 1


def _next_readable(queue: ConsumeQueue, queue_offset: int, end: int) -> int:
    """The queue offset itself, or the next one whose message is not damaged; `end` when there is none below it."""
    while queue_offset < end:
        units = queue.units(queue_offset, min(end - queue_offset, SCANNED_UNITS_MIN))
        if units is None:
            return end
        for _, size, _ in _iter_units(units):
            if size != BLANK_UNIT_SIZE_FIELD:
                return queue_offset
            queue_offset += 1
    return end


def store_time_of_unit(log: CommitLog, queue: ConsumeQueue, queue_offset: int) -> int:
    """Store timestamp of a message, in milliseconds; -1 when it cannot be read."""
    unit = queue.unit(queue_offset)
    return -1 if unit is None else log.store_timestamp(unit[0])
