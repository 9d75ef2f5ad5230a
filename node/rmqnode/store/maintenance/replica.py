"""Damaged bytes of a commit log, taken from a replica that has them whole.

Master and slave have the same bytes at the same physical offsets, so what one disk spoilt can be copied from the other.
Not everything that lies at an offset is this log's, though: a replica may have lived on after its master lost its end.
So bytes are taken only if all of this holds:

    whole      records follow each other from the first byte of the stretch to the last: own offset, lengths, CRC
    the same   what lies before the stretch, and the record behind it, is equal byte for byte
    known      a unit that our queues have for one of these records leads to it, with its length

The replica may be of either engine, and its broker may be running: what was written below its end does not change.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rmqnode.files import open_below, write_anew
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.damage import Damage, Extent
from rmqnode.store.errors import UnsupportedRecord
from rmqnode.store.maintenance.found_files import find_files
from rmqnode.store.maintenance.found_queues import FoundQueues
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.queue_units import BLANK_UNIT_SIZE_FIELD
from rmqnode.store.record import SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord, is_blank, scan_record
from rmqnode.store.sync import sync_data, sync_folder

_MAPPED_FILES_MAX: Final = 64

COMPARED_BYTES_MAX: Final = 64 * 1024
"""So much in front of a stretch is compared, as far as nothing of it is damaged."""


class Offer(NamedTuple):
    """What a replica has for one damaged stretch."""

    extent: Extent
    refusal: str | None
    """Why its bytes are not taken; None when they are whole and belong there."""
    records: int = 0


class Replica:
    """The commit log of another store, read as it lies on the disk.

    Args:
        options: Of the replica.
        own: Of the store that is to be mended.
    """

    def __init__(self, options: StoreOptions, own: StoreOptions) -> None:
        self.options = options
        self._own = own
        self._log = _shown(options)
        self._own_log = _shown(own)

    def offers(self, extents: Sequence[Extent]) -> list[Offer]:
        """Look what it has for each stretch, in order of the log; changes nothing."""
        budget = MappingBudget(_MAPPED_FILES_MAX)
        queues = QueueTable(self._own.consume_queue_dir, self._own.mapped_file_size_consume_queue, budget)
        FoundQueues(self._own.consume_queue_dir, self._own.mapped_file_size_consume_queue, queues).load()
        found: list[Offer] = []
        previous_end = 0
        for extent in extents:
            try:
                found.append(self._offer(extent, previous_end, queues))
            except UnsupportedRecord as error:
                found.append(Offer(extent, str(error)))
            previous_end = extent.end
        return found

    def _offer(self, extent: Extent, previous_end: int, queues: QueueTable) -> Offer:
        size, own_size = self.options.mapped_file_size_commit_log, self._own.mapped_file_size_commit_log
        if size != own_size:
            return Offer(extent, f"its commit log files have {size} bytes, ours {own_size}")
        if self._log.window(extent.begin) is None or self._log.window(extent.end - 1) is None:
            reach = f"{self._log.min_offset} to {self._log.wrote_offset}"
            return Offer(extent, f"it does not reach so far: its files hold physical offsets {reach}")
        count = 0
        for physical_offset, record in self._records(extent.begin, extent.end):
            if record is None:
                return Offer(extent, f"there is no whole record at physical offset {physical_offset} of its log either")
            conflict = _conflict(queues, record, physical_offset)
            if conflict is not None:
                return Offer(extent, conflict)
            count += 1
        if not self._borders_are_equal(extent, previous_end):
            return Offer(extent, "what lies before or behind the stretch is not the same there: it is another log")
        return Offer(extent, None, count)

    def _records(self, begin: int, end: int) -> Iterator[tuple[int, ScannedRecord | None]]:
        """Records that fill a stretch exactly, end marks of files passed; None where they do not."""
        offset = begin
        while offset < end:
            window = self._log.window(offset)
            if window is None:
                yield offset, None
                return
            view, base_offset, file_end = window
            position = offset - base_offset
            if is_blank(view, position):
                offset = file_end
                continue
            record = scan_record(view, position, base_offset, check_crc=True)
            if record is None or offset + record.size > end:
                yield offset, None
                return
            yield offset, record
            offset += record.size

    def _borders_are_equal(self, extent: Extent, previous_end: int) -> bool:
        file_size = self._own.mapped_file_size_commit_log
        begin = max(extent.begin - extent.begin % file_size, extent.begin - COMPARED_BYTES_MAX, previous_end)
        if not self._are_equal(begin, extent.begin):
            return False
        window = self._own_log.window(extent.end)
        if window is None:
            return True
        view, base_offset, _ = window
        record = scan_record(view, extent.end - base_offset, base_offset, check_crc=True)
        return record is not None and self._are_equal(extent.end, extent.end + record.size)

    def _are_equal(self, begin: int, end: int) -> bool:
        ours, theirs = self._own_log.slice(begin, end - begin), self._log.slice(begin, end - begin)
        return end <= begin or (ours is not None and ours == theirs)

    def restore(self, offers: Sequence[Offer], now_ms: int) -> int:
        """Write the bytes of offers that are not refused into our log, put the former ones aside; return how many.

        On the disk when this returns. Interrupted, it leaves the stretch damaged as before, and is run again.

        Raises:
            OSError: The disk is full or refuses; the marks of damage are as before.
        """
        count = 0
        restored: list[Extent] = []
        for offer in offers:
            if offer.refusal is None:
                for path, position, ours, theirs in self._pieces(offer.extent):
                    _put_aside(self._own.root, int(path.name) + position, ours, now_ms)
                    _overwrite(path, position, theirs)
                restored.append(offer.extent)
                count += offer.extent.end - offer.extent.begin
        _drop_marks(self._own.root, restored)
        return count

    def _pieces(self, extent: Extent) -> Iterator[tuple[Path, int, memoryview, memoryview]]:
        """A stretch file by file: path and position in our log, our bytes and the replica's."""
        offset = extent.begin
        while offset < extent.end:
            file_end = self._own_log.next_file_offset(offset)
            size = min(extent.end, file_end) - offset
            ours, theirs = self._own_log.slice(offset, size), self._log.slice(offset, size)
            assert ours is not None, "a damaged stretch lies in the files of the log"
            assert theirs is not None, "the offer was looked at"
            position = offset % self._own.mapped_file_size_commit_log
            yield self._own.commit_log_dir / f"{offset - position:020d}", position, ours, theirs
            offset += size


