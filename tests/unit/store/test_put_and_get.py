import errno
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmqnode.store import BatchPart, GetStatus, PutStatus

VECTOR = bytes.fromhex(
    "000000b1daa320a73610a68600000002000000090000000000000000000000000000000000000000000001a2060cdfd5"
    "7f0000010000997c000001a2060cdff77f000001000078bf0000000000000000000000000000000568656c6c6f025431"
    "004f4b455953016b31206b3202554e49515f4b4559014330303030323032363533353546464432423237373141344637"
    "443430303030025741495401747275650254414753015461674102616765013702"
)


def test_a_record_is_byte_for_byte_what_apache_writes(kit: Any) -> None:
    kit.now = 0x1A2060CDFF7
    store = kit.open(store_host=bytes.fromhex("7f000001000078bf"))
    properties = VECTOR[88 + 5 + 1 + 2 + 2 :]
    result = store.put("T1", 2, 9, 0, 0x1A2060CDFD5, bytes.fromhex("7f0000010000997c"), b"hello", properties, 2598919)
    assert (result.physical_offset, result.queue_offset, result.end_offset) == (0, 0, len(VECTOR))
    assert bytes(store.read_record(0)) == VECTOR
    store.close()
    assert kit.log_file(kit.root).read_bytes() == VECTOR + bytes(kit.log_file_size - len(VECTOR))
    unit = bytes(8) + (177).to_bytes(4, "big") + (2598919).to_bytes(8, "big")
    queue_file = kit.root / "consumequeue" / "T1" / "2" / f"{0:020d}"
    assert queue_file.read_bytes() == unit + bytes(kit.queue_file_size - 20)


def test_the_crc_of_a_body_has_31_bits_and_that_of_an_empty_body_is_0(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"")
    result = kit.put(store, "T", 0, b"a")  # CRC-32 0xE8B7BE43
    assert bytes(store.read_record(0)[8:12]) == bytes(4)
    assert bytes(store.read_record(result.physical_offset)[8:12]) == bytes.fromhex("68b7be43")


PUTS = st.lists(
    st.tuples(
        st.sampled_from(["T", "%RETRY%g", "主题"]),
        st.integers(0, 2),
        st.lists(st.integers(0, 9000), min_size=1, max_size=4),
        st.integers(0, 300),
    ),
    max_size=60,
)


