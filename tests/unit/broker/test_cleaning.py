"""Requests that delete, and the service that deletes by itself."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing

from rmqnode.protocol.codes import RequestCode, ResponseCode

MIB = 1024 * 1024


def log_files(rig: Any) -> list[Path]:
    return sorted(rig.config.store_path_commit_log.iterdir())


def fill(rig: Any) -> None:
    """Three log files, of which two are full."""
    for index in range(10):
        rig.send(body=bytes(4 * MIB - 1000), properties={"UNIQ_KEY": f"u{index}"})
    rig.store.flush_commit_log()


async def test_a_request_deletes_expired_files_now(make_rig: Callable[..., Any], nursery: trio.Nursery) -> None:
    rig = make_rig(delete_when=(), delete_commit_log_files_interval_ms=0)
    fill(rig)
    before = len(log_files(rig))
    nursery.start_soon(rig.broker.cleaning.run)
    old = rig.clock.now_ms / 1000 - 73 * 3600
    for path in log_files(rig)[:2]:
        os.utime(path, (old, old))
    assert rig.ask(RequestCode.DELETE_EXPIRED_COMMITLOG).code == ResponseCode.SUCCESS
    with trio.fail_after(10):
        while len(log_files(rig)) > before - 2 or rig.store.min_offset("t", 0) == 0:
            await trio.testing.wait_all_tasks_blocked(0.001)
    first = rig.store.min_offset("t", 0)
    assert 0 < first < rig.store.max_offset("t", 0)
    assert rig.pull(queue_offset=0).code == ResponseCode.PULL_OFFSET_MOVED
    assert rig.pull(queue_offset=first).code == ResponseCode.SUCCESS
    nursery.cancel_scope.cancel()


def test_queues_of_topics_that_are_gone_are_deleted_on_request(rig: Any) -> None:
    rig.send("t")
    rig.send("other")
    rig.store.put("unknown", 0, 0, 0, 1, bytes(8), b"x", b"", 0)
    assert rig.ask(RequestCode.CLEAN_UNUSED_TOPIC).code == ResponseCode.SUCCESS
    assert {topic for topic, _ in rig.store.queues()} == {"t", "other"}


def test_queues_without_messages_are_deleted_on_request(make_rig: Callable[..., Any]) -> None:
    rig = make_rig()
    rig.send("early", body=b"x")
    fill(rig)
    assert rig.ask(RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE).code == ResponseCode.SUCCESS
    assert rig.store.max_offset("early", 0) == 1
    rig.store.cleaner.clean_soon()
    old = rig.clock.now_ms / 1000 - 73 * 3600
    os.utime(log_files(rig)[0], (old, old))
    for path in rig.store.cleaner.take_log_files():
        path.unlink()
    assert rig.ask(RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE).code == ResponseCode.SUCCESS
    assert rig.store.max_offset("early", 0) == 0
