import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rmqnode.protocol.java_text import string_hash
from rmqnode.store import DELAY_LEVELS_MS, PutStatus, StoreFileMismatch, UnsupportedRecord
from rmqnode.store.record import scan_record


def filled(kit: Any, count: int = 300, queues: int = 3) -> Any:
    """An open store whose messages fill more than one log file and several queue files."""
    store = kit.open()
    for index in range(count):
        kit.now += 1
        kit.put(
            store, "T", index % queues, b"%d." % index * 60, tags_code=string_hash("TagA"), properties=b"TAGS\1TagA\2"
        )
    return store


def queue_files(root: Path) -> dict[str, bytes]:
    folder = root / "consumequeue"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def all_bodies(kit: Any, store: Any) -> dict[Any, list[bytes]]:
    return {key: kit.bodies(store, *key, queue.min_queue_offset) for key, queue in store.queues().items()}


def test_a_clean_store_opens_without_walking_the_log(kit: Any) -> None:
    store = filled(kit)
    assert (kit.root / "abort").exists()
    before, end = all_bodies(kit, store), store.wrote_offset
    store.close()
    assert not (kit.root / "abort").exists()
    store = kit.make()
    report = store.open()
    assert (report.was_clean, report.records_scanned, report.bytes_cut, report.queues_rebuilt) == (True, 0, 0, 0)
    assert (store.wrote_offset, store.flushed_offset, report.end_offset) == (end, end, end)
    assert all_bodies(kit, store) == before
    assert str(report).startswith(f"store opened after a clean stop: log ends at {end}, nothing to recover (0.")


def test_an_opening_says_in_one_line_what_it_did(kit: Any) -> None:
    store = filled(kit)
    end = store.wrote_offset
    root = kit.crashed_copy("killed")
    with kit.log_file(root, end - end % kit.log_file_size).open("r+b") as file:
        file.seek(end % kit.log_file_size)
        file.write(b"torn")
    assert str(kit.make(root).open()).startswith(
        f"store recovered after a crash: log ends at {end}, 300 records checked from 0, "
        f"4 bytes behind the last whole record cut, 3 queues completed, keys of the last {end} bytes to be indexed ("
    )
    root = kit.crashed_copy("emptied")
    shutil.rmtree(root / "commitlog")
    assert str(kit.make(root).open(accept_loss=True)).startswith("empty store opened (")
    store.close()
    shutil.rmtree(kit.root / "consumequeue" / "T" / "1")
    with kit.log_file(kit.root).open("r+b") as file:
        file.seek(100)
        file.write(b"?")
    line = str(kit.make().open())
    assert line.startswith(f"store opened after a clean stop: log ends at {end}, 299 records checked from 0, ")
    assert "damaged bytes passed over, 1 queue completed (" in line


def test_an_empty_store_can_be_closed_and_opened(kit: Any) -> None:
    store = kit.make()
    assert str(store.open()).startswith("empty store opened (")
    store.close()
    store = kit.open()
    assert kit.put(store, "T", 0, b"x").physical_offset == 0


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_nothing_is_lost_by_kill_9(kit: Any, with_checkpoint: bool) -> None:
    store = filled(kit)
    if with_checkpoint:
        store.flush_consume_queues()
        store.write_checkpoint()
    for index in range(40):
        kit.put(store, "U", index % 2, b"late")
    copy = kit.make(kit.crashed_copy("killed"))
    report = copy.open()
    assert not report.was_clean
    assert report.records_scanned == (40 if with_checkpoint else 340)
    assert report.bytes_cut == 0
    assert (copy.wrote_offset, all_bodies(kit, copy)) == (store.wrote_offset, all_bodies(kit, store))
    assert queue_files(kit.folder / "killed") == queue_files(kit.root)
    assert kit.put(copy, "U", 0, b"next").queue_offset == 20


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_a_record_torn_at_any_byte_is_cut_and_zeroed(kit: Any, with_checkpoint: bool) -> None:
    store = kit.open()
    for index in range(5):
        kit.put(store, "T", 0, b"body %d" % index)
    if with_checkpoint:
        store.flush_consume_queues()
        store.write_checkpoint()
    last = kit.put(store, "T", 0, b"torn", properties=b"a\1b\2")
    original = kit.log_file(kit.root).read_bytes()
    for kept in range(last.end_offset - last.physical_offset):
        root = kit.crashed_copy(f"torn-{kept}")
        torn = original[: last.physical_offset + kept].ljust(kit.log_file_size, b"\0")
        kit.log_file(root).write_bytes(torn)
        copy = kit.make(root)
        report = copy.open()
        assert (copy.wrote_offset, copy.max_offset("T", 0)) == (last.physical_offset, 5)
        assert report.bytes_cut == len(torn[last.physical_offset :].rstrip(b"\0"))
        assert not any(kit.log_file(root).read_bytes()[last.physical_offset :])
        again = kit.put(copy, "T", 0, b"again")
        assert (again.physical_offset, again.queue_offset) == (last.physical_offset, 5)
        assert kit.bodies(copy, "T", 0)[4:] == [b"body 4", b"again"]
        copy.close()
        shutil.rmtree(root)


