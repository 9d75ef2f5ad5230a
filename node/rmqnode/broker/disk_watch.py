"""Watches whether the disk has space for messages: tells of it, and sees when there is room again.

A put that finds no space is refused, and the next one tries again; that needs nobody. Two things do: `limited.disk`,
which has to be true also while nobody sends, and a store that could be opened for reading only, which has to be opened
again. `server` does that when `wants_reopening` is set.
"""

import logging
from pathlib import Path
from typing import Final

import trio

from rmqnode.broker.limitations import Limit, Limitations
from rmqnode.config import BrokerConfig
from rmqnode.store import MessageStore
from rmqnode.store.commit_log import RESERVE_STEP
from rmqnode.store.disk import describe_file_system, free_bytes, has_room

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 3.0
"""Between two looks while there is space: how late `rmqctl status` may tell of a full disk."""

_LOOK_FULL_SECONDS: Final = 1.0
"""Between two looks while there is none: how late messages are taken again at most."""


class DiskWatch:
    """Watches the disks of one store.

    Args:
        store: Open.
        config: Of its broker.
        limitations: Told.
    """

    def __init__(self, store: MessageStore, config: BrokerConfig, limitations: Limitations) -> None:
        self._store = store
        self._config = config
        self._limitations = limitations
        self._is_limited = False
        self.wants_reopening = trio.Event()
        """Set when a store that is open for reading only would find the space that it needs."""
        self.look()

    async def run(self) -> None:
        """Service: look at the disk, for ever."""
        while True:
            await trio.sleep(_LOOK_FULL_SECONDS if self._is_limited else _LOOK_SECONDS)
            full_folder = self._store.full_folder
            if full_folder is not None and await trio.to_thread.run_sync(has_room, full_folder, self._needed_bytes):
                if self._store.is_read_only:
                    self.wants_reopening.set()
                    return
                self._store.forget_full_folder()
            self.look()

    def look(self) -> None:
        """Tell whether messages are refused for want of space, or will be."""
        full_folder = self._store.full_folder
        log_folder = self._config.store_path_commit_log
        self._is_limited = full_folder is not None or free_bytes(log_folder) < RESERVE_STEP
        if full_folder is not None:
            self._limitations.report(Limit.DISK, self._describe(full_folder))
        elif self._is_limited:
            where = f"{log_folder} ({describe_file_system(log_folder)})"
            sentence = f"no space left in {where}: messages are refused once what is reserved for them is used up"
            self._limitations.report(Limit.DISK, sentence)
        else:
            self._limitations.clear(Limit.DISK)

    @property
    def _needed_bytes(self) -> int:
        return RESERVE_STEP + self._store.missing_bytes

    def _describe(self, folder: Path) -> str:
        where = f"{folder} ({describe_file_system(folder)})"
        if self._store.cleaner.full_folder is not None:
            ratio = self._config.disk_space_warning_level_ratio
            return f"the disk of {where} is fuller than diskSpaceWarningLevelRatio, {ratio} %: messages are refused"
        if self._store.is_read_only:
            return f"no space to complete the store in {where} after its last start: messages are refused"
        return f"no space for messages in {where}: they are refused"
