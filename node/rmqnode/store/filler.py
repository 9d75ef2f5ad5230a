"""What stands in front of a consume queue that begins in the middle, and for units whose records are gone.

A slave that copies the end of a long log has queues that begin at high queue offsets. Their first file holds, in
front of the first unit, filler units, as Apache writes them: it takes zeros for the end of the queue. That is 3 MB on
average for each queue, and 2,000 queues would take 6 GB that hold nothing. So fillers are written as long as they are
few. Where they would be many, a hole stays in front of the last filler, which marks it:

    Apache's, and few fillers here    filler filler filler filler filler unit unit …
    many fillers here                 (hole, no space on the disk)  filler unit unit …

Without the mark, zeros at the start are what a power failure left of units. A clean stop fills holes for Apache's
broker, within a bound; `rmqctl up --engine apache` fills the rest.
"""

import os
from typing import Final

from rmqnode.files import open_below
from rmqnode.store.mapped_file import MappedFile
from rmqnode.store.mapped_file_queue import MappedFileQueue
from rmqnode.store.queue_units import BLANK_UNIT, BLANK_UNIT_SIZE_FIELD, UNIT, UNIT_SIZE, peek_unit

FILLER_BYTES_MAX: Final = 64 << 20
"""Fillers that one run of a node writes at once: 0.1 s, and what 20 busy queues of an ordinary slave take."""

FILLER_BYTES_AT_STOP_MAX: Final = 512 << 20
"""Fillers that one stop writes: a second at most, which a supervisor waits for."""

_PIECE_UNITS: Final = 50_000
"""Fillers that one system call writes: 1 MB."""


class FillerBudget:
    """How many bytes of fillers may still be written while others wait."""

    def __init__(self, bytes_max: int = FILLER_BYTES_MAX) -> None:
        self._bytes_left = bytes_max

    def take(self, size_bytes: int) -> bool:
        """Whether so many bytes may be written; they are taken then."""
        if size_bytes > self._bytes_left:
            return False
        self._bytes_left -= size_bytes
        return True


def fill(file: MappedFile, count: int, budget: FillerBudget | None = None) -> int:
    """Write fillers over the first `count` units of a queue's first file; only the last one where they are too many.

    Returns how many were written: all, or 1.

    Raises:
        OSError: The disk is full or refuses the file.
    """
    written = count if budget is None or budget.take(count * UNIT_SIZE) else 1
    descriptor = open_below(file.path, os.O_RDWR)
    try:
        first = count - written
        while first < count:
            units = min(_PIECE_UNITS, count - first)
            first += os.pwrite(descriptor, BLANK_UNIT * units, first * UNIT_SIZE) // UNIT_SIZE
    finally:
        os.close(descriptor)
    return written


def first_unit_on_disk(files: MappedFileQueue) -> int:
    """Queue offset of the first unit or filler; where the files begin unless a filler marks a hole there."""
    start = files.first_offset // UNIT_SIZE
    if not files.files or peek_unit(files, start)[1]:
        return start
    first = files.files[0]
    for position, piece in first.content(0, first.size_bytes):
        content = piece.lstrip(b"\0")
        if content:
            found = (first.base_offset + position + len(piece) - len(content)) // UNIT_SIZE
            _, size, _ = UNIT.unpack(first.peek(found * UNIT_SIZE - first.base_offset, UNIT_SIZE))
            return found if size == BLANK_UNIT_SIZE_FIELD else start
    return start
