"""Whether a commit log has the files that the rest of the store speaks of; asked before a start changes anything.

    what is there                                        decision
    ---------------------------------------------------------------------------------------------------
    no log file, or only one of length 0; units          refused: all messages would be gone
    the last file gone or of length 0; units behind it   refused: its messages would be gone
    the last file of length 0, nothing speaks of it      it was being made; deleted
    a file between others missing or cut short           refused (`CommitLog.load`)
    the first files gone, units below                    messages that have expired
    files full of zeros, units, a checkpoint             refused, when no record is left (`recovery`)

A single unit may be a damaged one. So it takes two of them, or one that leads to the first byte of the missing file, or
what our engine noted in `coverage`.
"""

import logging

from rmqnode.store.checkpoint import StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.damage import Damage
from rmqnode.store.errors import StoreIncomplete
from rmqnode.store.options import StoreOptions
from rmqnode.store.put_aside import put_queues_aside
from rmqnode.store.queue_table import QueueTable
from rmqnode.store.queue_units import BLANK_UNIT_SIZE_FIELD

logger = logging.getLogger(__name__)


class Completeness:
    """Checks one opening; all parts are loaded, the log's empty file is not dropped.

    Args:
        options: Of the store.
        log: Of the store.
        table: Its queues.
        checkpoint: Of the store.
        now_ms: Part of the name of what is put aside.
        accept_loss: Go on without what is missing: the queues are put aside, what `coverage` promised counts no more.
    """

    def __init__(
        self,
        options: StoreOptions,
        log: CommitLog,
        table: QueueTable,
        checkpoint: StoreCheckpoint,
        now_ms: int,
        *,
        accept_loss: bool,
    ) -> None:
        self._options = options
        self._log = log
        self._table = table
        self._checkpoint = checkpoint
        self._now_ms = now_ms
        self._accept_loss = accept_loss

    def check_files(self) -> None:
        """Refuse, or give up, a store whose log lacks its last files; delete a last file that was being made.

        Raises:
            StoreIncomplete: It lacks them; nothing was changed.
            OSError: The disk refuses to put the queues aside.
        """
        missing = self._missing_files()
        if missing is not None:
            self._give_up(missing)
        self._log.drop_empty_file()

    def check_records(self, units: int) -> None:
        """Refuse, or give up, a store whose log has not one record left although some were on the disk.

        Args:
            units: How many units its queues had.

        Raises:
            StoreIncomplete: More than one; a single one may belong to a torn record.
            OSError: As `check_files`.
        """
        if units > 1:
            self._give_up(f"the commit log has no whole record, but its queues speak of {units} messages")

    def _give_up(self, missing: str) -> None:
        options = self._options
        if not self._accept_loss:
            raise StoreIncomplete(options.commit_log_dir, missing)
        self._table.unmap()
        self._table.by_key.clear()
        self._checkpoint.forget_coverage()
        if options.consume_queue_dir.exists():
            place = put_queues_aside(options.consume_queue_dir, Damage(options.root).folder, self._now_ms)
            logger.error("%s; given up, the queues are put aside folder=%s", missing, place)

    def _missing_files(self) -> str | None:
        log, coverage = self._log, self._checkpoint.coverage
        covered_to = coverage.physical_offset if coverage is not None else 0
        has_files = bool(log.file_offsets())
        end = log.wrote_offset if has_files else 0
        units, is_sure = self._units_behind(end, has_files=has_files)
        if covered_to <= end and not (units and (is_sure or units > 1)):
            return None
        what = f"{units} message{'' if units == 1 else 's'}" if units else f"messages below offset {covered_to}"
        if has_files:
            return f"the files of the commit log end at offset {end}, but the rest of the store speaks of {what} behind"
        return (
            f"the commit log is {'empty' if log.had_empty_file else 'gone'}, but the rest of the store speaks of {what}"
        )

    def _units_behind(self, end: int, *, has_files: bool) -> tuple[int, bool]:
        """How many units lead behind the end of the log, and whether one leads to exactly there."""
        count, is_sure = 0, False
        for queue in self._table.by_key.values():
            last_offset, last_size, _ = queue.raw_unit(queue.max_queue_offset - 1)
            if last_offset < end or (last_size == BLANK_UNIT_SIZE_FIELD and last_offset == 0):
                continue
            first = queue.first_behind(end)
            count += queue.max_queue_offset - max(first, queue.first_queue_offset)
            is_sure = is_sure or (has_files and queue.raw_unit(first)[0] == end)
        return count, is_sure
