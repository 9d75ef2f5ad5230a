"""One consume queue: units that point into the commit log, in the order of a topic's queue.

The index of a unit is its queue offset. Which record gets a unit is decided by `store` (puts) and `recovery`.

Source: ConsumeQueue (RocketMQ 4.5.2). Differs: a filler unit never counts as a record, and cut units become zeros
instead of lying there until overwritten.
"""

import mmap
from pathlib import Path
from typing import Final

from rmqnode.store.filler import FillerBudget, fill, first_unit_on_disk
from rmqnode.store.mapped_file import MappedFile, MappingBudget
from rmqnode.store.mapped_file_queue import MappedFileQueue
from rmqnode.store.queue_units import (
    BLANK_UNIT_SIZE_FIELD,
    UNIT,
    UNIT_SIZE,
    Unit,
    bisect_units,
    content_behind,
    find_corrupt,
    peek_unit,
    place_of_unit,
)
from rmqnode.store.record import RECORD_FIXED_SIZE, encoded_topic
from rmqnode.store.stand_in import StandIns

RESERVE_STEP: Final = 16 * 1024
"""Disk space is reserved in steps of this many bytes: about 800 units, little enough for a thousand idle queues."""

PREFIX_UNIT: Final = (0, BLANK_UNIT_SIZE_FIELD, 0)
"""The filler unit in front of a queue; that of a damaged message names the offset where the damage begins."""

NO_MAPPING: Final = mmap.mmap(-1, 1)
"""Stands where a mapping will be, so that the put need not ask; `limit` keeps it from being written."""


