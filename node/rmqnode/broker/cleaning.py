"""Deletes files of the store that have had their time, every few seconds and on request.

What goes is the store's decision (`rmqnode.store.cleaning`); here are the clock and the deletions, which block.
Source: `DefaultMessageStore#addScheduleTask`, `CleanCommitLogService` (RocketMQ 4.5.2).
"""

import logging
from pathlib import Path
from typing import Final

import trio

from rmqnode.config import BrokerConfig
from rmqnode.store import MessageStore
from rmqnode.store.disk import describe_full

logger = logging.getLogger(__name__)

_FIRST_SECONDS: Final = 60.0
"""After a start nothing is deleted for so long."""

_QUEUES_PER_SLICE: Final = 20


class CleaningService:
    """Cleans one store."""

    def __init__(self, store: MessageStore, config: BrokerConfig) -> None:
        self._store = store
        self._interval = config.clean_resource_interval_ms / 1000
        self._pause = config.delete_commit_log_files_interval_ms / 1000
        self._is_asked = trio.Event()
        self._was_full: Path | None = None

    def clean_soon(self) -> None:
        """Delete expired commit log files now, and for some rounds at any hour of the day."""
        self._store.cleaner.clean_soon()
        self._is_asked.set()

    async def run(self) -> None:
        """Service: look at disks and files, delete what has to go."""
        wait_seconds = _FIRST_SECONDS
        while True:
            with trio.move_on_after(wait_seconds):
                await self._is_asked.wait()
            self._is_asked = trio.Event()
            wait_seconds = self._interval
            try:
                await self.clean()
            except OSError as error:
                logger.error("old files not deleted reason=%s", error)

    async def clean(self) -> None:
        """One round."""
        cleaner = self._store.cleaner
        cleaner.check_disks()
        self._say_how_full(cleaner.full_folder)
        for path in cleaner.take_log_files():
            logger.info("commit log file deleted path=%s", path)
            await _delete(path)
            await trio.sleep(self._pause)
        for count, expired in enumerate(cleaner.trim()):
            for path in expired:
                await _delete(path)
            if count % _QUEUES_PER_SLICE == 0:
                await trio.lowlevel.checkpoint()

    def _say_how_full(self, full_folder: Path | None) -> None:
        if full_folder != self._was_full:
            self._was_full = full_folder
            if full_folder is None:
                logger.info("messages are taken again: the disk has space")
            else:
                logger.error("messages are refused: %s", describe_full(full_folder))


async def _delete(path: Path) -> None:
    await trio.to_thread.run_sync(lambda: path.unlink(missing_ok=True))
