"""Which records behind damage count: what Apache's broker gave up stays away, what is only damaged does not."""

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.unit.store.conftest import HOST, body_of


class Stored(NamedTuple):
    physical_offset: int
    end_offset: int
    queue_id: int
    queue_offset: int
    body: bytes


def fill(kit: Any, store: Any, count: int, name: str, size: int = 300) -> list[Stored]:
    stored = []
    for index in range(count):
        kit.now += 5
        body = f"{name}-{index}.".encode().ljust(size, b".")
        result = kit.put(store, "T", index % 2, body)
        stored.append(Stored(result.physical_offset, result.end_offset, index % 2, result.queue_offset, body))
    return stored


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes((byte ^ 0x55,)))


def truncate_as_apache(root: Path, end: int, queue_ends: dict[int, int]) -> None:
    """End log and queues as Apache's recovery does: positions move, bytes stay; `lock` tells that it was there."""
    for path in (root / "commitlog").iterdir():
        if int(path.name) > end:
            path.unlink()
    os.utime(root / "lock", ns=(1, 1))


def write_as_apache(kit: Any, root: Path, end: int, queue_ends: dict[int, int], count: int, name: str) -> list[Stored]:
    """Store messages from a place on over what lies there, in log and queues, without zeroing anything behind."""
    scratch = kit.open(kit.folder / f"scratch-{name}")
    written = []
    log = root / "commitlog" / f"{0:020d}"
    with log.open("r+b") as file:
        for index in range(count):
            kit.now += 5
            queue_id = index % 2
            body = f"{name}-{index}.".encode().ljust(300, b".")
            result = kit.put(scratch, "T", queue_id, body)
            record = bytearray(scratch.read_record(result.physical_offset))
            record[20:28] = queue_ends[queue_id].to_bytes(8, "big")
            record[28:36] = end.to_bytes(8, "big")
            record[40:48] = (kit.now - 1).to_bytes(8, "big")  # born just before
            file.seek(end)
            file.write(record)
            unit = end.to_bytes(8, "big") + len(record).to_bytes(4, "big") + bytes(8)
            write_unit(kit, root, queue_id, queue_ends[queue_id], unit)
            written.append(Stored(end, end + len(record), queue_id, queue_ends[queue_id], body))
            end += len(record)
            queue_ends[queue_id] += 1
    scratch.close()
    return written


def write_unit(kit: Any, root: Path, queue_id: int, queue_offset: int, unit: bytes) -> None:
    base = queue_offset * 20 // kit.queue_file_size * kit.queue_file_size
    path = root / "consumequeue" / "T" / str(queue_id) / f"{base:020d}"
    with path.open("r+b") as file:
        file.seek(queue_offset * 20 - base)
        file.write(unit)


def readable(kit: Any, store: Any) -> dict[int, list[bytes]]:
    return {queue_id: kit.bodies(store, "T", queue_id) for queue_id in (0, 1)}


@pytest.mark.parametrize("abort", [True, False], ids=["killed", "stopped"])
@pytest.mark.parametrize("beside", ["all", "no coverage", "no checkpoint", "no queues"])
@pytest.mark.parametrize("written", [1, 7, 40])
def test_what_apache_has_given_up_does_not_come_back(kit: Any, beside: str, abort: bool, written: int) -> None:
    store = kit.open()
    old = fill(kit, store, 100, "old")
    store.flush_consume_queues()
    store.write_checkpoint()
    root = kit.crashed_copy("apache")
    damaged = old[40]
    flip(kit.log_file(root), damaged.physical_offset + 100)
    kit.now += 2000
    ends = {0: 20, 1: 20}
    truncate_as_apache(root, damaged.physical_offset, ends)
    new = write_as_apache(kit, root, damaged.physical_offset, ends, written, "new")
    if beside == "no coverage":
        (root / "coverage").unlink()
    elif beside == "no checkpoint":
        (root / "checkpoint").unlink()
    elif beside == "no queues":
        shutil.rmtree(root / "consumequeue")
    if not abort:
        (root / "abort").unlink()
    copy = kit.open(root)
    expected = {queue_id: [each.body for each in old[:40] + new if each.queue_id == queue_id] for queue_id in (0, 1)}
    assert readable(kit, copy) == expected
    assert copy.wrote_offset == new[-1].end_offset
    assert [copy.max_offset("T", queue_id) for queue_id in (0, 1)] == [len(expected[0]), len(expected[1])]
    assert not copy.damage.extents
    # What it gave up is put aside, so nobody can lose it by our start either.
    (aside,) = (root / "damaged").glob("commitlog-*")
    assert old[-1].body in aside.read_bytes()


def test_what_apache_has_only_stopped_at_comes_back(kit: Any) -> None:
    store = kit.open()
    old = fill(kit, store, 100, "old")
    root = kit.crashed_copy("apache")
    flip(kit.log_file(root), old[40].physical_offset + 100)
    truncate_as_apache(root, old[40].physical_offset, {})
    copy = kit.open(root)
    expected = {queue_id: [e.body for e in old[:40] + old[41:] if e.queue_id == queue_id] for queue_id in (0, 1)}
    assert readable(kit, copy) == expected
    assert [copy.max_offset("T", queue_id) for queue_id in (0, 1)] == [50, 50]


