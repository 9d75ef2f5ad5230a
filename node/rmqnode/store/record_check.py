"""What a master gave a record that no master gives: the numbers of a record that came over the replication stream.

A record whose lengths do not fit together is damage, and is passed over (`replica`). One that is whole, but whose
numbers are impossible, is another thing: it would become a file or a time that the next start cannot take.

What a client chooses (topic, body, properties) never counts here. A client of a Java master could stop the replication
of all others with it. A topic that can't be the name of a folder gets no queue (`queue_table.names_a_queue`).
"""

from typing import Final

from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.record import RECORD_FIXED_SIZE, SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord

QUEUE_ID_END: Final = 65_536
"""No broker here makes so many queues of a topic; each one is a folder and two files."""

QUEUE_OFFSET_END: Final = 2**63 // RECORD_FIXED_SIZE
"""A log whose offsets fit 64 bits has fewer records than this; positions in its queues fit 64 bits too."""

LOST_RECORDS_MAX: Final = 4_000_000
"""Messages of one queue that are lost to one damage, a whole file of the log for instance; fillers take 80 MB."""

STORE_TIMESTAMP_END: Final = 253_402_300_800_000
"""Year 10000 in milliseconds. Our own clock does not count: a machine without one starts in 1970."""


def record_problem(record: ScannedRecord) -> str | None:
    """Say which number of a record is impossible wherever it stands; None when all may be right."""
    if not 0 <= record.store_timestamp < STORE_TIMESTAMP_END:
        return f"store timestamp {record.store_timestamp}"
    if record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
        return None
    if not 0 <= record.queue_id < QUEUE_ID_END:
        return f"queue id {record.queue_id}"
    if not 0 <= record.queue_offset < QUEUE_OFFSET_END:
        return f"queue offset {record.queue_offset}"
    return None


def continuation_problem(queue: ConsumeQueue, queue_offset: int, physical_offset: int) -> str | None:
    """Say why a record can't be the next one of its queue; None when it can.

    A queue offset of 0 begins anew: the topic was deleted and made again. A higher one than expected means records that
    are lost to damage, as many as fit between: each of them took `RECORD_FIXED_SIZE` bytes of the log at least.
    """
    end = queue.max_queue_offset
    if queue_offset in (0, end):
        return None
    where = f"queue offset {queue_offset} in a queue that"
    if queue_offset < end:
        return f"{where} has {end} already"
    before = max(0, queue.end_physical_offset()) if end else 0
    if queue_offset - end > (physical_offset - before) // RECORD_FIXED_SIZE:
        return f"{where} ends at {end}: so many records do not fit between"
    if end and queue_offset - end > LOST_RECORDS_MAX:
        return f"{where} ends at {end}: that many lost messages are not made up for"
    return None