@given(puts=PUTS, reopen_after=st.integers(0, 60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_queue_reads_like_a_list(
    kit: Any, tmp_path_factory: Any, puts: list[tuple[str, int, list[int], int]], reopen_after: int
) -> None:
    root = tmp_path_factory.mktemp("model")
    store = kit.open(root)
    model: dict[tuple[str, int], list[bytes]] = {}
    ends = [0]
    for index, (topic, queue_id, sizes, properties_size) in enumerate(puts):
        if index == reopen_after:
            store.close()
            store = kit.open(root)
        bodies = [bytes([index % 251, size % 251]) * (size // 2) for size in sizes]
        expected_offset = len(model.setdefault((topic, queue_id), []))
        if len(bodies) == 1:
            result = kit.put(store, topic, queue_id, bodies[0], properties=b"p" * properties_size)
        else:
            result = kit.put_batch(store, topic, queue_id, bodies)
            if result.status is PutStatus.MESSAGE_ILLEGAL:
                continue
        assert result.status is PutStatus.OK
        assert result.queue_offset == expected_offset
        assert result.physical_offset >= ends[-1]
        ends.append(result.end_offset)
        model[topic, queue_id] += bodies
    for _ in range(2):
        for (topic, queue_id), bodies in model.items():
            assert kit.bodies(store, topic, queue_id) == bodies
            assert store.max_offset(topic, queue_id) == len(bodies)
        store.close()
        store = kit.open(root)
    store.close()


def test_a_file_is_closed_by_a_blank_record_and_its_length_never_changes(kit: Any) -> None:
    store = kit.open()
    body = bytes(10_000)
    results = [kit.put(store, "T", 0, body) for _ in range(7)]
    size = results[0].end_offset
    assert results[6].physical_offset == kit.log_file_size
    first = kit.log_file(kit.root).read_bytes()
    blank_at = 6 * size
    assert first[blank_at : blank_at + 8] == (kit.log_file_size - blank_at).to_bytes(4, "big") + bytes.fromhex(
        "cbd43194"
    )
    assert not any(first[blank_at + 8 :])
    assert len(first) == kit.log_file_size
    assert kit.log_file(kit.root, kit.log_file_size).stat().st_size == kit.log_file_size


@pytest.mark.parametrize(("free_bytes", "fits"), [(8, True), (7, False)])
def test_a_record_needs_8_bytes_behind_it(kit: Any, free_bytes: int, fits: bool) -> None:
    store = kit.open()
    filler = kit.put(store, "T", 0, bytes(30_000))
    fixed = filler.end_offset - 30_000
    room = kit.log_file_size - filler.end_offset
    for _ in range(2):
        if room - fixed - free_bytes > 30_000:
            room -= kit.put(store, "T", 0, bytes(20_000)).end_offset - filler.end_offset
    result = kit.put(store, "T", 0, bytes(room - fixed - free_bytes))
    assert (result.physical_offset < kit.log_file_size) is fits
    assert result.status is PutStatus.OK


def test_a_batch_is_never_split_over_two_files(kit: Any) -> None:
    store = kit.open()
    first = [kit.put(store, "T", 0, bytes(20_000)) for _ in range(3)]
    assert first[-1].end_offset < kit.log_file_size
    kit.now += 5
    result = kit.put_batch(store, "T", 0, [bytes([n]) * 3000 for n in range(4)])
    assert result.physical_offset == kit.log_file_size
    assert result.queue_offset == 3
    assert len(result.physical_offsets) == 4
    assert result.physical_offsets[0] == result.physical_offset
    stored = [store.read_record(offset) for offset in result.physical_offsets]
    assert [int.from_bytes(record[20:28], "big") for record in stored] == [3, 4, 5, 6]
    assert [int.from_bytes(record[28:36], "big") for record in stored] == list(result.physical_offsets)
    assert {int.from_bytes(record[56:64], "big") for record in stored} == {kit.now}
    assert result.end_offset == result.physical_offsets[-1] + len(stored[-1])


def test_a_batch_larger_than_several_queue_files_gets_all_its_units(kit: Any) -> None:
    store = kit.open()
    bodies = [str(n).encode() for n in range(130)]
    assert kit.put_batch(store, "T", 0, bodies).status is PutStatus.OK
    assert kit.bodies(store, "T", 0) == bodies


@pytest.mark.parametrize(
    ("topic", "queue_id"),
    [("", 0), (".", 0), ("..", 0), ("a/b", 0), ("a\0", 0), ("t" * 128, 0), ("T", -1), ("\ud800", 0)],
)
def test_a_name_that_cannot_be_a_folder_is_refused(kit: Any, topic: str, queue_id: int) -> None:
    store = kit.open()
    assert kit.put(store, topic, queue_id, b"x").status is PutStatus.MESSAGE_ILLEGAL
    assert kit.put_batch(store, topic, queue_id, [b"x"]).status is PutStatus.MESSAGE_ILLEGAL
    assert store.wrote_offset == 0
    assert not store.queues()


def test_too_long_messages_are_refused_and_leave_nothing(kit: Any) -> None:
    store = kit.open()
    fixed = 91 + 1
    assert kit.put(store, "T", 0, bytes(32 * 1024 - fixed + 1)).status is PutStatus.MESSAGE_ILLEGAL
    assert kit.put(store, "T", 0, b"", properties=bytes(32768)).status is PutStatus.PROPERTIES_SIZE_EXCEEDED
    parts = [BatchPart(0, b"", bytes(32768), 0)]
    assert store.put_batch("T", 0, 0, 1, bytes(8), parts).status is PutStatus.PROPERTIES_SIZE_EXCEEDED
    assert kit.put_batch(store, "T", 0, [bytes(20_000)] * 2).status is PutStatus.MESSAGE_ILLEGAL
    assert store.wrote_offset == 0
    assert kit.put(store, "T", 0, bytes(32 * 1024 - fixed)).status is PutStatus.OK


def test_half_messages_get_queue_offset_0_and_no_unit(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"first")
    for sys_flag in (0x4, 0xC):
        result = kit.put(store, "T", 0, b"half", sys_flag=sys_flag)
        assert result.queue_offset == 0
    assert kit.put(store, "T", 0, b"second", sys_flag=0x8).queue_offset == 1
    assert kit.bodies(store, "T", 0) == [b"first", b"second"]
    assert store.put_batch("T", 0, 0x8, 1, bytes(8), [BatchPart(0, b"", b"", 0)]).status is PutStatus.MESSAGE_ILLEGAL


def test_a_full_disk_refuses_puts_until_there_is_space_again(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if not hasattr(os, "posix_fallocate"):
        pytest.skip("this system cannot reserve disk space")
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        assert kit.put(store, "T", 1, b"new queue").status is PutStatus.SERVICE_NOT_AVAILABLE
        results = [kit.put(store, "T", 0, bytes(30_000)).status for _ in range(3)]
        assert results[-1] is PutStatus.SERVICE_NOT_AVAILABLE
        stored = results.count(PutStatus.OK)
    assert [kit.put(store, "T", 0, bytes(30_000)).status for _ in range(3)] == [PutStatus.OK] * 3
    assert len(kit.bodies(store, "T", 0)) == 1 + stored + 3
    assert kit.put(store, "T", 1, b"new queue").queue_offset == 0
    store.close()
    assert len(kit.bodies(kit.open(), "T", 0)) == 1 + stored + 3


def test_a_file_that_cannot_be_created_is_reported_and_the_log_goes_on_later(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, bytes(30_000))
    kit.put(store, "T", 0, bytes(30_000))
    obstacle = kit.log_file(kit.root, kit.log_file_size)
    obstacle.mkdir()
    assert kit.put(store, "T", 0, bytes(30_000)).status is PutStatus.CREATE_MAPPED_FILE_FAILED
    assert kit.put(store, "T", 0, b"small ones still fit").status is PutStatus.OK
    obstacle.rmdir()
    assert kit.put(store, "T", 0, bytes(30_000)).queue_offset == 3


def test_a_closed_store_refuses_puts(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"x")
    store.close()
    assert kit.put(store, "T", 0, b"x").status is PutStatus.SERVICE_NOT_AVAILABLE
    assert kit.put_batch(store, "T", 0, [b"x"]).status is PutStatus.SERVICE_NOT_AVAILABLE


def test_more_queues_than_mappings_allowed(kit: Any, descriptors: None) -> None:
    store = kit.open(mapped_files_max=2)
    for turn in range(60):
        for queue_id in range(5):
            kit.put(store, "T", queue_id, b"%d" % turn + bytes(200))
    for queue_id in range(5):
        bodies = kit.bodies(store, "T", queue_id)
        assert [body.rstrip(b"\0") for body in bodies] == [b"%d" % turn for turn in range(60)]
    store.close()


def test_reading_a_long_queue_keeps_few_files_mapped(kit: Any) -> None:
    store = kit.open(mapped_files_max=3)
    for _ in range(100):
        kit.put_batch(store, "T", 0, [bytes(100)] * 20)
    store.flush_commit_log()
    for _ in range(2):
        assert len(kit.bodies(store, "T", 0)) == 2000
    if os.path.isdir("/proc/self/fd"):
        targets = [os.readlink(f"/proc/self/fd/{fd.name}") for fd in os.scandir("/proc/self/fd") if os.path.islink(fd)]
        # Three mappings, the log file being written (mapped, and open for its flush) and the lock.
        assert sum(str(kit.root) in target for target in targets) <= 6


def test_a_slice_stays_valid_after_its_file_is_gone(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"kept")
    (record,) = store.get("T", 0, 0, 1).buffers
    assert record.readonly
    store.close()
    kit.log_file(kit.root).unlink()
    assert bytes(record[88:92]) == b"kept"


@pytest.mark.parametrize(
    ("queue_offset", "status", "next_offset"),
    [
        (-1, GetStatus.OFFSET_TOO_SMALL, 0),
        (0, GetStatus.FOUND, 3),
        (2, GetStatus.FOUND, 3),
        (3, GetStatus.OFFSET_OVERFLOW_ONE, 3),
        (4, GetStatus.OFFSET_OVERFLOW_BADLY, 3),
        (1 << 62, GetStatus.OFFSET_OVERFLOW_BADLY, 3),
    ],
)
def test_statuses_of_a_read(kit: Any, queue_offset: int, status: GetStatus, next_offset: int) -> None:
    store = kit.open()
    for _ in range(3):
        kit.put(store, "T", 0, b"x")
    result = store.get("T", 0, queue_offset, 32)
    assert (result.status, result.next_queue_offset) == (status, next_offset)
    assert (result.min_queue_offset, result.max_queue_offset) == (0, 3)


def test_an_unknown_queue_reads_as_empty_and_is_not_created(kit: Any) -> None:
    store = kit.open()
    result = store.get("T", 0, 5, 32)
    assert (result.status, result.next_queue_offset) == (GetStatus.NO_MESSAGE_IN_QUEUE, 0)
    assert (store.min_offset("T", 0), store.max_offset("T", 0)) == (0, 0)
    assert store.offset_by_time("T", 0, 1) == 0
    assert (store.store_time("T", 0, 0), store.earliest_store_time("T", 0)) == (-1, -1)
    assert not store.queues()


def test_a_read_is_bounded_by_count_bytes_and_file(kit: Any) -> None:
    store = kit.open(max_transfer_bytes_in_memory=5000, max_transfer_count_in_memory=20)
    for _ in range(60):
        kit.put(store, "T", 0, bytes(10))
    for _ in range(3):
        kit.put(store, "T", 0, bytes(9000))
    assert store.get("T", 0, 0, 100).count == 20
    assert store.get("T", 0, 0, 7).count == 7
    assert store.get("T", 0, 0, 0).count == 1
    at_file_end = store.get("T", 0, 45, 32)
    assert (at_file_end.count, at_file_end.next_queue_offset) == (5, 50)
    one_always_fits = store.get("T", 0, 60, 32)
    assert (one_always_fits.count, one_always_fits.next_queue_offset) == (1, 61)
    assert one_always_fits.size_bytes == len(one_always_fits.buffers[0]) > 5000


def test_records_on_disk_come_in_smaller_batches(kit: Any) -> None:
    store = kit.open(in_memory_bytes_max=1000)
    for _ in range(60):
        kit.put(store, "T", 0, bytes(10))
    behind = store.get("T", 0, 0, 32)
    assert (behind.count, behind.is_behind_memory) == (8, True)
    near = store.get("T", 0, 55, 32)
    assert (near.count, near.is_behind_memory) == (5, False)


def test_a_filter_lets_its_tags_through_and_counts_what_it_passed_over(kit: Any) -> None:
    store = kit.open(mapped_file_size_consume_queue=6_000_000)
    for index in range(100):
        kit.put(store, "T", 0, b"%d" % index, tags_code=-7 if index % 10 == 0 else 5)
    result = store.get("T", 0, 1, 3, frozenset({-7}))
    assert [bytes(record[88:90]) for record in result.buffers] == [b"10", b"20", b"30"]
    assert result.next_queue_offset == 31
    nothing = store.get("T", 0, 91, 32, frozenset({-7}))
    assert (nothing.status, nothing.next_queue_offset) == (GetStatus.NO_MATCHED_MESSAGE, 100)


def test_a_filtered_read_looks_at_800_units_at_most(kit: Any) -> None:
    store = kit.open(mapped_file_size_consume_queue=6_000_000)
    kit.put_batch(store, "T", 0, [b""] * 300)
    for _ in range(3):
        kit.put_batch(store, "T", 0, [b""] * 300)
    result = store.get("T", 0, 0, 32, frozenset({1}))
    assert (result.status, result.next_queue_offset) == (GetStatus.NO_MATCHED_MESSAGE, 800)


@given(offset=st.integers(-(2**63), 2**63 - 1) | st.integers(-10, 3000))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_begin_of_a_record_reads_as_a_record(kit: Any, offset: int) -> None:
    if not kit.opened:
        store = kit.open()
        # A body that contains a whole record must not become one.
        inner = bytes(store.read_record(kit.put(store, "T", 0, b"inner").physical_offset))
        for _ in range(10):
            kit.put(store, "T", 0, inner)
    store = kit.opened[0]
    starts = {store.unit("T", 0, index)[0] for index in range(11)}
    record = store.read_record(offset)
    assert (record is not None) is (offset in starts)


def test_search_by_time_finds_the_nearest_message(kit: Any) -> None:
    store = kit.open()
    begin = kit.now
    for step in range(120):
        kit.now = begin + step // 2 * 10
        kit.put(store, "T", 0, b"")
    assert store.offset_by_time("T", 0, begin - 1000) == 0
    assert store.offset_by_time("T", 0, begin + 300) == 60  # the first of two with this very time
    assert store.offset_by_time("T", 0, begin + 304) == 61  # nearer to the one before
    assert store.offset_by_time("T", 0, begin + 305) == 61  # a tie goes to the one before
    assert store.offset_by_time("T", 0, begin + 306) == 62
    assert store.offset_by_time("T", 0, begin + 10**9) == 119  # the last message, not the end
    assert store.store_time("T", 0, 62) == begin + 310
    assert store.store_time("T", 0, 120) == -1
    assert store.earliest_store_time("T", 0) == begin
