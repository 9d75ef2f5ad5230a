"""A store whose log lacks files is not started empty: refused unchanged, or given up for good when that is said."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from rmqnode.store import MessageStore, StoreIncomplete

COUNT = 600


@pytest.fixture
def stopped(kit: Any) -> Path:
    """Three log files, one queue; stopped cleanly."""
    store = kit.open()
    for index in range(COUNT):
        kit.now += 1
        kit.put(store, "T", 0, b"%d." % index * 60)
    assert len(log_files(kit.root)) == 3
    store.close()
    return Path(kit.root)


def log_files(root: Path) -> list[Path]:
    return sorted((root / "commitlog").iterdir())


def damage(root: Path, what: str) -> None:
    files = log_files(root)
    if what == "folder gone":
        shutil.rmtree(root / "commitlog")
    elif what == "all empty":
        for path in files[1:]:
            path.unlink()
        os.truncate(files[0], 0)
    elif what == "last gone":
        files[-1].unlink()
    elif what == "last empty":
        os.truncate(files[-1], 0)
    elif what == "middle gone":
        files[1].unlink()
    elif what == "middle empty":
        os.truncate(files[1], 0)
    elif what == "first cut short":
        os.truncate(files[0], 1000)
    elif what == "all zero":
        for path in files:
            path.write_bytes(bytes(path.stat().st_size))


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name not in ("abort", "lock")
    }


KINDS = {
    "folder gone": "the commit log is gone, but the rest of the store speaks of 600 messages",
    "all empty": "the commit log is empty, but the rest of the store speaks of 600 messages",
    "last gone": "but the rest of the store speaks of",
    "last empty": "but the rest of the store speaks of",
    "middle gone": "a file is missing",
    "middle empty": "has 0 bytes",
    "first cut short": "has 1000 bytes",
    "all zero": "the commit log has no whole record, but its queues speak of 600 messages",
}


@pytest.mark.parametrize("with_coverage", [True, False])
@pytest.mark.parametrize("what", KINDS)
def test_a_store_that_lacks_files_of_its_log_is_refused_unchanged(
    kit: Any, stopped: Path, what: str, with_coverage: bool
) -> None:
    if not with_coverage or what == "all zero":
        (stopped / "coverage").unlink()
    damage(stopped, what)
    before = content(stopped)
    for _ in range(2):
        with pytest.raises(StoreIncomplete) as caught:
            kit.make().open()
        assert KINDS[what] in str(caught.value)
        assert "--accept-loss" in str(caught.value)
        assert content(stopped) == before
    as_slave = str(caught.value.of_slave(stopped))
    assert KINDS[what] in as_slave
    assert f"move {stopped} away and start, and the slave follows its master anew" in as_slave


@pytest.mark.parametrize("what", KINDS)
def test_it_starts_when_the_loss_is_accepted_once_and_the_queues_are_put_aside(
    kit: Any, stopped: Path, what: str
) -> None:
    if what == "all zero":
        (stopped / "coverage").unlink()
    damage(stopped, what)
    bodies = {index: b"%d." % index * 60 for index in range(COUNT)}
    store: MessageStore = kit.make()
    store.open(accept_loss=True)
    found = kit.bodies(store, "T", 0, store.min_offset("T", 0))
    assert set(found) <= set(bodies.values())
    assert kit.put(store, "T", 0, b"after").end_offset
    end = store.max_offset("T", 0)
    store.close()
    if what in ("middle gone", "middle empty", "first cut short"):
        assert end == COUNT + 1  # the queues tell where the later messages belong
    else:
        aside = list((stopped / "damaged").glob("consumequeue-*/T/0/*"))
        assert aside, "the queues are kept"
    # Not stored: the next start needs no consent, and has the same.
    store = kit.make()
    store.open()
    assert kit.bodies(store, "T", 0, store.min_offset("T", 0)) == [*found, b"after"]


def test_files_that_have_expired_are_not_missing(kit: Any, stopped: Path) -> None:
    log_files(stopped)[0].unlink()
    (stopped / "coverage").unlink()
    store = kit.open()
    assert 0 < store.min_offset("T", 0) < store.max_offset("T", 0) == COUNT


def test_one_unit_that_leads_nowhere_is_a_damaged_unit_and_not_a_missing_file(kit: Any, stopped: Path) -> None:
    (stopped / "coverage").unlink()
    path = sorted((stopped / "consumequeue" / "T" / "0").iterdir())[-1]
    units = bytearray(path.read_bytes())
    end = COUNT % 50 * 20 or 1000
    units[end - 20 : end - 12] = (1 << 40).to_bytes(8, "big")
    path.write_bytes(units)
    store = kit.open()
    assert store.max_offset("T", 0) == COUNT
    assert len(kit.bodies(store, "T", 0)) == COUNT


def test_a_file_that_was_being_made_when_the_broker_was_killed_is_not_missing(kit: Any, stopped: Path) -> None:
    kit.log_file(stopped, 3 * kit.log_file_size).touch()
    store = kit.open()
    assert store.max_offset("T", 0) == COUNT


def test_a_fresh_store_whose_only_record_is_torn_starts(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"torn")
    root = kit.crashed_copy("torn")
    kit.log_file(root).write_bytes(bytes(kit.log_file_size))
    copy = kit.open(root)
    assert kit.put(copy, "T", 0, b"x").queue_offset == 0
