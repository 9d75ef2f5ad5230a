"""Which files of a store have had their time: decided here, by age, hour and how full the disks are.

Commit log files go oldest first, never the last one. Files leave the store at once and are deleted by who asked, in
its own time: whoever reads a slice of one keeps it, mapped memory outlives the name. What points to deleted records
goes after them: consume queue files, the first offsets of queues, index files.

    share of a disk in use     what happens
    ------------------------------------------------------------------------------
    above disk_max_used…       expired files go at any hour
    above …clean_forcibly…     the oldest files go even if they are not expired
    above …warning_level…      and messages are refused until it is lower again

Source: DefaultMessageStore.CleanCommitLogService, CleanConsumeQueueService (RocketMQ 4.5.2). Differs: each disk is
judged for itself; in 4.5.2 the consume queues' disk, when it has space, calls off what the log's disk said.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.disk import used_ratio
from rmqnode.store.index.message_index import MessageIndex
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueTable

LOG_FILES_MAX: Final = 10
"""Commit log files that one round takes at most."""

MANUAL_ROUNDS: Final = 20
"""Rounds that a request to delete expired files now is good for, at any hour."""

_HOUR_MS: Final = 3_600_000


class Cleaner:
    """Takes files out of one store."""

    def __init__(
        self,
        options: StoreOptions,
        log: CommitLog,
        table: QueueTable,
        index: MessageIndex,
        clock_ms: Callable[[], int],
    ) -> None:
        self._options = options
        self._log = log
        self._table = table
        self._index = index
        self._clock_ms = clock_ms
        self._trimmed_to = 0
        self._manual_rounds = 0
        self._needs_space = False
        self._takes_any = False
        self.full_folder: Path | None = None
        """Folder whose disk is so full that messages are refused."""

    def use(
        self,
        file_reserved_time_hours: int,
        delete_when: tuple[int, ...],
        disk_max_used_space_ratio: int,
        *,
        clean_file_forcibly_enable: bool,
        disk_space_clean_forcibly_ratio: int,
        disk_space_warning_level_ratio: int,
    ) -> None:
        """Clean by other limits from now on; see `StoreOptions`."""
        self._options = replace(
            self._options,
            file_reserved_time_hours=file_reserved_time_hours,
            delete_when=delete_when,
            disk_max_used_space_ratio=disk_max_used_space_ratio,
            clean_file_forcibly_enable=clean_file_forcibly_enable,
            disk_space_clean_forcibly_ratio=disk_space_clean_forcibly_ratio,
            disk_space_warning_level_ratio=disk_space_warning_level_ratio,
        )

    def clean_soon(self) -> None:
        """Let the next rounds delete expired commit log files at any hour of the day."""
        self._manual_rounds = MANUAL_ROUNDS

    def check_disks(self) -> None:
        """Ask the disks of commit log and consume queues how full they are."""
        options = self._options
        self._needs_space = self._takes_any = False
        full_folder = None
        for folder in (options.commit_log_dir, options.consume_queue_dir):
            percent = 100 * used_ratio(folder)
            if percent > options.disk_space_warning_level_ratio:
                full_folder = full_folder or folder
            if percent > options.disk_space_clean_forcibly_ratio:
                self._takes_any = True
            if percent > options.disk_max_used_space_ratio or (percent < 0 and folder.exists()):
                self._needs_space = True
        self.full_folder = full_folder
        if full_folder is not None:
            # Puts find no room, and when they ask for it they are told.
            self._log.limit = -1

    def take_log_files(self) -> list[Path]:
        """Take commit log files out of the store whose time is over, oldest first; the caller deletes them."""
        now = self._clock_ms()
        is_hour = time.localtime(now / 1000).tm_hour in self._options.delete_when
        if not (is_hour or self._manual_rounds or self._needs_space or self._takes_any):
            return []
        self._manual_rounds = max(0, self._manual_rounds - 1)
        takes_any = self._takes_any and self._options.clean_file_forcibly_enable
        deadline_ms = now - self._options.file_reserved_time_hours * _HOUR_MS
        taken: list[Path] = []
        while len(taken) < LOG_FILES_MAX:
            path = self._log.take_oldest_file(None if takes_any else deadline_ms)
            if path is None:
                break
            taken.append(path)
        return taken

    def trim(self) -> Iterator[list[Path]]:
        """Take out of the store what points below the beginning of the log, one consume queue per step.

        Each step yields files that the caller deletes; between two steps the store may be used.
        """
        minimum = self._log.min_offset
        if minimum <= self._trimmed_to:
            return
        for key in list(self._table.by_key):
            queue = self._table.by_key.get(key)
            if queue is not None:
                yield queue.trim(minimum)
        yield self._index.take_expired(minimum)
        self._trimmed_to = minimum
