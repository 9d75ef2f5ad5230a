"""A walk over a whole commit log that changes nothing: its records, its damaged stretches, its end.

It finds what a start would find that walks from the first record; `recovery` is the one that acts.
"""

from collections.abc import Iterator

from rmqnode.store.checkpoint import StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.continuity import Continuity, log_reaches
from rmqnode.store.damage import Extent
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.record import SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord, is_blank, scan_record
from rmqnode.store.resync import find_whole_record


class LogScan:
    """One walk.

    Args:
        log: Loaded, every byte of its files readable.
        table: Its queues, loaded; they tell records from bytes that look like some.
        checkpoint: Of the store, loaded.
        check_crc: Compare bodies with their CRC.
    """

    def __init__(
        self, log: CommitLog, table: QueueTable, checkpoint: StoreCheckpoint, *, check_crc: bool = True
    ) -> None:
        self._log = log
        self._check_crc = check_crc
        coverage = checkpoint.coverage
        is_ours = coverage is not None
        covered_to = coverage.physical_offset if coverage is not None else 0
        self._complete_to = covered_to if is_ours and log_reaches(log, table, covered_to) else 0
        self._reached_by: dict[tuple[bytes, int], tuple[int, int]] = {}
        self._continuity = Continuity(table, self._reached, is_ours=is_ours, complete_to=self._complete_to)
        self.extents: list[Extent] = []
        """Damaged stretches in front of the record that was yielded last; all of them at the end."""
        self.end_offset = log.min_offset
        """Physical offset behind that record; where the log ends, at the end."""

    def records(self) -> Iterator[tuple[int, ScannedRecord]]:
        """Yield every record that counts, with its physical offset.

        Raises:
            UnsupportedRecord: A later version's record.
        """
        while True:
            yield from self._whole_records()
            stopped = self.end_offset
            self._continuity.damaged_from = stopped
            following = find_whole_record(self._log, stopped, self._continuity.passed_over, check_crc=self._check_crc)
            following = max(stopped, self._complete_to) if following is None else following
            if following == stopped:
                return
            self.extents.append(Extent(stopped, following))
            self.end_offset = following

    def _whole_records(self) -> Iterator[tuple[int, ScannedRecord]]:
        """Yield records from `end_offset` on until one is missing."""
        while (window := self._log.window(self.end_offset)) is not None:
            view, base_offset, file_end = window
            position = self.end_offset - base_offset
            while (record := scan_record(view, position, base_offset, check_crc=self._check_crc)) is not None:
                goes_back = record.store_timestamp < self._continuity.last_store_timestamp
                if goes_back and self._continuity.is_given_up(self._log, record, base_offset + position):
                    return
                self._note(record, base_offset + position)
                position += record.size
                self.end_offset = base_offset + position
                yield base_offset + position - record.size, record
            is_closed = position == len(view) or is_blank(view, position)
            if not is_closed or self._log.window(file_end) is None:
                return
            self.end_offset = file_end

    def _note(self, record: ScannedRecord, physical_offset: int) -> None:
        self._continuity.last_store_timestamp = record.store_timestamp
        if not record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
            reached = (record.queue_offset + 1, physical_offset + record.size)
            self._reached_by[record.topic, record.queue_id] = reached

    def _reached(self, record: ScannedRecord) -> tuple[int, int] | None:
        return self._reached_by.get((record.topic, record.queue_id))