def test_garbage_behind_the_tail_never_becomes_a_message(kit: Any) -> None:
    store = filled(kit, 20)
    end, bodies = store.wrote_offset, all_bodies(kit, store)
    record = bytes(store.read_record(0))
    for name, garbage in {
        "copied record": record,
        "behind a gap": bytes(300) + record,
        "noise": bytes(range(256)) * 20,
        "magic only": record[:8],
        "huge size": b"\x7f\xff\xff\xff" + record[4:],
    }.items():
        root = kit.crashed_copy(name)
        content = bytearray(kit.log_file(root).read_bytes())
        content[end : end + len(garbage)] = garbage
        kit.log_file(root).write_bytes(content)
        copy = kit.make(root)
        assert copy.open().bytes_cut == len(garbage)
        assert (copy.wrote_offset, all_bodies(kit, copy)) == (end, bodies)
        assert not any(kit.log_file(root).read_bytes()[end:])


def test_files_behind_the_end_are_deleted(kit: Any) -> None:
    store = filled(kit, 20)
    root = kit.crashed_copy("extra")
    extra = kit.log_file(root, kit.log_file_size)
    extra.write_bytes(bytes(kit.log_file_size))
    copy = kit.make(root)
    assert copy.open().bytes_cut == 0
    assert not extra.exists()
    assert copy.wrote_offset == store.wrote_offset
    copy.close()
    extra.write_bytes(bytes(kit.log_file_size))
    assert kit.make(root).open().was_clean
    assert not extra.exists()


def test_a_log_that_ends_in_a_blank_goes_on_where_the_next_file_was_not_made(kit: Any) -> None:
    store = filled(kit, 220)
    assert store.wrote_offset > kit.log_file_size
    root = kit.crashed_copy("no-next")
    kit.log_file(root, kit.log_file_size).unlink()
    shutil.rmtree(root / "consumequeue")
    copy = kit.make(root)
    report = copy.open()
    assert kit.log_file_size - 400 < report.end_offset < kit.log_file_size
    assert kit.put(copy, "T", 0, bytes(1000)).physical_offset == kit.log_file_size
    assert len(kit.bodies(copy, "T", 0)) == copy.max_offset("T", 0)


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("lost", ["", "T", "T/1", f"T/1/{50 * 20:020d}"])
def test_a_lost_consume_queue_is_rebuilt_byte_for_byte(kit: Any, lost: str, crashed: bool) -> None:
    store = filled(kit)
    store.flush_consume_queues()
    store.write_checkpoint()
    kit.put(store, "T", 0, b"after the checkpoint")
    expected = queue_files(kit.root)
    if not crashed:
        store.close()
    root = kit.crashed_copy("lost")
    path = root / "consumequeue" / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    copy = kit.make(root)
    report = copy.open()
    assert report.was_clean is not crashed
    assert report.queues_rebuilt >= 1
    copy.close()
    rebuilt = queue_files(root)
    # The last record was put without the tag that its properties name.
    assert rebuilt.keys() == expected.keys()
    assert rebuilt == expected


def test_a_lost_checkpoint_and_lost_queues_are_rebuilt(kit: Any) -> None:
    filled(kit).close()
    expected = queue_files(kit.root)
    shutil.rmtree(kit.root / "consumequeue")
    (kit.root / "checkpoint").unlink()
    (kit.root / "coverage").unlink()
    store = kit.open()
    store.close()
    assert queue_files(kit.root) == expected


