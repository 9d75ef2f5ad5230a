"""A store folder that is deleted or moved while it is open: noticed, and nothing is acknowledged any more."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from rmqnode.broker.limitations import Limit, Limitations
from rmqnode.broker.store_watch import StoreWatch
from rmqnode.store import PutStatus


def delete_all(root: Path) -> None:
    shutil.rmtree(root)


def delete_log(root: Path) -> None:
    shutil.rmtree(root / "commitlog")


def delete_log_file(root: Path) -> None:
    for path in (root / "commitlog").iterdir():
        path.unlink()


def move_away(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


def replace(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))
    shutil.copytree(root.with_name("elsewhere"), root)


@pytest.mark.parametrize("damage", [delete_all, delete_log, delete_log_file, move_away, replace])
async def test_puts_are_refused_once_the_folder_is_gone(
    kit: Any, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmqnode.broker.store_watch.CHECK_SECONDS", 0.01)
    store = kit.open()
    assert kit.put(store, "T", 0, b"before").status is PutStatus.OK
    assert store.find_gone() is None
    limitations = Limitations()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(StoreWatch(store, limitations).run)
            await trio.sleep(0.05)
            assert not limitations.table()
            damage(kit.root)
    assert "deleted or moved under the running broker" in limitations.table()[f"limited.{Limit.STORE.value}"]
    assert kit.put(store, "T", 0, b"after").status is PutStatus.SERVICE_NOT_AVAILABLE
    assert kit.put_batch(store, "T", 0, [b"after"]).status is PutStatus.SERVICE_NOT_AVAILABLE
    assert kit.bodies(store, "T", 0) == [b"before"]
    kit.opened.clear()
    store._lock.release()


def test_a_flush_into_a_deleted_file_promises_nothing(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"before")
    delete_log_file(kit.root)
    with pytest.raises(FileNotFoundError):
        store.flush_commit_log()
    assert store.flushed_offset == 0
    kit.opened.clear()
    store._lock.release()


async def test_damage_that_a_start_found_is_reported(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"damaged")
    kit.put(store, "T", 0, b"whole")
    root = kit.crashed_copy("killed")
    content = bytearray(kit.log_file(root).read_bytes())
    content[90] ^= 0x55
    kit.log_file(root).write_bytes(content)
    limitations = Limitations()
    watch = StoreWatch(kit.open(root), limitations)
    with trio.move_on_after(0.1):
        await watch.run()
    (sentence,) = limitations.table().values()
    assert sentence.startswith("the commit log is damaged in 1 place (")
    assert "1 message lost there" in sentence
    assert sentence.endswith(f"the first at physical offset 0; rmqctl store verify {root} tells more")
