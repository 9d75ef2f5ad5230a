"""Giving a stored record its consume queue unit: what recovery and replication do behind the log.

Puts do not come here, they write record and unit in one step (`appending`).
Source: ConsumeQueue#putMessagePositionInfo (RocketMQ 4.5.2).
"""

from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.record import SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord
from rmqnode.store.record_check import record_problem
from rmqnode.store.tags_code import tags_code_of


def queue_of_record(table: QueueTable, record: ScannedRecord) -> ConsumeQueue | None:
    """The queue that a record belongs to, not yet in the table if it is new; None for a record without a unit.

    A record with a number that no broker gives has none either: its queue could not be opened again.
    """
    if record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET or record_problem(record) is not None:
        return None
    topic = record.topic.decode("utf-8", "replace")
    return table.by_key.get((topic, record.queue_id)) or table.new(topic, record.queue_id)


def append_unit(
    table: QueueTable,
    queue: ConsumeQueue,
    record: ScannedRecord,
    physical_offset: int,
    delay_levels_ms: tuple[int, ...],
) -> int:
    """Append a record's unit to its queue; return the tags code.

    Raises:
        OSError: The disk is full or refuses a file; the unit is not there.
    """
    if record.queue_offset == 0 and queue.max_queue_offset:
        # The topic was deleted and created again: what came before belongs to the deleted one.
        queue.cut_at(0)
    if record.queue_offset and not queue.max_queue_offset:
        queue.begin_at(record.queue_offset)
    # Any other difference is a damage of long ago; Apache appends at the end too and says so in its log.
    tags_code = tags_code_of(queue.topic, record.properties, record.store_timestamp, delay_levels_ms)
    queue.append(physical_offset, record.size, tags_code)
    table.by_key[queue.topic, record.queue_id] = queue
    return tags_code