def test_units_lost_between_others_in_a_power_failure_are_written_again(kit: Any) -> None:
    store = filled(kit, 60)
    store.flush_consume_queues()
    store.write_checkpoint()
    for index in range(60):
        kit.put(store, "T", index % 3, b"later")
    expected = queue_files(kit.root)
    root = kit.crashed_copy("holes")
    path = root / "consumequeue" / "T" / "1" / f"{0:020d}"
    content = bytearray(path.read_bytes())
    for unit in (20, 23, 24, 30):
        content[unit * 20 : unit * 20 + 20] = bytes(20)
    path.write_bytes(content)
    copy = kit.make(root)
    copy.open()
    copy.close()
    assert queue_files(root) == expected


@pytest.mark.parametrize("crashed", [False, True])
def test_a_queue_is_never_ahead_of_the_log(kit: Any, crashed: bool) -> None:
    store = filled(kit, 30)
    end = store.wrote_offset
    store.close()
    path = kit.root / "consumequeue" / "T" / "0" / f"{0:020d}"
    content = bytearray(path.read_bytes())
    content[200:220] = end.to_bytes(8, "big") + (200).to_bytes(4, "big") + bytes(8)
    path.write_bytes(content)
    (kit.root / "coverage").unlink()
    if crashed:
        (kit.root / "abort").touch()
    store = kit.open()
    assert (store.wrote_offset, store.max_offset("T", 0)) == (end, 10)
    store.close()
    assert not any(path.read_bytes()[200:])


def test_what_another_engine_stored_since_is_dispatched(kit: Any) -> None:
    """As after a Java broker: it knows nothing of our coverage file and may have deleted a topic."""
    store = filled(kit, 30)
    store.close()
    coverage = (kit.root / "coverage").read_bytes()
    store = kit.open()
    store.delete_topic("T")
    kit.put(store, "U", 0, b"by the other one")
    end = store.wrote_offset
    store.close()
    (kit.root / "coverage").write_bytes(coverage)
    os.utime(kit.root / "checkpoint", ns=(1, 1))
    store = kit.make()
    report = store.open()
    assert (report.end_offset, report.records_scanned, report.queues_rebuilt) == (end, 31, 0)
    assert list(store.queues()) == [("U", 0)]


@pytest.mark.parametrize("lost_units", [1, 60, 99])
@pytest.mark.parametrize("looks_back", [1000, 1 << 20])
def test_units_that_a_queue_lost_after_another_engines_clean_stop_are_written_again(
    kit: Any, monkeypatch: pytest.MonkeyPatch, lost_units: int, looks_back: int
) -> None:
    monkeypatch.setattr("rmqnode.store.recovery.LOOK_BACK_BYTES", looks_back)
    store = filled(kit)
    kit.put(store, "Deleted", 0, b"x")
    kit.put(store, "T", 0, b"last")
    store.delete_topic("Deleted")
    store.close()
    (kit.root / "coverage").unlink()
    expected = queue_files(kit.root)
    for file, content in expected.items():
        if file.startswith("T/1/"):
            first = int(file.rpartition("/")[2]) // 20
            kept = max(0, 100 - lost_units - first) * 20
            (kit.root / "consumequeue" / file).write_bytes(content[:kept].ljust(len(content), b"\0"))
    store = kit.make()
    report = store.open()
    assert (report.was_clean, report.queues_rebuilt) == (True, 1)
    assert sorted(store.queues()) == [("T", 0), ("T", 1), ("T", 2)]
    store.close()
    assert queue_files(kit.root) == expected


def test_damage_in_the_middle_costs_only_the_damaged_message(kit: Any) -> None:
    store = filled(kit, 300)
    damaged = store.unit("T", 0, 10)
    bodies, end = all_bodies(kit, store), store.wrote_offset
    store.close()
    with kit.log_file(kit.root).open("r+b") as file:
        file.seek(damaged[0] + 100)
        file.write(b"?")
    shutil.rmtree(kit.root / "consumequeue" / "T" / "1")
    store = kit.make()
    report = store.open()
    assert (report.start_offset, report.bytes_damaged, report.records_scanned) == (0, damaged[1], 299)
    assert "damaged bytes passed over" in str(report)
    assert store.wrote_offset == end
    found = all_bodies(kit, store)
    del bodies["T", 0][10]
    assert found == bodies
    assert (store.max_offset("T", 0), kit.bodies(store, "T", 0, 11)) == (100, bodies["T", 0][10:])


