"""A slave's log grows by raw bytes cut anywhere: equal logs, equal queues, nothing twice, nothing half."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmqnode.store import MessageStore, ReplicaMismatch, tags_code_of
from rmqnode.store.filler import FillerBudget


def arrived(*_: Any) -> None:
    """Nobody waits."""


def stream(master: MessageStore, start: int, sizes: Iterator[int]) -> Iterator[tuple[int, memoryview]]:
    """The master's log from an offset on in pieces of these sizes, none across the end of a file."""
    while (piece := master.log_bytes(start, next(sizes))) is not None:
        yield start, piece
        start += len(piece)


def fill(kit: Any, master: MessageStore, count: int, *, size: int = 900) -> None:
    for number in range(count):
        kit.put(master, f"t{number % 3}", number % 2, bytes([number % 251]) * (size + number % 97))


def copy(master: MessageStore, slave: MessageStore, size: int = 32_768) -> None:
    for offset, piece in stream(master, slave.wrote_offset or master.log_min_offset, iter(lambda: size, 0)):
        slave.append_replicated(offset, piece, arrived)


def queues(store: MessageStore) -> dict[Any, list[Any]]:
    return {
        key: [queue.unit(offset) for offset in range(queue.min_queue_offset, queue.max_queue_offset)]
        for key, queue in store.queues().items()
    }


def log_files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "commitlog").iterdir())}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pieces_cut_anywhere_give_equal_logs_and_queues(kit: Any, tmp_path_factory: Any, data: st.DataObject) -> None:
    roots = [tmp_path_factory.mktemp("replica") / name for name in ("master", "slave")]
    master, slave = (kit.open(root) for root in roots)
    bodies = data.draw(st.lists(st.integers(0, 20_000), min_size=1, max_size=30))
    for number, size in enumerate(bodies):
        kit.put(master, f"t{number % 2}", number % 3, b"x" * size, properties=b"TAGS\x01a\x02", tags_code=97)
    drawn = data.draw(st.lists(st.integers(1, 40_000), min_size=1, max_size=20))
    sizes = iter(lambda: drawn[len(slave_ends) % len(drawn)], 0)
    slave_ends: list[int] = []
    for offset, piece in stream(master, 0, sizes):
        slave.append_replicated(offset, piece, arrived)
        slave_ends.append(slave.wrote_offset)
        assert slave.dispatched_offset <= slave.wrote_offset
    assert slave.dispatched_offset == slave.wrote_offset == master.wrote_offset
    assert queues(slave) == queues(master)
    assert log_files(roots[1]) == log_files(roots[0])
    for store in (master, slave):
        store.close()