@pytest.mark.parametrize("with_queues", [True, False])
def test_a_clock_that_was_set_back_costs_nothing_where_no_other_engine_was(kit: Any, with_queues: bool) -> None:
    store = kit.open()
    fill(kit, store, 10, "before")
    store.flush_consume_queues()
    store.write_checkpoint()
    damaged = fill(kit, store, 1, "damaged")[0]
    kit.now -= 3_600_000
    fill(kit, store, 10, "after")
    root = kit.crashed_copy("killed")
    flip(kit.log_file(root), damaged.physical_offset + 100)
    if not with_queues:
        shutil.rmtree(root / "consumequeue")
    copy = kit.open(root)
    found = readable(kit, copy)
    assert sum(len(bodies) for bodies in found.values()) == 20
    assert copy.wrote_offset == store.wrote_offset


@pytest.mark.parametrize("ahead", [1, 2])
def test_a_clock_that_was_set_back_costs_nothing_in_a_new_store_either(kit: Any, ahead: int) -> None:
    store = kit.open()
    fill(kit, store, 4, "before")
    kit.now += 86_400_000
    fill(kit, store, ahead, "ahead")
    kit.now -= 60_000
    fill(kit, store, 4, "after")
    copy = kit.open(kit.crashed_copy("killed"))
    assert sum(len(bodies) for bodies in readable(kit, copy).values()) == 8 + ahead
    assert copy.wrote_offset == store.wrote_offset


@pytest.mark.parametrize("index", [0, 5, 8])
def test_a_store_timestamp_that_is_damaged_costs_no_message_behind_it(kit: Any, index: int) -> None:
    store = kit.open()
    stored = fill(kit, store, 10, "some")
    store.flush_consume_queues()
    store.write_checkpoint()
    root = kit.crashed_copy("killed")
    (root / "coverage").unlink()
    flip(kit.log_file(root), stored[index].physical_offset + 58)
    copy = kit.open(root)
    assert sum(len(bodies) for bodies in readable(kit, copy).values()) == 10
    assert copy.wrote_offset == store.wrote_offset


def test_the_body_of_a_damaged_message_is_not_taken_for_messages(kit: Any) -> None:
    store = kit.open()
    fill(kit, store, 4, "before")
    begin = store.wrote_offset
    kit.now += 5
    inner = kit.open(kit.folder / "forge")
    kit.put(inner, "Stolen", 0, b"forged")
    forged = bytearray(inner.read_record(0))
    inner.close()
    forged[28:36] = (begin + 88 + 10).to_bytes(8, "big")
    forged[56:64] = kit.now.to_bytes(8, "big")
    outer = kit.put(store, "T", 0, bytes(10) + forged + bytes(10))
    assert outer.physical_offset == begin
    fill(kit, store, 4, "after")
    root = kit.crashed_copy("killed")
    flip(kit.log_file(root), begin)
    copy = kit.open(root)
    assert ("Stolen", 0) not in copy.queues()
    (extent,) = copy.damage.extents
    assert (extent.begin, extent.end) == (begin, outer.end_offset)
    assert [part[:2] for part in extent.queues] == [("T", 0)]
    assert HOST  # the records are those of a broker


def test_damage_at_the_end_of_a_queue_keeps_its_queue_offsets(kit: Any) -> None:
    store = kit.open()
    fill(kit, store, 10, "before")
    last = [kit.put(store, "T", 0, b"last %d" % index) for index in range(3)]
    for _ in range(4):
        kit.put(store, "Other", 0, b"other")
    root = kit.crashed_copy("killed")
    for each in last:
        flip(kit.log_file(root), each.physical_offset + 90)
    copy = kit.open(root)
    assert copy.max_offset("T", 0) == 8
    assert kit.put(copy, "T", 0, b"next").queue_offset == 8
    assert kit.bodies(copy, "T", 0)[-1] == b"next"
    (extent,) = copy.damage.extents
    assert [tuple(part) for part in extent.queues] == [("T", 0, 5, 8)]
    copy.close()
    again = kit.open(root)
    assert again.max_offset("T", 0) == 9
    assert [body_of(each) for each in again.get("T", 0, 8, 1).buffers] == [b"next"]


@pytest.mark.parametrize("clean", [True, False])
def test_a_stretch_that_is_whole_again_is_served_again(kit: Any, clean: bool) -> None:
    store = kit.open()
    old = fill(kit, store, 60, "old")
    root = kit.crashed_copy("killed")
    flip(kit.log_file(root), old[20].physical_offset + 100)
    copy = kit.open(root)
    assert len(copy.damage.extents) == 1
    kit.put(copy, "T", 0, b"later")
    if clean:
        copy.close()
    repaired = kit.folder / "repaired"
    shutil.copytree(root, repaired)
    flip(kit.log_file(repaired), old[20].physical_offset + 100)
    whole = kit.open(repaired)
    assert not whole.damage.extents
    assert not (repaired / "damaged" / "extents.json").exists()
    expected = {queue_id: [each.body for each in old if each.queue_id == queue_id] for queue_id in (0, 1)}
    expected[0].append(b"later")
    assert readable(kit, whole) == expected


def test_a_whole_file_of_zeros_in_the_middle_is_stepped_over(kit: Any) -> None:
    store = kit.open()
    old = fill(kit, store, 500, "old")
    size = kit.log_file_size
    assert store.wrote_offset > 2 * size
    root = kit.crashed_copy("killed")
    kit.log_file(root, size).write_bytes(bytes(size))
    copy = kit.open(root)
    kept = [each for each in old if not size <= each.physical_offset < 2 * size]
    for each in kept:
        (record,) = copy.get("T", each.queue_id, each.queue_offset, 1).buffers
        assert body_of(record) == each.body
    (extent,) = copy.damage.extents
    assert extent[:2] == (size, 2 * size)
    assert extent.message_count == len(old) - len(kept)
