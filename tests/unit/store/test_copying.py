"""Copies of stored messages: byte for byte what puts of the same messages would be, as far as nothing is in the way."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmqnode.store import MessageStore, PutStatus, StoredMessage
from rmqnode.store.copying import STRETCH_BYTES_MAX
from rmqnode.store.record import RECORD_HEAD

BORN_HOST = bytes((10, 1, 2, 3, 0, 0, 0x11, 0xD7))
OTHER_HOST = bytes((10, 9, 9, 9, 0, 0, 0x2A, 0x9F))
TRANSACTION_COMMIT = 8


def any_tags_code(_: int) -> bool:
    return True


def stretch(store: MessageStore, count_max: int = 1000, topic: str = "from") -> list[StoredMessage]:
    return store.stretch(topic, 0, 0, count_max, any_tags_code)


def content(root: Path) -> dict[str, bytes]:
    folders = (root / "commitlog", root / "consumequeue")
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


stored = st.tuples(
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from([0, 1, 3, TRANSACTION_COMMIT]),
    st.integers(0, 2**63 - 1),
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.integers(0, 20),
    st.sampled_from([OTHER_HOST, None]),
)
destinations = st.tuples(st.sampled_from(["to", "a longer topic's name"]), st.integers(0, 2), st.integers(-9, 9))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(messages=st.lists(st.tuples(stored, destinations), min_size=1, max_size=40))
def test_copies_are_byte_for_byte_what_puts_of_the_same_messages_are(kit: Any, messages: list[Any]) -> None:
    shutil.rmtree(kit.folder)
    store = kit.open()
    for (flag, sys_flag, born, body, properties, times, store_host), _ in messages:
        half_offset = 77 if sys_flag == TRANSACTION_COMMIT else 0
        result = store.put(
            "from", 0, flag, sys_flag, born, BORN_HOST, body, properties, 5, times, half_offset, store_host
        )
        assert result.status is PutStatus.OK
    # The queues exist, so that a copy never has to make one.
    for key in sorted({(topic, queue_id) for _, (topic, queue_id, _) in messages}):
        kit.put(store, *key, b"first")
    store.close()
    again = kit.folder / "again"
    shutil.copytree(kit.root, again)
    kit.now += 1_000

    with_puts = kit.open()
    for (flag, sys_flag, born, body, properties, times, store_host), (topic, queue_id, tags_code) in messages:
        host = store_host or with_puts._options.store_host
        with_puts.put(topic, queue_id, flag, sys_flag, born, BORN_HOST, body, properties, tags_code, times, 0, host)
    with_puts.close()

    with_copies = kit.open(again)
    copies = [
        (message, (topic, queue_id), tags_code)
        for message, (_, (topic, queue_id, tags_code)) in zip(stretch(with_copies), messages, strict=True)
    ]
    while copies:
        count = with_copies.put_copies(copies)
        if not count:
            # Only a put makes room; the test does as the broker does.
            message, (topic, queue_id), tags_code = copies[0]
            record = bytes(with_copies.get("from", 0, len(messages) - len(copies), 1).buffers[0])
            head = RECORD_HEAD.unpack_from(record)
            with_copies.put(
                topic, queue_id, head[4], head[7], head[8], head[9], message.body, message.properties, tags_code,
                head[12], 0, head[11],
            )  # fmt: skip
            count = 1
        copies = copies[count:]
    with_copies.close()
    assert content(again) == content(kit.root)


def test_copies_end_where_there_is_no_room_no_queue_or_too_long_a_record(kit: Any) -> None:
    store = kit.open()
    for size in (10, 10, 32 * 1024 - 91 - len("from"), 10):
        kit.put(store, "from", 0, bytes(size))
    assert store.put_copies([(message, ("nowhere", 0), 0) for message in stretch(store)]) == 0
    # A name that is one byte longer makes the third one a record that is too long.
    kit.put(store, "from1", 0, b"first")
    before = store.wrote_offset
    assert store.put_copies([(message, ("from1", 0), 0) for message in stretch(store)]) == 2
    assert store.wrote_offset - before == 2 * (91 + len("from1") + 10)
    assert kit.bodies(store, "from1", 0) == [b"first", bytes(10), bytes(10)]
    small = [(stretch(store)[0], ("from1", 0), 0)] * 100
    kit.put(store, "other", 0, bytes(store._log.limit - store.wrote_offset - 91 - len("other") - 250))
    assert store.put_copies(small) == 2
    # A put goes on in the next file, and the copies then end with the file of the queue.
    kit.put(store, "from1", 0, b"makes room")
    assert store.put_copies(small) == 50 - 1 - 2 - 2 - 1


def test_a_closed_store_takes_no_copies(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "from", 0, b"x")
    messages = stretch(store)
    store.close()
    assert store.put_copies([(message, ("from", 0), 0) for message in messages]) == 0


def test_a_stretch_ends_where_its_reader_says_and_where_the_queue_file_ends(kit: Any) -> None:
    store = kit.open()
    for number in range(60):
        kit.put(store, "from", 0, b"%d" % number, tags_code=number)
    assert [message.body for message in stretch(store, 3)] == [b"0", b"1", b"2"]
    early = store.stretch("from", 0, 1, 1000, lambda tags_code: tags_code < 4)
    assert [message.body for message in early] == [b"1", b"2", b"3"]
    assert len(stretch(store)) == 50
    assert stretch(store, topic="unknown") == []
    assert store.stretch("from", 0, 60, 1000, any_tags_code) == []


def test_a_stretch_of_long_messages_is_short_but_never_empty(kit: Any) -> None:
    store = kit.open(mapped_file_size_commit_log=16 * 1024 * 1024, message_size_bytes_max=4 * 1024 * 1024)
    for size in (STRETCH_BYTES_MAX + 5, STRETCH_BYTES_MAX // 2, STRETCH_BYTES_MAX // 2, 7):
        kit.put(store, "from", 0, bytes(size))
    assert [len(message.body) for message in stretch(store)] == [STRETCH_BYTES_MAX + 5]
    behind = store.stretch("from", 0, 1, 1000, any_tags_code)
    assert [len(message.body) for message in behind] == [STRETCH_BYTES_MAX // 2]


@pytest.mark.parametrize(
    ("position", "damage"),
    [(4, b"\0"), (28, b"\x01"), (84, b"\x7f"), (84, b"\xff")],
    ids=["magic", "physical offset", "body too long", "body of negative length"],
)
def test_a_stretch_ends_before_a_record_that_is_not_in_its_place(kit: Any, position: int, damage: bytes) -> None:
    store = kit.open()
    ends = [kit.put(store, "from", 0, b"%d" % number).end_offset for number in range(3)]
    store._log.mapping[ends[0] + position : ends[0] + position + 1] = damage
    assert [message.body for message in stretch(store)] == [b"0"]
    store._log.mapping[position : position + 1] = damage
    assert stretch(store) == []