def _shown(options: StoreOptions) -> CommitLog:
    budget = MappingBudget(_MAPPED_FILES_MAX)
    log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, budget)
    log.show(find_files(options.commit_log_dir, options.mapped_file_size_commit_log).files)
    return log


def _conflict(queues: QueueTable, record: ScannedRecord, physical_offset: int) -> str | None:
    """What speaks against a record: our queue has another one in its place."""
    if record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
        return None
    topic = record.topic.decode("utf-8", "replace")
    queue = queues.by_key.get((topic, record.queue_id))
    unit = None if queue is None else queue.unit(record.queue_offset)
    if unit is None or unit[1] == BLANK_UNIT_SIZE_FIELD or unit[:2] == (physical_offset, record.size):
        return None
    if (
        queue is not None
        and queue.first_behind(physical_offset) == queue.min_queue_offset
        and unit[0] > physical_offset
    ):
        return None  # of a topic that was deleted and made again
    what = f"offset {record.queue_offset} of {topic} queue {record.queue_id}"
    return f"its record at physical offset {physical_offset} is {what}, which is at {unit[0]} here"


def _put_aside(root: Path, physical_offset: int, content: memoryview, now_ms: int) -> None:
    """Keep bytes that are about to be replaced, on the disk, under a name as a start gives to those that it cuts."""
    folder = root / "damaged"
    folder.mkdir(exist_ok=True)
    write_anew(folder / f"commitlog-{physical_offset:020d}-{now_ms}", content)
    sync_folder(folder)


def _overwrite(path: Path, position: int, content: memoryview) -> None:
    descriptor = open_below(path, os.O_RDWR)
    try:
        done = 0
        while done < len(content):
            done += os.pwrite(descriptor, content[done:], position + done)
        sync_data(descriptor)
    finally:
        os.close(descriptor)


def _drop_marks(root: Path, restored: Sequence[Extent]) -> None:
    damage = Damage.of(root)
    left = [
        known
        for known in damage.extents
        if not any(known.begin < each.end and each.begin < known.end for each in restored)
    ]
    if left != damage.extents:
        damage.use(left, damage.more)
        damage.save()
