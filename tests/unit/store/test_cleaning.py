"""Old files go by age, hour and how full the disk is; what is left stays whole, and readers never notice."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from rmqnode.store import GetStatus, PutStatus
from rmqnode.store import cleaning as cleaning_module

HOUR_MS = 3_600_000
BODY = bytes(6000)


def filled(kit: Any, **options: Any) -> Any:
    """A store of five log files, with two queues whose files and index files point into all of them."""
    store = kit.open(**options)
    for index in range(48):
        kit.put(store, "T", 0, BODY, properties=b"UNIQ_KEY\x01u%d\x02" % index)
        for _ in range(3):
            kit.put(store, "T", 0, b"small", properties=b"UNIQ_KEY\x01small\x02")
    kit.put(store, "Rare", 3, b"only in the last file")
    assert len(log_files(kit)) == 5
    store.flush_commit_log()
    kit.build_index(store)
    return store


def log_files(kit: Any, root: Path | None = None) -> list[Path]:
    return sorted(((root or kit.root) / "commitlog").iterdir())


def let_files_age(kit: Any, hours: float, count: int) -> None:
    """Make the oldest log files old."""
    for path in log_files(kit)[:count]:
        os.utime(path, (kit.now / 1000 - hours * 3600, kit.now / 1000 - hours * 3600))
    for path in log_files(kit)[count:]:
        os.utime(path, (kit.now / 1000, kit.now / 1000))


def clean(store: Any) -> int:
    """One round, with its deletions; how many log files went."""
    store.cleaner.check_disks()
    taken = store.cleaner.take_log_files()
    for path in taken:
        path.unlink()
    for expired in store.cleaner.trim():
        for path in expired:
            path.unlink()
    return len(taken)


def set_hour(kit: Any, hour: int) -> None:
    now = time.localtime(kit.now / 1000)
    kit.now += (hour - now.tm_hour) % 24 * HOUR_MS


@pytest.fixture(autouse=True)
def empty_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How full the disk is, as a test says."""
    disk = {"ratio": 0.1}
    monkeypatch.setattr(cleaning_module, "used_ratio", lambda folder: disk["ratio"])
    return disk


def test_files_are_deleted_at_their_hour_when_their_time_is_over(kit: Any) -> None:
    store = filled(kit, delete_when=(4, 16), file_reserved_time_hours=72)
    set_hour(kit, 5)
    let_files_age(kit, 73, 2)
    assert clean(store) == 0
    set_hour(kit, 16)
    let_files_age(kit, 71.9, 2)
    assert clean(store) == 0
    let_files_age(kit, 72.1, 2)
    assert clean(store) == 2
    assert len(log_files(kit)) == 3


def test_a_request_deletes_expired_files_at_any_hour(kit: Any) -> None:
    store = filled(kit)
    set_hour(kit, 12)
    let_files_age(kit, 100, 1)
    store.cleaner.clean_soon()
    assert clean(store) == 1


@pytest.mark.parametrize(
    ("ratio", "aged", "deleted", "is_full"), [(0.74, 5, 0, 0), (0.76, 2, 2, 0), (0.86, 0, 4, 0), (0.91, 0, 4, 1)]
)
def test_a_full_disk_makes_files_go_sooner(
    kit: Any, empty_disk: Any, ratio: float, aged: int, deleted: int, is_full: int
) -> None:
    store = filled(kit)
    set_hour(kit, 12)
    let_files_age(kit, 100, aged)
    empty_disk["ratio"] = ratio
    assert clean(store) == deleted
    result = kit.put(store, "T", 0, b"x")
    assert (result.status is PutStatus.SERVICE_NOT_AVAILABLE) == bool(is_full)
    assert store.full_folder == (kit.root / "commitlog" if is_full else None)
    assert kit.bodies(store, "Rare", 3) == [b"only in the last file"]
    empty_disk["ratio"] = 0.9
    store.cleaner.check_disks()
    assert kit.put(store, "T", 0, b"x").status is PutStatus.OK


def test_without_cleanFileForciblyEnable_only_expired_files_go(kit: Any, empty_disk: Any) -> None:  # noqa: N802
    store = filled(kit, clean_file_forcibly_enable=False)
    let_files_age(kit, 100, 1)
    empty_disk["ratio"] = 0.95
    assert clean(store) == 1


