"""Answers that wait for the disk: given after the flush that covers them, or late and with a code that says so."""

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.config import BrokerRole, FlushDiskType
from rmqnode.protocol.codes import ResponseCode


class Disk:
    """Stands between flusher and store: every flush waits until the test lets it go on."""

    def __init__(self, rig: Any) -> None:
        self._flush = rig.store.flush_commit_log
        self.may_finish = threading.Semaphore(0)
        self.started = 0
        self.error: OSError | None = None

    def flush(self) -> int:
        self.started += 1
        assert self.may_finish.acquire(timeout=10), "the test forgot the flush"
        if self.error is not None:
            raise self.error
        return int(self._flush())


@pytest.fixture
async def sync_rig(make_rig: Callable[..., Any], nursery: trio.Nursery) -> AsyncIterator[Any]:
    """A SYNC_FLUSH broker whose flush service runs over a slow disk."""
    rig = make_rig(flush_disk_type=FlushDiskType.SYNC_FLUSH, broker_role=BrokerRole.ASYNC_MASTER)
    rig.disk = Disk(rig)
    rig.store.flush_commit_log = rig.disk.flush
    nursery.start_soon(rig.broker.flusher.flush_commit_log)
    yield rig
    rig.store.flush_commit_log = rig.disk._flush
    for _ in range(10):
        rig.disk.may_finish.release()
    nursery.cancel_scope.cancel()


def codes(rig: Any) -> list[tuple[int, int]]:
    return [(request.opaque, reply.code) for request, reply in rig.connection.replies]


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.001)


async def test_an_answer_comes_after_the_flush_and_not_before(sync_rig: Any) -> None:
    sync_rig.send()
    await until(lambda: sync_rig.disk.started == 1)
    assert codes(sync_rig) == []
    assert len(sync_rig.messages("t")) == 1
    sync_rig.disk.may_finish.release()
    await until(lambda: bool(sync_rig.connection.replies))
    assert codes(sync_rig) == [(0, ResponseCode.SUCCESS)]
    assert sync_rig.store.flushed_offset == sync_rig.store.wrote_offset


async def test_one_flush_serves_all_that_were_written_before_it(sync_rig: Any) -> None:
    sync_rig.send()
    await until(lambda: sync_rig.disk.started == 1)
    for _ in range(20):
        sync_rig.send()
    sync_rig.disk.may_finish.release()
    await until(lambda: sync_rig.disk.started == 2)
    sync_rig.disk.may_finish.release()
    await until(lambda: len(sync_rig.connection.replies) == 21)
    assert sync_rig.disk.started == 2


async def test_who_does_not_wait_is_answered_at_once(sync_rig: Any) -> None:
    assert sync_rig.send(properties={"WAIT": "false"}).code == ResponseCode.SUCCESS


async def test_a_failed_flush_is_tried_again_and_nothing_is_promised_before(
    sync_rig: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmqnode.broker.flushing._RETRY_SECONDS", 0.01)
    sync_rig.disk.error = OSError(5, "Input/output error")
    sync_rig.send()
    sync_rig.disk.may_finish.release()
    await until(lambda: sync_rig.disk.started >= 2)
    assert codes(sync_rig) == []
    sync_rig.disk.error = None
    sync_rig.disk.may_finish.release()
    await until(lambda: bool(sync_rig.connection.replies))
    assert codes(sync_rig) == [(0, ResponseCode.SUCCESS)]
    assert "flush of the commit log failed reason=[Errno 5] Input/output error" in caplog.text


async def test_a_flush_that_takes_too_long_is_answered_late_with_its_code(
    make_rig: Callable[..., Any], nursery: trio.Nursery
) -> None:
    rig = make_rig(flush_disk_type=FlushDiskType.SYNC_FLUSH, sync_flush_timeout_ms=50)
    rig.disk = Disk(rig)
    rig.store.flush_commit_log = rig.disk.flush
    nursery.start_soon(rig.broker.flusher.flush_commit_log)
    rig.send()
    await until(lambda: bool(rig.connection.replies))
    ((_, reply),) = rig.connection.replies
    assert reply.code == ResponseCode.FLUSH_DISK_TIMEOUT
    assert reply.header.queue_offset == 0
    rig.store.flush_commit_log = rig.disk._flush
    rig.disk.may_finish.release()
    nursery.cancel_scope.cancel()


async def test_at_a_stop_what_waits_is_flushed_and_answered(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(flush_disk_type=FlushDiskType.SYNC_FLUSH, broker_role=BrokerRole.SYNC_MASTER)
    rig.send()
    await rig.broker.flusher.wait_answered()
    assert codes(rig) == [(0, ResponseCode.SLAVE_NOT_AVAILABLE)]


async def test_without_sync_flush_the_log_reaches_the_disk_once_an_interval(
    make_rig: Callable[..., Any], nursery: trio.Nursery
) -> None:
    rig = make_rig(flush_interval_commit_log_ms=10, flush_interval_consume_queue_ms=10)
    nursery.start_soon(rig.broker.flusher.flush_commit_log)
    nursery.start_soon(rig.broker.flusher.flush_consume_queues)
    assert rig.send().code == ResponseCode.SUCCESS
    await until(lambda: not rig.store.has_unflushed)
    # The timestamps of `checkpoint` stay 0 until an index file is full; what it covers is written beside it.
    root = rig.config.store_path_root_dir
    await until(lambda: (root / "coverage").exists() and any((root / "coverage").read_bytes()))
    nursery.cancel_scope.cancel()
