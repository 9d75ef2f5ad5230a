"""Keeps the index of the store behind its commit log: in slices between other work, and before a query is answered.

Sending a message does nothing for the index but wake this service. It works through a small lag at once when a query
comes; with a large one (a store whose index has to be built anew) queries wait for it, and everything else goes on.

Source: `DefaultMessageStore.ReputMessageService`, `IndexService` (RocketMQ 4.5.2).
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import trio

from rmqnode.broker.outcome import AfterIndexing
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store import MessageStore

logger = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 0.2
"""Messages that arrive within it are indexed together."""

_RECORDS_PER_SLICE: Final = 256
"""About 0.4 ms, as long as other work may have to wait."""

_BYTES_AT_ONCE: Final = 512 * 1024
"""A lag of no more log than this is made up for while a query is handled."""

_SYNC_SECONDS: Final = 30.0
"""Pause between two syncs. What is not on disk is built again after a crash: a second's work, or two."""

_RETRY_SECONDS: Final = 5.0

_WAITING_MAX: Final = 20_000
"""`queryThreadPoolQueueCapacity`: with more queries waiting for the index than this, the next is told to come again."""


class Indexer:
    """The index service of one store.

    Args:
        expect_write: Called when the index has caught up, so that the next message wakes it again.
    """

    def __init__(self, store: MessageStore, expect_write: Callable[[], None]) -> None:
        self._store = store
        self._expect_write = expect_write
        self._woken = trio.Event()
        self._is_hurried = trio.Event()
        self._unsynced = trio.Event()
        self._waiting: list[tuple[AfterIndexing, Request[Any]]] = []

    def wake(self) -> None:
        """Note that the log has new messages."""
        self._woken.set()

    def answer_after_indexing(self, outcome: AfterIndexing, request: Request[Any]) -> None:
        """Answer a request once the index has caught up with the log."""
        if not self._waiting and self._store.index.lag_bytes <= _BYTES_AT_ONCE and self._catch_up():
            request.connection.reply(request, outcome.answer())
            return
        if len(self._waiting) >= _WAITING_MAX:
            remark = f"the index is being built and {len(self._waiting)} queries wait for it, try again later"
            request.connection.reply(request, Reply(ResponseCode.SYSTEM_BUSY, remark))
            return
        self._waiting.append((outcome, request))
        self._woken.set()
        self._is_hurried.set()

    def _catch_up(self) -> bool:
        try:
            while self._store.index.is_behind:
                self._store.index.build(_RECORDS_PER_SLICE)
        except OSError:
            return False
        self._unsynced.set()
        return True

    async def build(self) -> None:
        """Service: build what is missing."""
        self._woken.set()
        while True:
            await self._woken.wait()
            with trio.move_on_after(_PAUSE_SECONDS):
                await self._is_hurried.wait()
            self._woken = trio.Event()
            self._is_hurried = trio.Event()
            try:
                await self._build_stretch()
            except OSError as error:
                logger.error("index not built offset=%d reason=%s", self._store.index.offset, error)
                self._woken.set()
                self.answer_all()
                await trio.sleep(_RETRY_SECONDS)
                continue
            if self._store.index.is_behind:
                self._woken.set()
            else:
                self._expect_write()
            self.answer_all()

    async def _build_stretch(self) -> None:
        """Build up to where the log ends now, and further only while queries wait.

        What is sent meanwhile waits for the next stretch: to follow the log to its very end, while producers send, is
        to take a turn of the event loop, and the fixed part of a slice, for the few messages of each read.
        """
        end = self._store.dispatched_offset
        while self._store.index.is_behind and (self._store.index.offset < end or self._waiting):
            self._store.index.build(_RECORDS_PER_SLICE)
            self._unsynced.set()
            await trio.lowlevel.checkpoint()

    def answer_all(self) -> None:
        """Answer what waits from the index as it is."""
        waiting, self._waiting = self._waiting, []
        for outcome, request in waiting:
            request.connection.reply(request, outcome.answer())

    async def sync(self) -> None:
        """Service: bring the index to the disk from time to time, for the next start after a crash."""
        while True:
            await self._unsynced.wait()
            await trio.sleep(_SYNC_SECONDS)
            self._unsynced = trio.Event()
            try:
                await trio.to_thread.run_sync(self._store.index.sync)
            except OSError as error:
                logger.error("index not synced reason=%s", error)