def test_a_message_is_readable_once_its_last_byte_is_there(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    properties = b"TAGS\x01TagA\x02"
    result = kit.put(master, "t", 2, b"hello", properties=properties, tags_code=tags_code_of("t", properties, 0, ()))
    record = master.log_bytes(0, 1 << 20)
    told: list[Any] = []
    for position in range(len(record)):
        assert slave.max_offset("t", 2) == 0
        slave.append_replicated(position, record[position : position + 1], lambda *what: told.append(what))
    assert slave.wrote_offset == result.end_offset
    assert kit.bodies(slave, "t", 2) == [b"hello"]
    assert told == [("t", 2, 1, 2598919, properties)]


@pytest.mark.parametrize("piece_size", [100, 5_000, 60_000])
def test_records_of_every_kind_get_the_units_that_they_have_on_the_master(kit: Any, piece_size: int) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    for number in range(120):
        kit.put(master, "plain", number % 3, b"x" * number)
        kit.put(master, "tagged", 0, b"", tags_code=97, properties=b"TAGS\x01a\x02")
        kit.put(master, "half", 0, b"prepared", sys_flag=4)
        kit.put(master, "half", 0, b"committed", sys_flag=8)
        kit.put(master, "half", 0, b"rolled back", sys_flag=12)
        kit.put(master, "SCHEDULE_TOPIC_XXXX", 1, b"later", properties=b"DELAY\x012\x02", delay_ms=5_000)
        kit.put(master, "größer", 0, b"name of more bytes than letters", properties=b"a\x01b\x02" * (number * 3))
        kit.now += 1
    told: list[Any] = []
    for offset, piece in stream(master, 0, iter(lambda: piece_size, 0)):
        slave.append_replicated(offset, piece, lambda *what: told.append(what))
    assert queues(slave) == queues(master)
    assert slave.dispatched_offset == master.wrote_offset
    assert slave.last_store_timestamp == master.last_store_timestamp
    assert len(told) == sum(len(units) for units in queues(master).values())
    assert {(topic, queue_id): end for topic, queue_id, end, *_ in told} == {
        key: queue.max_queue_offset for key, queue in master.queues().items()
    }


def test_zeros_at_the_end_of_properties_do_not_hold_a_message_back(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    kit.put(master, "t", 0, b"hello", properties=b"a\x01b\0")
    copy(master, slave)
    assert kit.bodies(slave, "t", 0) == [b"hello"]


@pytest.mark.parametrize("is_clean", [True, False])
def test_a_log_that_ends_inside_a_record_goes_on_after_a_restart(kit: Any, is_clean: bool) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open()
    fill(kit, master, 200)
    whole = 0
    for offset, piece in stream(master, 0, iter(lambda: 7_777, 0)):
        if offset > 120_000:
            break
        slave.append_replicated(offset, piece, arrived)
        whole = slave.dispatched_offset
    slave.flush_commit_log()
    slave.flush_consume_queues()
    slave.write_checkpoint()
    assert whole < slave.wrote_offset, "the cut was meant to be inside a record"
    if is_clean:
        slave.close()
        root = kit.root
    else:
        root = kit.crashed_copy("crashed")
    again = kit.make(root)
    report = again.open()
    assert report.start_offset == whole, "the checkpoint ends at the last whole record"
    assert again.wrote_offset == whole
    copy(master, again)
    assert again.wrote_offset == master.wrote_offset
    assert queues(again) == queues(master)
    master.close()
    again.close()
    assert log_files(root) == log_files(kit.folder / "master")


def test_an_empty_log_begins_at_the_start_of_any_file(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    fill(kit, master, 200)
    start = 2 * kit.log_file_size
    for offset, piece in stream(master, start, iter(lambda: 32_768, 0)):
        slave.append_replicated(offset, piece, arrived)
    assert (slave.log_min_offset, slave.wrote_offset) == (start, master.wrote_offset)
    first = slave.min_offset("t0", 0)
    assert 0 < first < slave.max_offset("t0", 0) == master.max_offset("t0", 0)
    assert kit.bodies(slave, "t0", 0, first) == kit.bodies(master, "t0", 0, first)


def test_the_index_waits_for_the_rest_of_a_record(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    for number in range(100):
        kit.put(master, "t", 0, b"x" * 900, properties=b"KEYS\x01k%d\x02" % number)
    for offset, piece in stream(master, 0, iter(lambda: 777, 0)):
        slave.append_replicated(offset, piece, arrived)
        slave.index.build(1000)
        assert not slave.index.is_behind
    master.index.build(1000)
    assert slave.index.offset == master.index.offset == master.wrote_offset
    for number in range(100):
        found = [store.index.query("t", f"k{number}", 10, 0, 1 << 62)[0] for store in (master, slave)]
        assert found[0] == found[1] != []


def test_a_topic_that_was_created_anew_begins_at_zero_on_the_slave_too(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    for body in (b"1", b"2", b"3"):
        kit.put(master, "t", 0, body)
    copy(master, slave)
    master.delete_topic("t")
    kit.put(master, "t", 0, b"anew")
    copy(master, slave)
    assert kit.bodies(slave, "t", 0) == kit.bodies(master, "t", 0) == [b"anew"]


def test_bytes_from_elsewhere_are_refused_and_change_nothing(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    fill(kit, master, 3)
    with pytest.raises(ReplicaMismatch, match="no multiple of our 65536 bytes"):
        slave.append_replicated(100, b"x", arrived)
    copy(master, slave)
    end = slave.wrote_offset
    with pytest.raises(ReplicaMismatch, match=f"sent offset 7, the log ends at {end}"):
        slave.append_replicated(7, b"x", arrived)
    with pytest.raises(ReplicaMismatch, match="files are longer than our 65536 bytes"):
        slave.append_replicated(end, bytes(kit.log_file_size), arrived)
    assert slave.wrote_offset == end
    assert queues(slave) == queues(master)


def test_a_master_with_shorter_files_is_noticed_at_its_first_end_of_file(kit: Any) -> None:
    master = kit.open(kit.folder / "master", mapped_file_size_commit_log=40 * 1024)
    slave = kit.open(kit.folder / "slave")
    fill(kit, master, 100)
    with pytest.raises(ReplicaMismatch, match="its file ends after 40960 bytes, ours has 65536"):
        copy(master, slave)


def test_a_master_with_longer_files_is_noticed_even_if_its_blocks_fit(kit: Any) -> None:
    master = kit.open(kit.folder / "master", mapped_file_size_commit_log=256 * 1024)
    slave = kit.open(kit.folder / "slave")
    fill(kit, master, 200)
    with pytest.raises(ReplicaMismatch, match="crosses the end of our file of 65536"):
        copy(master, slave, 16 * 1024)


def test_damage_in_the_masters_log_does_not_hide_what_follows(kit: Any, caplog: pytest.LogCaptureFixture) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open(kit.folder / "slave")
    results = [kit.put(master, "t", 0, bytes([number]) * 500) for number in range(30)]
    content = bytearray(master.log_bytes(0, 1 << 20))
    content[results[9].physical_offset : results[10].physical_offset + 40] = bytes(
        results[10].physical_offset + 40 - results[9].physical_offset
    )
    for begin in range(0, len(content), 333):
        slave.append_replicated(begin, bytes(content[begin : begin + 333]), arrived)
    assert kit.bodies(slave, "t", 0) == [bytes([number]) * 500 for number in range(30) if number not in (9, 10)]
    assert len([record for record in caplog.records if "damaged bytes" in record.message]) == 1


def test_raw_bytes_of_the_log_end_at_the_end_of_a_file(kit: Any) -> None:
    master = kit.open()
    fill(kit, master, 100)
    size = kit.log_file_size
    assert len(master.log_bytes(size - 5, 32_768)) == 5
    assert len(master.log_bytes(0, 1000)) == 1000
    assert master.log_bytes(master.wrote_offset, 1) is None
    assert master.log_bytes(-5, 1) is None


# --- what no master writes -------------------------------------------------------------------------------------------


def record_of(kit: Any, **fields: Any) -> bytes:
    """One record as a master would store it at physical offset 0, with other fields."""
    name = f"made{len(kit.opened)}"
    master = kit.open(kit.folder / name)
    kit.put(master, fields.pop("topic", "t"), fields.pop("queue", 0), fields.pop("body", b"x" * 200))
    made = bytearray(master.log_bytes(0, 1 << 20))
    for name, value in fields.items():
        position, size = PLACES[name]
        made[position : position + size] = value.to_bytes(size, "big", signed=value < 0)
    return bytes(made)


PLACES = {
    "size": (0, 4),
    "magic": (4, 4),
    "queue_id": (12, 4),
    "queue_offset": (20, 8),
    "physical_offset": (28, 8),
    "sys_flag": (36, 4),
    "store_timestamp": (56, 8),
}


def append_cut(slave: MessageStore, log: bytes, cut: int) -> None:
    for begin in range(0, len(log), cut):
        slave.append_replicated(slave.wrote_offset, log[begin : begin + cut], arrived)


@pytest.mark.parametrize("cut", [1 << 20, 100, 13])
@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("queue_offset", -1, "queue offset -1"),
        ("queue_offset", 2**62, f"queue offset {2**62}"),
        ("queue_offset", 7, "so many records do not fit between"),
        ("queue_id", -1, "queue id -1"),
        ("queue_id", 65_536, "queue id 65536"),
        ("store_timestamp", -5, "store timestamp -5"),
        ("store_timestamp", 2**62, f"store timestamp {2**62}"),
        ("magic", 0xDAA320AB, "a topic longer than 127 bytes"),
        ("sys_flag", 0x10, "an IPv6 address"),
    ],
)
def test_a_record_that_no_master_writes_is_refused_and_the_next_start_knows_nothing_of_it(
    kit: Any, field: str, value: int, named: str, cut: int
) -> None:
    bad = record_of(kit, **{field: value})
    slave = kit.open()
    for _ in range(2):
        with pytest.raises(ReplicaMismatch, match=named):
            append_cut(slave, bad, cut)
        assert slave.wrote_offset == slave.dispatched_offset == 0
        assert not queues(slave)
        assert not any(log_files(kit.root)[f"{0:020d}"])
    again = kit.open(kit.crashed_copy("crashed"))
    assert not queues(again)
    slave.close()
    reopened = kit.open()
    assert reopened.wrote_offset == 0


def test_what_came_before_a_refused_record_stays_and_the_slave_goes_on_from_there(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open()
    for number in range(20):
        kit.put(master, "t", 0, bytes([number]) * 100)
    log = bytearray(master.log_bytes(0, 1 << 20))
    unit = master.unit("t", 0, 12)
    assert unit is not None
    wrong = bytearray(log)
    wrong[unit[0] + 20 : unit[0] + 28] = (5).to_bytes(8, "big")
    with pytest.raises(ReplicaMismatch, match="queue offset 5 in a queue that has 12 already"):
        slave.append_replicated(0, bytes(wrong), arrived)
    assert slave.wrote_offset == unit[0]
    assert kit.bodies(slave, "t", 0) == [bytes([number]) * 100 for number in range(12)]
    slave.append_replicated(unit[0], bytes(log[unit[0] :]), arrived)
    assert queues(slave) == queues(master)


@pytest.mark.parametrize("field", [("queue_offset", -1), ("queue_id", -7), ("store_timestamp", 2**62)])
def test_a_store_that_holds_such_a_record_all_the_same_opens(kit: Any, field: tuple[str, int]) -> None:
    bad = record_of(kit, **{field[0]: field[1]})
    slave = kit.open()
    slave.append_replicated(0, b"", arrived)
    slave._log.append_raw(bad)  # an older version of this program kept it
    for is_clean in (False, True):
        if is_clean:
            slave.close()
        root = kit.crashed_copy(f"copy{is_clean}")
        again = kit.open(root)
        again.close()
        assert not queues(again)
        kit.open(root).close()


@pytest.mark.parametrize("topic", [b"../../../x", b"a\x1b[2Jb", b"line\nfeed", b"\xff\xfe\xfd"])
def test_a_topic_that_names_no_folder_gets_no_queue_and_stops_nobody(kit: Any, topic: bytes) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open()
    kit.put(master, "x" * len(topic), 0, b"evil")
    kit.put(master, "t", 0, b"good")
    log = bytes(master.log_bytes(0, 1 << 20)).replace(b"x" * len(topic), topic)
    slave.append_replicated(0, log, arrived)
    assert {key: queue.max_queue_offset for key, queue in slave.queues().items()} == {("t", 0): 1}
    assert [path.name for path in (kit.root / "consumequeue").iterdir()] == ["t"]


def far_apart(count: int, begin: int, units_per_file: int) -> bytes:
    """Records of as many queues, each of which begins in the middle of its first file."""
    made = bytearray()
    for number in range(count):
        topic = b"q%06d" % number
        size = 91 + len(topic)
        head = bytearray(88)
        for (position, length), value in (
            ((0, 4), size),
            ((4, 4), 0xDAA320A7),
            ((20, 8), (number % 50 + 1) * units_per_file - 2 - number % 7),
            ((28, 8), begin + len(made)),
            ((56, 8), 1_700_000_000_000),
        ):
            head[position : position + length] = value.to_bytes(length, "big")
        made += head + bytes([len(topic)]) + topic + b"\0\0"
    return bytes(made)


def test_queues_that_begin_far_in_take_no_space_and_no_time(kit: Any) -> None:
    size = 1024 * 1024
    options = {"mapped_file_size_commit_log": size, "mapped_file_size_consume_queue": 6_000_000}
    slave = kit.open(**options)
    begin = 2_000 * size
    log = far_apart(400, begin, 300_000)
    slave.append_replicated(begin, log[: len(log) // 2], arrived)
    slave.append_replicated(slave.wrote_offset, log[len(log) // 2 :], arrived)
    turns = 0
    while slave.has_undispatched:
        slave.dispatch_replicated(arrived)
        turns += 1
    assert turns >= 3, "other work has its turn between"
    assert slave.dispatched_offset == slave.wrote_offset == begin + len(log)
    used = sum(path.stat().st_blocks * 512 for path in (kit.root / "consumequeue").rglob("*") if path.is_file())
    assert used < 100 << 20, "2.4 GB as fillers"
    found = {key: (queue.min_queue_offset, queue.max_queue_offset) for key, queue in slave.queues().items()}
    assert len(found) == 400
    assert all(end == first + 1 for first, end in found.values())
    again = kit.open(kit.crashed_copy("crashed"), **options)
    assert {key: (queue.min_queue_offset, queue.max_queue_offset) for key, queue in again.queues().items()} == found
    assert queues(again) == queues(slave)


def test_a_stop_fills_the_holes_that_another_engine_would_take_for_the_end(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmqnode.store.queue_table.FillerBudget", lambda bytes_max=0: FillerBudget(bytes_max))
    master, slave = kit.open(kit.folder / "master"), kit.open()
    fill(kit, master, 300)
    start = 3 * kit.log_file_size
    for offset, piece in stream(master, start, iter(lambda: 32_768, 0)):
        slave.append_replicated(offset, piece, arrived)
    first = slave.min_offset("t0", 0)
    assert first % 50 > 1
    path = kit.root / "consumequeue" / "t0" / "0" / f"{(first - first % 50) * 20:020d}"
    filler = bytes(8) + bytes.fromhex("7fffffff") + bytes(8)
    blank = path.read_bytes()[: (first % 50) * 20]
    assert blank == bytes(len(blank) - 20) + filler
    units = queues(slave)
    crashed = kit.open(kit.crashed_copy("crashed"))
    assert queues(crashed) == units
    slave.close()
    assert path.read_bytes()[: (first % 50) * 20] == filler * (first % 50)
    assert queues(kit.open()) == units


def test_a_gap_behind_damage_leaves_the_offsets_of_readers_as_the_master_gave_them(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open()
    results = [kit.put(master, "t", 0, bytes([number]) * 500) for number in range(30)]
    content = bytearray(master.log_bytes(0, 1 << 20))
    begin, end = results[9].physical_offset, results[12].physical_offset
    content[begin:end] = b"\xda" * (end - begin)
    slave.append_replicated(0, bytes(content), arrived)
    assert slave.max_offset("t", 0) == 30
    assert [slave.unit("t", 0, number)[:2] for number in range(12, 30)] == [
        master.unit("t", 0, number)[:2] for number in range(12, 30)
    ]
    slave.close()
    assert kit.bodies(kit.open(), "t", 0) == [bytes([number]) * 500 for number in range(30) if not 9 <= number < 12]


def test_damage_at_the_end_of_a_file_does_not_hide_the_next_file(kit: Any, caplog: pytest.LogCaptureFixture) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open()
    fill(kit, master, 150)
    size = kit.log_file_size
    damaged = {size - 1500: b"\x55" * 1500, 2 * size - 3000: bytes(3000)}
    for offset, piece in stream(master, 0, iter(lambda: 5_000, 0)):
        content = bytearray(piece)
        for begin, wrong in damaged.items():
            for position in range(max(begin, offset), min(begin + len(wrong), offset + len(content))):
                content[position - offset] = wrong[position - begin]
        slave.append_replicated(offset, bytes(content), arrived)
    assert slave.dispatched_offset == slave.wrote_offset == master.wrote_offset
    assert {key: queue.max_queue_offset for key, queue in slave.queues().items()} == {
        key: queue.max_queue_offset for key, queue in master.queues().items()
    }
    lost = sum(unit[1] == 0x7FFFFFFF for units in queues(slave).values() for unit in units)
    assert 2 <= lost <= 8


def test_a_forged_record_in_a_damaged_message_is_not_taken_for_one(kit: Any) -> None:
    master, slave = kit.open(kit.folder / "master"), kit.open()
    kit.put(master, "t", 0, b"first" * 20)
    inner_at = master.wrote_offset + 88
    forged = bytearray(record_of(kit, queue_offset=1, physical_offset=inner_at, body=b"forged"))
    forged[8:12] = bytes(4)
    kit.put(master, "t", 0, bytes(forged))
    kit.put(master, "t", 0, b"last")
    log = bytearray(master.log_bytes(0, 1 << 20))
    log[inner_at - 88 : inner_at - 84] = bytes(4)
    slave.append_replicated(0, bytes(log), arrived)
    assert kit.bodies(slave, "t", 0) == [b"first" * 20, b"last"]
