"""Finding the next whole record behind damage, in the same file or in a later one.

Damage may have any size: a byte, a blank at the end of a file, a whole file of zeros. So the log is searched for the
magic of a record, in large pieces and without the holes of sparse files; a record is looked at only where the eight
bytes that name its own place do so. A GiB is searched in about half a second.

What is whole as bytes need not be a message that counts: behind the end that Apache's broker chose when it met damage,
old records lie as they were, for it does not zero what it gives up. `accepts` decides, see `continuity`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.record import (
    MAGIC_POSITION,
    MESSAGE_MAGIC,
    MESSAGE_MAGIC_V2,
    PHYSICAL_OFFSET_POSITION,
    ScannedRecord,
    is_blank,
    scan_record,
)

_MAGICS: Final = re.compile(
    b"|".join(re.escape(magic.to_bytes(4, "big")) for magic in (MESSAGE_MAGIC, MESSAGE_MAGIC_V2))
)
_HEAD_SIZE: Final = PHYSICAL_OFFSET_POSITION + 8
"""Bytes of a record up to the end of its own physical offset."""

Accepts = Callable[[ScannedRecord, int], int]
"""Decides about a record and its physical offset: 0 it counts, else how many bytes to pass over, 1 at least."""


def find_whole_record(log: CommitLog, behind: int, accepts: Accepts, *, check_crc: bool) -> int | None:
    """Physical offset of the next record that counts behind a damaged place; None when there is none in the whole log.

    Args:
        log: Its files up to `wrote_offset` are searched.
        behind: Where the damage begins.
        accepts: Is asked about each record that is whole.
        check_crc: Compare bodies with their CRC.

    Raises:
        UnsupportedRecord: A later version's record stands there.
    """
    search_from = behind + 1
    while (window := log.window(search_from)) is not None:
        view, base_offset, file_end = window
        skip_to = search_from
        for physical_offset in _candidates(log, search_from):
            if physical_offset < skip_to:
                continue
            record = scan_record(view, physical_offset - base_offset, base_offset, check_crc=check_crc)
            if record is None:
                continue
            passed_over = accepts(record, physical_offset)
            if not passed_over:
                return physical_offset
            skip_to = physical_offset + passed_over
        search_from = file_end
    return None


def _candidates(log: CommitLog, search_from: int) -> Iterator[int]:
    """Physical offsets in one file, from one on, where bytes look like a record that names its own place."""
    carried, carried_from = b"", -1
    for begin, piece in log.pieces(search_from):
        content, content_from = piece, begin
        if carried and carried_from + len(carried) == begin:
            content, content_from = carried + piece, carried_from
        for match in _MAGICS.finditer(content):
            head = match.start() - MAGIC_POSITION
            own_offset = content[head + PHYSICAL_OFFSET_POSITION : head + _HEAD_SIZE] if head >= 0 else b""
            if len(own_offset) == 8 and int.from_bytes(own_offset, "big") == content_from + head:
                yield content_from + head
        # A head that is cut by the border of two pieces is seen with the next one, and no other one twice.
        carried = content[-(_HEAD_SIZE - 1) :]
        carried_from = content_from + len(content) - len(carried)


def end_of_records(log: CommitLog, physical_offset: int, limit: int) -> int:
    """Follow whole records from an offset on, over the ends of files; return where the next one is missing.

    Args:
        log: The log.
        physical_offset: Where a record begins.
        limit: Physical offset from which on nothing is looked at.
    """
    while physical_offset < limit and (window := log.window(physical_offset)) is not None:
        view, base_offset, file_end = window
        position = physical_offset - base_offset
        while base_offset + position < limit:
            record = scan_record(view, position, base_offset, check_crc=True)
            if record is None:
                break
            position += record.size
        physical_offset = base_offset + position
        if position == len(view) or is_blank(view, position):
            physical_offset = file_end
        elif physical_offset < limit:
            break
    return physical_offset
