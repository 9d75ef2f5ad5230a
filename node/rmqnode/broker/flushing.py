"""When bytes reach the disk: the commit log on a timer or before each answer, consume queues, the checkpoint.

One `fdatasync` in a worker thread serves all that wait; the event loop never blocks on a disk. Nothing runs while
nothing was written. Source: `CommitLog.GroupCommitService`, `FlushRealTimeService`,
`DefaultMessageStore.FlushConsumeQueueService` (RocketMQ 4.5.2).
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
import trio

from rmqnode.broker.outcome import AfterFlush
from rmqnode.config import BrokerConfig, FlushDiskType
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.routes import Request
from rmqnode.store import MessageStore

logger = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0
"""Pause after a failed flush; what waits for it is answered with FLUSH_DISK_TIMEOUT meanwhile."""


class _Waiting(msgspec.Struct):
    outcome: AfterFlush
    request: Request[Any]
    deadline: float


class Flusher:
    """The flush services of one store.

    Args:
        on_first_write: Called when something was written, at most once until `expect_write` or a flush.
        answer: Takes an outcome whose flush has succeeded or come too late; its reply says which.
    """

    def __init__(
        self,
        store: MessageStore,
        config: BrokerConfig,
        on_first_write: Callable[[], None],
        answer: Callable[[AfterFlush, Request[Any]], None],
    ) -> None:
        self._store = store
        self._on_first_write = on_first_write
        self._answer_outcome = answer
        self._is_sync = config.flush_disk_type is FlushDiskType.SYNC_FLUSH
        self._interval = config.flush_interval_commit_log_ms / 1000
        self._queue_interval = config.flush_interval_consume_queue_ms / 1000
        self._sync_timeout = config.sync_flush_timeout_ms / 1000
        self._waiting: list[_Waiting] = []
        self._written = trio.Event()
        self._queues_written = trio.Event()
        self._is_told = False

    @property
    def is_sync(self) -> bool:
        """Whether a send is answered only after its bytes are on disk."""
        return self._is_sync

    @property
    def waiting_count(self) -> int:
        """How many answers wait for a flush."""
        return len(self._waiting)

    def message_written(self) -> None:
        """Note that the store has new bytes. Called for every message: most calls find that it was said already."""
        if not self._is_told:
            self._is_told = True
            self._written.set()
            self._queues_written.set()
            self._on_first_write()

    def expect_write(self) -> None:
        """Let the next message be told to the services again."""
        self._is_told = False

    def answer_after_flush(self, outcome: AfterFlush, request: Request[Any]) -> None:
        """Answer a request once the log is flushed up to the outcome's offset, or too late."""
        self._waiting.append(_Waiting(outcome, request, trio.current_time() + self._sync_timeout))
        self._written.set()

    async def flush_commit_log(self) -> None:
        """Service: flush the commit log, at once when answers wait for it, else once an interval."""
        while True:
            await self._written.wait()
            if not self._is_sync:
                await trio.sleep(self._interval)
            self._written = trio.Event()
            self._is_told = False
            await self._flush_once()
            if self._waiting:
                self._written.set()

    async def wait_answered(self) -> None:
        """Flush what answers wait for, at a stop."""
        if self._waiting:
            await self._flush_once()

    async def flush_consume_queues(self) -> None:
        """Service: flush consume queues and the checkpoint behind the commit log."""
        while True:
            await self._queues_written.wait()
            await trio.sleep(self._queue_interval)
            self._queues_written = trio.Event()
            self._is_told = False
            try:
                await trio.to_thread.run_sync(self._store.flush_consume_queues)
                await trio.to_thread.run_sync(self._store.write_checkpoint)
            except OSError as error:
                logger.error("flush of the consume queues failed reason=%s", error)

    async def _flush_once(self) -> None:
        try:
            # A flush that outlives its timeout goes on in its thread; late answers are given meanwhile.
            async with trio.open_nursery() as nursery:
                if self._waiting:
                    nursery.start_soon(self._answer_late_ones)
                flushed_offset = await trio.to_thread.run_sync(self._store.flush_commit_log)
                nursery.cancel_scope.cancel()
        except* OSError as errors:
            logger.error("flush of the commit log failed reason=%s", errors.exceptions[0])
            flushed_offset = self._store.flushed_offset
            await trio.sleep(_RETRY_SECONDS)
        self._answer(flushed_offset)

    async def _answer_late_ones(self) -> None:
        while True:
            await trio.sleep_until(
                min((waiting.deadline for waiting in self._waiting), default=trio.current_time() + 1)
            )
            self._answer(self._store.flushed_offset)

    def _answer(self, flushed_offset: int) -> None:
        now = trio.current_time()
        still_waiting: list[_Waiting] = []
        for waiting in self._waiting:
            if waiting.outcome.physical_offset > flushed_offset:
                if waiting.deadline > now:
                    still_waiting.append(waiting)
                    continue
                waiting.outcome.reply.code = ResponseCode.FLUSH_DISK_TIMEOUT
            self._answer_outcome(waiting.outcome, waiting.request)
        self._waiting = still_waiting