def test_a_young_file_keeps_older_files_behind_it(kit: Any) -> None:
    store = filled(kit)
    set_hour(kit, 4)
    let_files_age(kit, 100, 3)
    os.utime(log_files(kit)[1], (kit.now / 1000, kit.now / 1000))
    assert clean(store) == 1


def test_what_points_to_deleted_records_goes_too_and_the_rest_stays(kit: Any) -> None:
    store = filled(kit)
    before = kit.bodies(store, "T", 0)
    held = store.get("T", 0, 0, 32).buffers
    copies = [bytes(each) for each in held]
    set_hour(kit, 4)
    let_files_age(kit, 100, 3)
    assert clean(store) == 3
    first = store.min_offset("T", 0)
    assert 100 < first < 150
    assert kit.bodies(store, "T", 0, first) == before[first:]
    assert [bytes(each) for each in held] == copies
    assert store.get("T", 0, 0, 32).status is GetStatus.OFFSET_TOO_SMALL
    assert store.get("T", 0, 0, 32).next_queue_offset == first
    assert store.unit("T", 0, first)[0] >= 3 * kit.log_file_size > store.unit("T", 0, first - 1)[0]
    queue_files = sorted((kit.root / "consumequeue" / "T" / "0").iterdir())
    assert int(queue_files[0].name) == first // 50 * 50 * 20
    assert len(kit.index_files()) == 1
    assert store.query("T", "u0", 64, 0, 1 << 60).buffers == []
    assert len(store.query("T", "u47", 64, 0, 1 << 60).buffers) == 1
    assert kit.put(store, "T", 0, b"next").queue_offset == len(before)
    for stop in (store.close, lambda: None):
        stop()
        root = kit.crashed_copy(f"copy-{stop.__name__}")
        copy = kit.open(root)
        assert (copy.min_offset("T", 0), copy.max_offset("T", 0)) == (first, len(before) + 1)
        assert kit.bodies(copy, "T", 0, first) == [*before[first:], b"next"]
        copy.close()


def test_a_store_whose_old_files_went_is_recovered_after_a_crash(kit: Any) -> None:
    store = filled(kit)
    before = kit.bodies(store, "T", 0)
    set_hour(kit, 4)
    let_files_age(kit, 100, 2)
    clean(store)
    first = store.min_offset("T", 0)
    root = kit.crashed_copy("killed")
    for lost in ("queues", "nothing"):
        if lost == "queues":
            for path in (root / "consumequeue" / "T" / "0").iterdir():
                path.unlink()
        copy = kit.open(root)
        assert (copy.min_offset("T", 0), copy.max_offset("T", 0)) == (first, len(before))
        assert kit.bodies(copy, "T", 0, first) == before[first:]
        copy.close()


def test_the_last_file_and_what_is_not_on_disk_yet_never_go(kit: Any, empty_disk: Any) -> None:
    store = kit.open()
    for _ in range(30):
        kit.put(store, "T", 0, BODY)
    empty_disk["ratio"] = 0.87
    assert clean(store) == 0
    store.flush_commit_log()
    assert clean(store) == 2
    assert len(log_files(kit)) == 1
    assert clean(store) == 0


def test_queues_whose_messages_are_all_gone_can_be_deleted(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "Old", 0, b"x")
    kit.put(store, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 0, b"x")
    kit.put(store, "SCHEDULE_TOPIC_XXXX", 0, b"x")
    for _ in range(12):
        kit.put(store, "T", 0, BODY)
    store.flush_commit_log()
    assert store.delete_expired_queues() == 0
    set_hour(kit, 4)
    let_files_age(kit, 100, 1)
    assert clean(store) == 1
    assert store.delete_expired_queues() == 1
    assert {topic for topic, _ in store.queues()} == {"RMQ_SYS_TRANS_OP_HALF_TOPIC", "SCHEDULE_TOPIC_XXXX", "T"}
    assert not (kit.root / "consumequeue" / "Old").exists()


def test_queues_of_unknown_topics_can_be_deleted_and_do_not_come_back(kit: Any) -> None:
    store = kit.open()
    for topic in ("Known", "Gone", "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC"):
        kit.put(store, topic, 0, b"x")
    assert store.delete_unused_topics({"Known"}) == 1
    copy = kit.open(kit.crashed_copy("killed"))
    assert {topic for topic, _ in copy.queues()} == {"Known", "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC"}