def test_damage_up_to_the_known_end_leaves_the_end_where_it_was(kit: Any) -> None:
    store = filled(kit, 30)
    last, end = store.unit("T", 2, 9), store.wrote_offset
    store.close()
    with kit.log_file(kit.root).open("r+b") as file:
        file.seek(last[0] + 84)
        file.write(b"\xff" * 100)
    shutil.rmtree(kit.root / "consumequeue" / "T" / "1")
    store = kit.open()
    assert store.wrote_offset == end
    assert store.max_offset("T", 1) == 10


def test_a_deleted_topic_begins_again_at_0_and_stays_deleted(kit: Any) -> None:
    store = filled(kit, 90)
    kit.put(store, "U", 0, b"other")
    kit.put(store, "SCHEDULE_TOPIC_XXXX", 2, b"delayed")
    kit.put(store, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 0, b"op")
    (slice_of_old,) = store.get("T", 0, 0, 1).buffers
    assert store.delete_topic("T") == 3
    assert store.delete_topic("unknown") == 0
    assert store.delete_topic("SCHEDULE_TOPIC_XXXX") == 0
    assert store.delete_topic("RMQ_SYS_TRANS_OP_HALF_TOPIC") == 0
    assert not (kit.root / "consumequeue" / "T").exists()
    assert store.max_offset("T", 0) == 0
    assert bytes(slice_of_old[88:90]) == b"0."
    crashed = kit.open(kit.crashed_copy("after-delete"))
    assert sorted(crashed.queues()) == [("RMQ_SYS_TRANS_OP_HALF_TOPIC", 0), ("SCHEDULE_TOPIC_XXXX", 2), ("U", 0)]
    assert kit.put(store, "T", 0, b"new").queue_offset == 0
    assert kit.bodies(kit.open(kit.crashed_copy("after-new")), "T", 0) == [b"new"]
    store.close()
    shutil.rmtree(kit.root / "consumequeue")
    assert kit.bodies(kit.open(), "T", 0) == [b"new"]


def test_a_queue_whose_begin_is_gone_is_rebuilt_behind_filler_units(kit: Any) -> None:
    store = filled(kit, 500, queues=1)
    first = next(n for n in range(500) if store.unit("T", 0, n)[0] >= kit.log_file_size)
    expected = kit.bodies(store, "T", 0, first)
    store.close()
    kit.log_file(kit.root).unlink()
    shutil.rmtree(kit.root / "consumequeue")
    store = kit.open()
    assert (store.min_offset("T", 0), store.max_offset("T", 0)) == (first, 500)
    assert kit.bodies(store, "T", 0, first) == expected
    base = first // 50 * 50
    content = (kit.root / "consumequeue" / "T" / "0" / f"{base * 20:020d}").read_bytes()
    filler = bytes(8) + bytes.fromhex("7fffffff") + bytes(8)
    assert content[: (first - base) * 20] == filler * (first - base)
    store.close()
    store = kit.open()
    assert (store.min_offset("T", 0), store.max_offset("T", 0)) == (first, 500)
    assert store.earliest_store_time("T", 0) == store.store_time("T", 0, first) > 0
    assert store.offset_by_time("T", 0, 0) == first


@pytest.mark.parametrize("crashed", [False, True])
def test_a_queue_begins_at_the_first_message_that_the_log_still_has(kit: Any, crashed: bool) -> None:
    store = filled(kit, 500, queues=1)
    first = next(n for n in range(500) if store.unit("T", 0, n)[0] >= kit.log_file_size)
    if not crashed:
        store.close()
    root = kit.crashed_copy("expired")
    kit.log_file(root).unlink()
    store = kit.open(root)
    assert (store.min_offset("T", 0), store.max_offset("T", 0)) == (first, 500)
    assert store.get("T", 0, 0, 1).next_queue_offset == first


def test_a_rebuilt_unit_of_a_delayed_message_holds_its_delivery_time(kit: Any) -> None:
    store = kit.open()
    for queue_id, level in ((2, b"3"), (17, b"99")):
        kit.put(store, "SCHEDULE_TOPIC_XXXX", queue_id, b"x", properties=b"DELAY\1" + level + b"\2TAGS\1a\2")
    store.close()
    shutil.rmtree(kit.root / "consumequeue")
    store = kit.open()
    assert store.unit("SCHEDULE_TOPIC_XXXX", 2, 0)[2] == kit.now + 10_000
    assert store.unit("SCHEDULE_TOPIC_XXXX", 17, 0)[2] == kit.now + DELAY_LEVELS_MS[-1]


