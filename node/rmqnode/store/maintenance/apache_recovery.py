"""What Apache's broker would cut from a commit log at its next start: it ends the log at the first bad record it meets.

    the last stop was    it walks
    ----------------------------------------------------------------------------------------------
    clean                the last three files
    a crash (`abort`)    from the newest file that begins before the checkpoint, else from the first

Damage in front of that it does not see, and cuts nothing for it. Changes nothing.
Source: CommitLog#recoverNormally, #recoverAbnormally, #checkMessageAndReturnSize (RocketMQ 4.5.2).
"""

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from rmqnode.store.checkpoint import StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.log_scan import LogScan
from rmqnode.store.maintenance.config_check import readable_checkpoint
from rmqnode.store.maintenance.found_files import find_files
from rmqnode.store.maintenance.found_queues import FoundQueues
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.record import (
    BLANK_MAGIC,
    BODY_SIZE_POSITION,
    CRC_MASK,
    MESSAGE_MAGIC,
    RECORD_FIXED_SIZE,
    RECORD_HEAD_SIZE,
    SIZE_AND_MAGIC,
    STORE_TIMESTAMP,
    STORE_TIMESTAMP_POSITION,
)

_MAPPED_FILES_MAX: Final = 64
_FILES_AFTER_CLEAN_STOP: Final = 3
_CRC: Final = Struct(">i")
_CRC_POSITION: Final = 8


class ApacheCut(NamedTuple):
    """Where Apache's recovery would end a log, and how many whole messages lie behind."""

    end_offset: int
    """Physical offset."""
    message_count: int


def apache_cut(options: StoreOptions, *, was_clean: bool) -> ApacheCut:
    """Look what Apache's broker would do; blocks for about 5 s for each million messages that it would walk.

    Args:
        options: Of the store.
        was_clean: There is no `abort` file when it starts.

    Raises:
        UnsupportedRecord: A later version's record.
        OSError: The store cannot be read.
    """
    budget = MappingBudget(_MAPPED_FILES_MAX)
    log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, budget)
    log.show(find_files(options.commit_log_dir, options.mapped_file_size_commit_log).files)
    if not log.file_offsets():
        return ApacheCut(0, 0)
    checkpoint = readable_checkpoint(options.root)
    start = _start(log, checkpoint, was_clean=was_clean)
    end = _end(log, start, check_crc=options.check_crc_on_recover)
    table = QueueTable(options.consume_queue_dir, options.mapped_file_size_consume_queue, budget)
    FoundQueues(options.consume_queue_dir, options.mapped_file_size_consume_queue, table).load()
    scan = LogScan(log, table, checkpoint)
    # From the file of the end on: what is in front of it stays, and says what goes on behind it.
    scan.end_offset = end - end % options.mapped_file_size_commit_log
    return ApacheCut(end, sum(physical_offset >= end for physical_offset, _ in scan.records()))


def _start(log: CommitLog, checkpoint: StoreCheckpoint, *, was_clean: bool) -> int:
    offsets = log.file_offsets()
    if was_clean:
        return offsets[max(len(offsets) - _FILES_AFTER_CLEAN_STOP, 0)]
    for base_offset in reversed(offsets):
        head = log.slice(base_offset, RECORD_HEAD_SIZE)
        if head is None or SIZE_AND_MAGIC.unpack_from(head)[1] != MESSAGE_MAGIC:
            continue
        (store_timestamp,) = STORE_TIMESTAMP.unpack_from(head, STORE_TIMESTAMP_POSITION)
        if store_timestamp != 0 and store_timestamp <= checkpoint.safe_timestamp:
            return base_offset
    return offsets[0]


def _end(log: CommitLog, start: int, *, check_crc: bool) -> int:
    """Where the first record is missing in Apache's eyes; a file that ends without an end mark ends the log, too."""
    offset = start
    while (window := log.window(offset)) is not None:
        view, base_offset, file_end = window
        position = offset - base_offset
        while (size := _size(view, position, check_crc=check_crc)) is not None and size > 0:
            position += size
        if size is None or log.window(file_end) is None:
            return base_offset + position
        offset = file_end
    return offset


def _size(view: memoryview, position: int, *, check_crc: bool) -> int | None:
    """Size of the record that Apache takes at a position; 0 for an end mark, None where it ends the log.

    Unlike our own scan it does not look whether a record names its own place.
    """
    if position + SIZE_AND_MAGIC.size > len(view):
        return None
    size, magic = SIZE_AND_MAGIC.unpack_from(view, position)
    if magic == BLANK_MAGIC:
        return 0
    if magic != MESSAGE_MAGIC or size < RECORD_FIXED_SIZE or position + size > len(view):
        return None
    (body_size,) = _CRC.unpack_from(view, position + BODY_SIZE_POSITION)
    body_size = max(body_size, 0)
    topic_at = position + RECORD_HEAD_SIZE + body_size
    if topic_at >= position + size:
        return None
    topic_size = view[topic_at]
    properties_at = topic_at + 1 + topic_size
    if topic_size > 127 or properties_at + 2 > position + size:
        return None
    properties_size = max(int.from_bytes(view[properties_at : properties_at + 2], "big", signed=True), 0)
    if RECORD_FIXED_SIZE + body_size + topic_size + properties_size != size:
        return None
    body_at = position + RECORD_HEAD_SIZE
    (crc,) = _CRC.unpack_from(view, position + _CRC_POSITION)
    if check_crc and body_size and crc32(view[body_at : body_at + body_size]) & CRC_MASK != crc:
        return None
    return int(size)
