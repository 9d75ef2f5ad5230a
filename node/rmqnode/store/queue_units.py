"""The units of a consume queue as they are on disk: their layout, and looking for one without mapping a file.

    0 physical offset i64 | 8 record size i32 | 12 tags code i64

Source: ConsumeQueue (RocketMQ 4.5.2). Differs: the end is found by bisection instead of walking up to 900 000 units.
"""

from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final

from rmqnode.store.mapped_file import FILE_NAME_DIGITS, MappedFile
from rmqnode.store.mapped_file_queue import MappedFileQueue

UNIT: Final = Struct(">qiq")
UNIT_SIZE: Final = 20
assert UNIT.size == UNIT_SIZE

BLANK_UNIT_SIZE_FIELD: Final = 0x7FFFFFFF
"""Record size of a filler unit in front of a queue that does not begin at 0."""
BLANK_UNIT: Final = UNIT.pack(0, BLANK_UNIT_SIZE_FIELD, 0)

CHECKED_UNITS: Final = 10_000
"""So many units of each queue are looked at when it is loaded: 1 ms for a queue that has them."""

Unit = tuple[int, int, int]
"""Physical offset, record size, tags code."""


def rounded_to_units(size_bytes: int) -> int:
    """Round a file size up to whole units, as Apache does."""
    return -(-size_bytes // UNIT_SIZE) * UNIT_SIZE


def peek_unit(files: MappedFileQueue, queue_offset: int) -> Unit:
    """A unit inside the files, read or not yet known to be one; all -1 where there is no file."""
    position = queue_offset * UNIT_SIZE
    file = files.find(position)
    return (-1, -1, -1) if file is None else UNIT.unpack(file.peek(position - file.base_offset, UNIT_SIZE))


def place_of_unit(files: MappedFileQueue, queue_offset: int) -> tuple[Path, int]:
    """File and position of a unit, there or not."""
    position = queue_offset * UNIT_SIZE
    file = files.find(position)
    if file is not None:
        return file.path, position - file.base_offset
    within = position % files.file_size
    return files.directory / f"{position - within:0{FILE_NAME_DIGITS}d}", within


def bisect_units(
    files: MappedFileQueue,
    holds: Callable[[Unit], bool],
    high: int | None = None,
    *,
    low: int,
    keeps_open: bool = True,
) -> int:
    """Queue offset, at most `high`, of the first unit for which a predicate (true, then false) fails.

    Args:
        files: Of one queue.
        holds: The predicate.
        high: None for where the files end.
        low: Where the units begin.
        keeps_open: Hold the files open meanwhile: faster, but only while no other thread syncs them.
    """
    if high is None:
        high = (files.first_offset + len(files.files) * files.file_size) // UNIT_SIZE
    opened: set[MappedFile] = set()
    while low < high:
        middle = (low + high) // 2
        file = files.find(middle * UNIT_SIZE)
        if keeps_open and file is not None and file not in opened:
            file.keep_open()
            opened.add(file)
        low, high = (middle + 1, high) if holds(peek_unit(files, middle)) else (low, middle)
    for file in opened:
        file.let_go()
    return low


def find_corrupt(files: MappedFileQueue, low: int, end_queue_offset: int) -> int | None:
    """Queue offset from which on the last units below an end cannot all be right; None when they can."""
    first = queue_offset = max(low, end_queue_offset - CHECKED_UNITS)
    record_end = -1
    for file in files.between(first * UNIT_SIZE, end_queue_offset * UNIT_SIZE):
        position = queue_offset * UNIT_SIZE - file.base_offset
        end = min(end_queue_offset * UNIT_SIZE - file.base_offset, file.size_bytes)
        for physical_offset, size, _ in UNIT.iter_unpack(file.peek(position, end - position)):
            if physical_offset < 0 or size <= 0:
                return queue_offset
            if physical_offset < record_end:
                # This one or those before it: everything that contradicts it goes.
                while queue_offset > first and sum(peek_unit(files, queue_offset - 1)[:2]) > physical_offset:
                    queue_offset -= 1
                return queue_offset
            if size != BLANK_UNIT_SIZE_FIELD:
                record_end = physical_offset + size
            queue_offset += 1
    return None


def content_behind(files: MappedFileQueue, end_queue_offset: int) -> int | None:
    """Queue offset behind an end where something is that is not zero; None when there is nothing."""
    end = end_queue_offset * UNIT_SIZE
    for file in files.between(end, end + (1 << 62)):
        for position, piece in file.content(max(0, end - file.base_offset), file.size_bytes):
            if any(piece):
                return (file.base_offset + position + len(piece) - len(piece.lstrip(b"\0"))) // UNIT_SIZE
    return None