@pytest.mark.parametrize("folder", ["commitlog", "consumequeue/T/0"])
@pytest.mark.parametrize("fault", ["foreign", "short", "folder", "gap"])
def test_a_folder_that_apache_would_refuse_is_refused_unchanged(kit: Any, folder: str, fault: str) -> None:
    filled(kit, 600, queues=1).close()
    place = kit.root / folder
    files = sorted(place.iterdir())
    if fault == "foreign":
        (place / "notes~").touch()
    elif fault == "short":
        os.truncate(files[0], 100)
    elif fault == "folder":
        (place / "00000000000000999999").mkdir()
    else:
        files[1].unlink()
    store = kit.make()
    with pytest.raises(StoreFileMismatch) as caught:
        store.open()
    assert str(place) in str(caught.value)
    assert not (kit.root / "abort").exists()


def test_a_file_that_was_just_being_created_is_dropped(kit: Any) -> None:
    filled(kit, 30).close()
    empty = kit.log_file(kit.root, kit.log_file_size)
    empty.touch()
    store = kit.open()
    assert not empty.exists()
    assert kit.put(store, "T", 0, b"x").queue_offset == 10


@pytest.mark.parametrize("form", ["version 2", "IPv6"])
def test_a_later_versions_record_is_refused_and_not_cut(kit: Any, form: str) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"old")
    later = kit.put(store, "T", 0, b"later")
    root = kit.crashed_copy("later")
    record = bytearray(store.read_record(later.physical_offset))
    if form == "version 2":
        record[4:8] = bytes.fromhex("daa320ab")
        record[88 + 5 : 88 + 5] = b"\0"  # its topic has a length of two bytes
    else:
        record[36:40] = bytes.fromhex("00000010")
        record[56:56] = bytes(12)  # its producer's address is 12 bytes longer
    record[:4] = len(record).to_bytes(4, "big")
    with kit.log_file(root).open("r+b") as file:
        file.seek(later.physical_offset)
        file.write(record)
    before = kit.log_file(root).read_bytes()
    with pytest.raises(UnsupportedRecord):
        kit.make(root).open()
    assert kit.log_file(root).read_bytes() == before


