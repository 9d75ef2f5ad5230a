"""The quick way through a log finds exactly what looking at each record by itself finds, in damaged logs too."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rmqnode.store.errors import StoreIncomplete, UnsupportedRecord
from rmqnode.store.quick_walk import QuickWalk

KIT = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

PREPARED, COMMIT, ROLLBACK = 0x4, 0x8, 0xC
TOPICS = ["T", "Ü-topic", "SCHEDULE_TOPIC_XXXX", "X" * 127]

PAIRS = st.sampled_from([
    b"TAGS\x01TagA\x02", b"TAGS\x01TagB\x02", "TAGS\x01标签\x02".encode(), b"TAGS\x01\x02", b"TAGS\x01a\x01\x02",
    b"TAGS\x01a\x01b\x02", b"MYTAGS\x01no\x02", b"TAGS\x01\xff\x02", b"UNIQ_KEY\x01abc\x02", b"DELAY\x013\x02",
    b"noise", b"\0",
])  # fmt: skip
PROPERTIES = st.lists(PAIRS, max_size=4).map(b"".join)
BODIES = st.sampled_from([b"", b"x", b"body" * 20, bytes(64), bytes(range(256)) * 3])
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(TOPICS),
        st.integers(0, 1),
        st.sampled_from([0, 0, 0, PREPARED, COMMIT, ROLLBACK]),
        BODIES,
        PROPERTIES,
    ),
    min_size=1,
    max_size=40,
)
FIELDS = st.sampled_from([0, 2, 4, 8, 12, 16, 20, 24, 28, 35, 36, 39, 56, 84, 87, 88, -40, -20, -3, -1])
"""Bytes of a record, from its begin or its end."""
DAMAGES = st.lists(st.tuples(st.integers(0, 200), FIELDS, st.binary(min_size=1, max_size=4)), max_size=3)
PLAIN = [("T", 0, 0, b"x", b"UNIQ_KEY\x01a\x02")]


def opened(kit: Any, root: Path) -> tuple[Any, ...]:
    """What an opening says and leaves behind."""
    store = kit.make(root)
    try:
        report = store.open()
    except UnsupportedRecord as error:
        return str(error), None
    except StoreIncomplete as error:
        return error.missing, None
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("0*") if path.is_file()}
    queues = {key: (queue.min_queue_offset, queue.max_queue_offset) for key, queue in store.queues().items()}
    found = report._replace(seconds=0), files, queues, store.last_store_timestamp
    store.close()
    return found


def opened_both_ways(kit: Any, root: Path) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    copy = root.with_name("singly")
    shutil.copytree(root, copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuickWalk, "walk", lambda self, mapping, position, base_offset, limit: position)
        singly = opened(kit, copy)
    return opened(kit, root), singly


@given(
    messages=MESSAGES,
    repeats=st.integers(1, 12),
    deleted_at=st.integers(-1, 12),
    damages=DAMAGES,
    loses_queue=st.booleans(),
    clean=st.booleans(),
)
@example(messages=PLAIN, repeats=12, deleted_at=5, damages=[], loses_queue=True, clean=True)
@example(messages=PLAIN, repeats=12, deleted_at=5, damages=[(9, 39, b"\x10")], loses_queue=False, clean=False)
@example(messages=PLAIN, repeats=12, deleted_at=-1, damages=[(9, 20, b"\0\0\0\1")], loses_queue=False, clean=False)
@example(messages=PLAIN, repeats=12, deleted_at=-1, damages=[(9, -13, b"\0\xff")], loses_queue=False, clean=False)
@KIT
def test_both_ways_agree(
    kit: Any,
    tmp_path_factory: Any,
    messages: list[tuple[str, int, int, bytes, bytes]],
    repeats: int,
    deleted_at: int,
    damages: list[tuple[int, int, bytes]],
    loses_queue: bool,
    clean: bool,
) -> None:
    root = tmp_path_factory.mktemp("walk") / "store"
    kit.now = 1_700_000_000_000
    store = kit.open(root)
    places = []
    for repeat in range(repeats):
        if repeat == deleted_at:
            store.delete_topic(messages[0][0])
        for topic, queue_id, sys_flag, body, properties in messages:
            kit.now += 1
            stored = kit.put(store, topic, queue_id, body, sys_flag=sys_flag, properties=properties)
            places.append((stored.physical_offset, stored.end_offset))
        if repeat == 5:
            store.flush_consume_queues()
            store.write_checkpoint()
    if clean:
        store.close()
    killed = root.with_name("killed")
    shutil.copytree(root, killed)
    path = kit.log_file(killed)
    content = bytearray(path.read_bytes())
    for record, field, noise in damages:
        begin, end = places[record % len(places)]
        at = begin + field if field >= 0 else end + field
        content[at : at + len(noise)] = noise[: len(content) - at]
    path.write_bytes(content)
    if loses_queue:
        shutil.rmtree(killed / "consumequeue" / messages[0][0], ignore_errors=True)
    quick, singly = opened_both_ways(kit, killed)
    assert quick == singly


def test_a_plain_log_is_walked_without_looking_at_records_singly(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = kit.open()
    for index in range(600):
        properties = b"UNIQ_KEY\x01%032d\x02TAGS\x01TagA\x02" % index
        kit.put(store, "T", index % 4, b"body", tags_code=2598919, properties=properties)
    expected = {key: bytes(queue.units(0, 50)) for key, queue in store.queues().items()}
    singly = []
    learn = QuickWalk.get_to_know
    monkeypatch.setattr(QuickWalk, "get_to_know", lambda self, queue: (singly.append(queue), learn(self, queue))[1])
    copy = kit.make(kit.crashed_copy("killed"))
    assert copy.open().records_scanned == 600
    assert len(singly) == 4
    assert {key: bytes(queue.units(0, 50)) for key, queue in copy.queues().items()} == expected


def test_units_are_written_now_and_then_while_many_are_gathered(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqnode.store.quick_walk._UNITS_MAX", 20)
    monkeypatch.setattr("rmqnode.store.quick_walk._PIECE_SIZE", 500)
    store = kit.open()
    for index in range(500):
        kit.put(store, "T", index % 3, b"body %d" % index, properties=b"UNIQ_KEY\x01%d\x02" % index)
    root = kit.crashed_copy("killed")
    writes = []
    write = QuickWalk.write
    monkeypatch.setattr(QuickWalk, "write", lambda self: (writes.append(1), write(self))[1])
    copy = kit.open(root)
    assert len(writes) > 10
    for queue_id in range(3):
        assert kit.bodies(copy, "T", queue_id) == kit.bodies(store, "T", queue_id)