class ConsumeQueue:
    """The queue of one topic and queue id.

    Three attributes are the hot path's: a put writes its unit to `mapping` at
    `(max_queue_offset - base_queue_offset) * UNIT_SIZE` and adds 1 to `max_queue_offset`, as long as that is below
    `limit`; otherwise it calls `make_room` first. `limit` is -1 while nothing is mapped.
    """

    __slots__ = (
        "_active", "_budget", "_files", "_fillers", "_reserved", "_start", "base_queue_offset", "flushed_queue_offset",
        "limit", "mapping", "max_queue_offset", "min_queue_offset", "queue_id", "record_fixed_size", "topic",
        "topic_field",
    )  # fmt: skip

    def __init__(
        self,
        directory: Path,
        file_size: int,
        topic: str,
        queue_id: int,
        budget: MappingBudget,
        fillers: FillerBudget | None = None,
    ) -> None:
        self.topic = topic
        self.queue_id = queue_id
        self.topic_field = encoded_topic(topic)
        self.record_fixed_size = RECORD_FIXED_SIZE - 1 + len(self.topic_field)
        self._files = MappedFileQueue(directory / topic / str(queue_id), file_size)
        self._budget = budget
        self._fillers = fillers or FillerBudget()
        self._start = 0
        self._active: MappedFile | None = None
        self._reserved = 0
        self.mapping = NO_MAPPING
        self.limit = -1
        self.base_queue_offset = 0
        self.min_queue_offset = 0
        self.max_queue_offset = 0
        self.flushed_queue_offset = 0

    # --- writing -------------------------------------------------------------------------------------------------

    def make_room(self, count: int = 1) -> None:
        """Create, reserve and map what the next `count` units need.

        Raises:
            OSError: The disk is full or refuses the file; nothing that was readable has changed.
        """
        position = self.max_queue_offset * UNIT_SIZE
        end = position + count * UNIT_SIZE
        reserved = position
        while reserved < end:
            try:
                file = self._reserve(reserved, end)
            except OSError as error:
                if self._budget.stand_ins is None:
                    raise
                file = self._stand_in(self._budget.stand_ins, reserved, error)
                self._reserve(reserved, end)
            reserved = min(self._reserved, file.base_offset + file.size_bytes)
        active = self._files.find(position)
        assert active is not None
        self._activate(active)
        self.mapping = active.mapping
        self.base_queue_offset = active.base_offset // UNIT_SIZE
        self.limit = min(reserved, active.base_offset + active.size_bytes) // UNIT_SIZE

    def _reserve(self, position: int, end: int) -> MappedFile:
        """Find or create the file of a position, and have space in it from there on."""
        file = self._files.find(position) or self._files.append_file(position)
        if position >= self._reserved:
            wanted = max(end - position, RESERVE_STEP)
            self._reserved = file.base_offset + file.reserve(position - file.base_offset, wanted)
        return file

    def _stand_in(self, stand_ins: StandIns, position: int, error: OSError) -> MappedFile:
        """Hold in memory what the disk has no space for, during a recovery; at any other time the error goes on."""
        former = self._files.find(position)
        file = stand_ins.replace(self._files, position, error)
        if former is not None:
            self._budget.forget(former)
        self._reserved = min(self._reserved, position)
        return file

    def _activate(self, file: MappedFile) -> None:
        """Account for a file that is about to be written: it belongs to the queue's own place in the budget."""
        previous = self._active
        if file is not previous:
            file.expect_appends()
            self._budget.forget(file)
            if previous is not None:
                self._budget.hold(previous)
            self._active = file
        self._budget.hold(self)

    def append(self, physical_offset: int, record_size: int, tags_code: int) -> None:
        """Write the next unit.

        Raises:
            OSError: As `make_room`; never if that was called before for as many units.
        """
        if self.max_queue_offset >= self.limit:
            self.make_room()
        position = (self.max_queue_offset - self.base_queue_offset) * UNIT_SIZE
        UNIT.pack_into(self.mapping, position, physical_offset, record_size, tags_code)
        self.max_queue_offset += 1

    def append_all(self, units: bytes | bytearray) -> None:
        """Write the next units, as they are on disk.

        Raises:
            OSError: As `make_room`; some units may be there.
        """
        done = 0
        while done < len(units):
            count = (len(units) - done) // UNIT_SIZE
            if self.max_queue_offset >= self.limit:
                self.make_room(count)
            count = min(count, self.limit - self.max_queue_offset)
            position = (self.max_queue_offset - self.base_queue_offset) * UNIT_SIZE
            self.mapping[position : position + count * UNIT_SIZE] = units[done : done + count * UNIT_SIZE]
            self.max_queue_offset += count
            done += count * UNIT_SIZE

    def fill_to(self, queue_offset: int, physical_offset: int) -> None:
        """Let filler units stand for messages that are damaged, up to a queue offset.

        Args:
            queue_offset: What the next message gets afterwards.
            physical_offset: Where the damage begins; the units stay in the order of the log.

        Raises:
            OSError: As `make_room`; some units may be there.
        """
        self.append_all(UNIT.pack(physical_offset, BLANK_UNIT_SIZE_FIELD, 0) * (queue_offset - self.max_queue_offset))

    def blank(self, first: int, end: int, physical_offset: int) -> None:
        """Replace units from a queue offset on, up to another one, by filler units; their messages are damaged."""
        filler = UNIT.pack(physical_offset, BLANK_UNIT_SIZE_FIELD, 0)
        for file in self._files.between(first * UNIT_SIZE, end * UNIT_SIZE):
            begin = max(first * UNIT_SIZE - file.base_offset, 0)
            size = min(end * UNIT_SIZE - file.base_offset, file.size_bytes) - begin
            content = filler * (size // UNIT_SIZE)
            if file.peek(begin, size) != content:
                file.mapping[begin : begin + size] = content
                self._budget.hold(self)
                self.flushed_queue_offset = min(self.flushed_queue_offset, first)

    def begin_at(self, queue_offset: int) -> None:
        """Let a queue without files begin in the middle; filler units stand in for what is not there (`filler`).

        Raises:
            OSError: The disk is full or refuses the file; the queue is as before.

        Source: ConsumeQueue#fillPreBlank. Differs: from the file that is needed on, as there, but a hole where many
        fillers would take much space.
        """
        assert not self._files.files
        self.max_queue_offset = queue_offset
        try:
            self.make_room()
            file = self._files.files[0]
            count = queue_offset - file.base_offset // UNIT_SIZE
            self._start = queue_offset - (fill(file, count, self._fillers) if count else 0)
        except OSError:
            self.delete()
            raise
        self.min_queue_offset = self.flushed_queue_offset = queue_offset

    def fill_hole(self) -> int:
        """Write the fillers that the first file lacks, for an engine that knows no holes; return how many bytes.

        Raises:
            OSError: The disk is full or refuses the file; the hole stays.
        """
        file = self._files.files[0] if self._files.files else None
        count = 0 if file is None else self._low - file.base_offset // UNIT_SIZE
        if file is not None and count > 0:
            fill(file, count)
            self._start -= count
        return count * UNIT_SIZE

    @property
    def hole_bytes(self) -> int:
        """Bytes in front of the first unit where another engine wants fillers."""
        return max(0, self._low * UNIT_SIZE - self._files.first_offset)

    @property
    def _low(self) -> int:
        """Queue offset from which on there are units or fillers; a hole is in front of it."""
        return max(self._start, self._files.first_offset // UNIT_SIZE)

    def flush(self) -> None:
        """Bring all units to the disk; blocks. A queue that was deleted meanwhile has nothing to flush."""
        target = self.max_queue_offset
        start = self.flushed_queue_offset
        if start >= target:
            return
        for file in self._files.between(start * UNIT_SIZE, target * UNIT_SIZE):
            try:
                file.sync()
            except FileNotFoundError:
                return
        self.flushed_queue_offset = target

    # --- reading -------------------------------------------------------------------------------------------------

    def units(self, queue_offset: int, count_max: int) -> memoryview | None:
        """Units from `queue_offset` on, at most to the end of its file; None where the queue has none."""
        position = queue_offset * UNIT_SIZE
        file = self._files.find(position)
        if file is None or not 0 <= queue_offset < self.max_queue_offset:
            return None
        if file is not self._active:
            self._budget.hold(file)
        start = position - file.base_offset
        count = min(count_max, self.max_queue_offset - queue_offset)
        return file.view[start : start + count * UNIT_SIZE]

    def unit(self, queue_offset: int) -> Unit | None:
        """One unit; None where the queue has none."""
        units = self.units(queue_offset, 1)
        return UNIT.unpack(units) if units else None

    def raw_unit(self, queue_offset: int) -> Unit:
        """What the files have where a unit is or would be, behind the end of the queue too; all -1 without file."""
        return peek_unit(self._files, queue_offset)

    def place(self, queue_offset: int) -> tuple[Path, int]:
        """File and position of a unit, there or not."""
        return place_of_unit(self._files, queue_offset)

    def content_behind_end(self) -> int | None:
        """Queue offset behind the end where something is that is not zero; None when there is nothing."""
        return content_behind(self._files, self.max_queue_offset)

    def next_file_queue_offset(self, queue_offset: int) -> int:
        """Queue offset of the first unit of the file behind the one that `queue_offset` belongs to."""
        units_per_file = self._files.file_size // UNIT_SIZE
        return queue_offset + units_per_file - queue_offset % units_per_file

    def end_physical_offset(self) -> int:
        """Where the record of the last unit ends; -1 when there is no unit or only filler in front of a queue.

        Of a damaged message only where it began is known: nothing whole begins up to there.
        """
        last = self.unit(self.max_queue_offset - 1)
        if last is None or last == PREFIX_UNIT:
            return -1
        return last[0] + (1 if last[1] == BLANK_UNIT_SIZE_FIELD else last[1])

    def count_below(self, physical_offset: int) -> int:
        """Queue offset behind the last unit whose record begins below a physical offset.

        Looks from the end and maps nothing, so that a flush may ask from its own thread.
        """
        queue_offset = self.max_queue_offset
        while queue_offset and peek_unit(self._files, queue_offset - 1)[0] >= physical_offset:
            queue_offset -= 1
        return queue_offset

    # --- opening, cutting, deleting ------------------------------------------------------------------------------

    @property
    def has_files(self) -> bool:
        """Whether there is a file, with or without units."""
        return bool(self._files.files)

    @property
    def first_queue_offset(self) -> int:
        """Queue offset of the first unit that the files have room for."""
        return self._files.first_offset // UNIT_SIZE

    @property
    def had_empty_file(self) -> bool:
        """Whether `load` deleted a last file of length 0."""
        return self._files.had_empty_file

    def extend_last_file(self, path: Path) -> None:
        """Give a last file that was cut short its length back; the units are gone. To be loaded again."""
        self._files.extend_last(path)

    def load(self, *, repairs: bool = True) -> bool:
        """Find the files and the end of the queue; changes nothing unless it `repairs`.

        Returns whether units were corrupt; all from the first such on are gone then.

        Raises:
            StoreFileMismatch: A file does not fit.
        """
        self._files.load(repairs=repairs)
        self._start = first_unit_on_disk(self._files)
        self.max_queue_offset = bisect_units(self._files, lambda unit: unit[0] >= 0 and unit[1] > 0, low=self._low)
        self.flushed_queue_offset = self.max_queue_offset
        self.min_queue_offset = self._low
        corrupt = find_corrupt(self._files, self._low, self.max_queue_offset) if repairs else None
        if corrupt is not None:
            self.cut_at(corrupt)
        return corrupt is not None

    def first_behind(self, physical_offset: int) -> int:
        """Queue offset of the first unit whose record does not begin below a physical offset.

        Does not trust the end of the queue: after a power failure zeros may lie between units that were not flushed.
        """
        return bisect_units(self._files, lambda unit: 0 <= unit[0] < physical_offset and unit[1] > 0, low=self._low)

    def last_unit_below(self, physical_offset: int) -> Unit:
        """The last unit whose record begins below a physical offset; all -1 when there is none."""
        return peek_unit(self._files, self.first_behind(physical_offset) - 1)

    def cut(self, physical_offset: int) -> None:
        """Remove every unit whose record does not begin below a physical offset, and all content behind it."""
        self.cut_at(self.first_behind(physical_offset))

    def rewind(self, queue_offset: int) -> None:
        """Let the queue end at a queue offset for now; what stood behind it stays in the files until `cut_at`."""
        self.unmap()
        self._reserved = 0
        if queue_offset <= self._start:
            # Nothing but a hole is left, which another place for the first unit will need as a part of the file.
            queue_offset = self._files.first_offset // UNIT_SIZE
            self._start = 0
        self.max_queue_offset = queue_offset
        self.min_queue_offset = min(self.min_queue_offset, queue_offset)
        self.flushed_queue_offset = min(self.flushed_queue_offset, queue_offset)

    def cut_at(self, queue_offset: int) -> None:
        """Remove every unit from a queue offset on; the rest of the file becomes zeros."""
        self.unmap()
        self._reserved = 0
        self._files.cut(queue_offset * UNIT_SIZE)
        if queue_offset * UNIT_SIZE <= self._files.first_offset or queue_offset <= self._start:
            self._files.delete_all()
            queue_offset = self._start = 0
        self.max_queue_offset = queue_offset
        self.min_queue_offset = min(self.min_queue_offset, queue_offset)
        self.flushed_queue_offset = min(self.flushed_queue_offset, queue_offset)

    def correct_min(self, physical_offset_min: int) -> None:
        """Let the queue begin at the first unit whose record is still in the log.

        Source: ConsumeQueue#correctMinOffset. Differs: found by bisection over all files, not only the first.
        """
        unit = peek_unit(self._files, self.min_queue_offset)
        if unit[0] >= physical_offset_min and unit != PREFIX_UNIT:
            return
        # Nothing is kept open: another thread may be syncing these files.
        self.min_queue_offset = bisect_units(
            self._files,
            lambda unit: unit[0] < physical_offset_min or unit == PREFIX_UNIT,
            self.max_queue_offset,
            low=self._low,
            keeps_open=False,
        )

    def trim(self, physical_offset_min: int) -> list[Path]:
        """Let go of what points below an offset: whole files, which the caller deletes, and the first queue offset.

        Source: ConsumeQueue#deleteExpiredFile.
        """
        expired: list[Path] = []
        last_unit = self._files.file_size - UNIT_SIZE
        while len(self._files.files) > 1:
            first = self._files.files[0]
            if UNIT.unpack(first.peek(last_unit, UNIT_SIZE))[0] >= physical_offset_min or first is self._active:
                break
            self._files.take_first()
            self._budget.forget(first)
            first.unmap()
            expired.append(first.path)
        self.correct_min(physical_offset_min)
        return expired

    def unmap(self) -> None:
        """Give all mappings back; the next use maps again."""
        self.limit = -1
        self.mapping = NO_MAPPING
        self._active = None
        for file in self._files.files:
            file.unmap()
            self._budget.forget(file)
        self._budget.forget(self)

    def delete(self) -> None:
        """Delete the files of this queue."""
        self.unmap()
        self._reserved = 0
        self._files.delete_all()
        self._start = 0
        self.min_queue_offset = self.max_queue_offset = self.flushed_queue_offset = 0
