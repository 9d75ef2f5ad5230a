"""Which entries of the index the messages of the log make: the unique key, then each key of `KEYS`.

Reads the records of one mapped file of the log; where the entries go is `files`'s.
"""

from mmap import mmap
from typing import Final

from rmqnode.store.index.file import NewEntry
from rmqnode.store.index.key_hash import KeyHasher
from rmqnode.store.record import (
    KEYS_HEAD,
    MESSAGE_MAGIC,
    RECORD_FIXED_SIZE,
    RECORD_HEAD_SIZE,
    SYS_FLAG_ROLLBACK,
    SYS_FLAG_TRANSACTION,
    is_blank,
    next_record,
)

_unpack_head: Final = KEYS_HEAD.unpack_from


def scan_entries(
    hasher: KeyHasher, view: memoryview, base_offset: int, position: int, limit: int, records_max: int
) -> tuple[int, int, list[NewEntry]]:
    """Collect the entries of records between two positions of a log file; the hot loop of the index.

    Returns how many more records may be looked at, the position behind the last one, and the entries.
    """
    entries: list[NewEntry] = []
    mapping = view.obj
    assert isinstance(mapping, mmap)  # its slices are bytes at once, half as dear as those of a view
    hashes_of = hasher.hashes
    while position + RECORD_FIXED_SIZE <= limit and records_max > 0:
        records_max -= 1
        size, magic, sys_flag, store_timestamp, body_size = _unpack_head(mapping, position)
        end = position + size
        topic_at = position + RECORD_HEAD_SIZE + body_size
        if magic != MESSAGE_MAGIC or not position + RECORD_HEAD_SIZE <= topic_at < end <= limit:
            position = limit if is_blank(view, position) else _behind_damage(view, position, base_offset, limit)
            continue
        if sys_flag & SYS_FLAG_TRANSACTION != SYS_FLAG_ROLLBACK:
            for hash_of_key in hashes_of(mapping[topic_at:end]):
                entries.append((hash_of_key, base_offset + position, store_timestamp))
        position = end
    if position + RECORD_FIXED_SIZE > limit:
        position = limit
    return records_max, position, entries


def _behind_damage(view: memoryview, position: int, base_offset: int, limit: int) -> int:
    return next_record(view, position, base_offset, limit, check_crc=False)