def test_random_bytes_never_scan_as_a_record_nor_raise(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"body", properties=b"a\1b\2")
    record = bytes(store.read_record(0))
    for position in range(len(record)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            changed = bytearray(record)
            changed[position] = value
            try:
                found = scan_record(memoryview(changed), 0, 0, check_crc=True)
            except UnsupportedRecord:
                assert position in (7, 39)
                continue
            if found is not None:
                assert found.size == len(record)
                assert not (88 <= position < 92) or changed == record


def test_the_checkpoint_is_apaches_and_keeps_what_is_not_ours(kit: Any) -> None:
    kit.root.mkdir()
    (kit.root / "checkpoint").write_bytes(bytes(16) + (77).to_bytes(8, "big") + b"\5" * 4072)
    store = filled(kit, 10)
    store.close()
    content = (kit.root / "checkpoint").read_bytes()
    stamp = kit.now.to_bytes(8, "big")
    assert content == stamp + stamp + (77).to_bytes(8, "big") + b"\5" * 4072


def test_crash_recovery_without_our_coverage_begins_at_the_file_before_the_checkpoint(kit: Any) -> None:
    store = kit.open()
    starts: list[int] = []
    while len(starts) < 4:
        kit.now += 10_000
        result = kit.put(store, "T", 0, bytes(20_000))
        if result.physical_offset % kit.log_file_size == 0:
            starts.append(result.physical_offset)
    kit.build_index(store)
    store.flush_consume_queues()
    store.write_checkpoint()
    root = kit.crashed_copy("no-coverage")
    (root / "coverage").unlink()
    copy = kit.make(root)
    assert copy.open().start_offset == starts[2]  # the newest file is within the margin of 3 s
    assert all_bodies(kit, copy) == all_bodies(kit, store)


def test_flushing_in_another_thread_keeps_up_with_puts(kit: Any) -> None:
    store = kit.open()
    stop = threading.Event()
    failures: list[BaseException] = []

    def flush() -> None:
        try:
            while not stop.is_set():
                reached = store.flush_commit_log()
                assert store.flushed_offset == reached <= store.wrote_offset
                store.flush_consume_queues()
                store.write_checkpoint()
        except BaseException as error:
            failures.append(error)

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        for index in range(3000):
            assert kit.put(store, f"T{index % 40}", 0, bytes(300)).status is PutStatus.OK
            if index % 500 == 499:
                store.delete_topic("T7")
    finally:
        stop.set()
        flusher.join()
    assert not failures
    bodies = all_bodies(kit, store)
    report = (copy := kit.make(kit.crashed_copy("flushed"))).open()
    assert report.start_offset > 0
    assert all_bodies(kit, copy) == bodies
    assert store.has_unflushed is (store.flushed_offset < store.wrote_offset)
    assert store.flush_commit_log() == store.wrote_offset
    assert not store.has_unflushed


def test_a_disk_that_fails_at_the_stop_leaves_abort_and_frees_the_lock(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(kit, 10)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("rmqnode.store.mapped_file.sync_data", broken)
        with pytest.raises(OSError, match="Input/output"):
            store.close()
    assert (kit.root / "abort").exists()
    assert not kit.make().open().was_clean


def test_a_clean_store_of_1_gib_opens_in_half_a_second(kit: Any) -> None:
    sizes = {"mapped_file_size_commit_log": 1 << 30, "mapped_file_size_consume_queue": 6_000_000}
    store = kit.open(**sizes)
    for queue_id in range(8):
        kit.put_batch(store, "T", queue_id, [bytes(20)] * 200)
    store.close()
    store = kit.make(**sizes)
    began = time.monotonic()
    store.open()
    assert time.monotonic() - began < 0.5
    # Sparse: far less on the disk than its length.
    assert kit.log_file(kit.root).stat().st_blocks * 512 < 64 << 20


def test_a_closed_store_holds_no_descriptors(kit: Any, descriptors: None) -> None:
    filled(kit, 300).close()
    store = kit.open()
    kit.bodies(store, "T", 0)
    store.close()


def test_a_flush_without_news_touches_no_file(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(kit, 30)
    store.flush_commit_log()
    store.flush_consume_queues()
    synced: list[int] = []
    monkeypatch.setattr("rmqnode.store.mapped_file.sync_data", synced.append)
    store.flush_commit_log()
    store.flush_consume_queues()
    assert synced == []
    kit.put(store, "T", 0, b"news")
    store.flush_commit_log()
    store.flush_consume_queues()
    assert len(synced) == 2


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize(
    "noise", [b"\xff" * 20, bytes(20), b"\0\x7f" + bytes(9) + b"\1" + bytes(8), bytes(range(1, 41)), b"\x7f" * 60]
)
@pytest.mark.parametrize(("first", "at"), [(50, 200), (0, 0)])
def test_a_corrupt_consume_queue_is_noticed_and_built_again(
    kit: Any, first: int, at: int, noise: bytes, foreign: bool, crashed: bool
) -> None:
    store = filled(kit)
    store.flush_consume_queues()
    store.write_checkpoint()
    expected = queue_files(kit.root)
    bodies = all_bodies(kit, store)
    if not crashed:
        store.close()
    root = kit.crashed_copy("corrupt")
    if foreign:
        (root / "coverage").unlink()
    path = root / "consumequeue" / "T" / "1" / f"{first * 20:020d}"
    content = bytearray(path.read_bytes())
    content[at : at + len(noise)] = noise
    path.write_bytes(content)
    copy = kit.make(root)
    report = copy.open()
    assert report.queues_rebuilt >= 1
    assert all_bodies(kit, copy) == bodies
    copy.close()
    assert queue_files(root) == expected


def test_a_queue_that_is_corrupt_where_its_messages_have_expired_keeps_its_queue_offsets(kit: Any) -> None:
    store = filled(kit, 600, queues=1)
    store.flush_commit_log()
    expired = store.cleaner._log.take_oldest_file(None)
    expired.unlink()
    store.close()
    path = kit.root / "consumequeue" / "T" / "0" / f"{0:020d}"
    content = bytearray(path.read_bytes())
    content[200:220] = b"\xff" * 20
    path.write_bytes(content)
    first = next(n for n in range(600) if store.unit("T", 0, n)[0] >= kit.log_file_size)
    expected = kit.bodies(store, "T", 0, first)
    store = kit.make()
    assert store.open().queues_rebuilt == 1
    assert (store.min_offset("T", 0), store.max_offset("T", 0)) == (first, 600)
    assert kit.bodies(store, "T", 0, first) == expected
