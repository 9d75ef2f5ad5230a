"""Reads with a filter that must see each message: as reads without one, but for what it does not want."""

import time
from itertools import product
from typing import Any

import pytest

from rmqnode.store import GetStatus, MessageStore
from rmqnode.store.reading import FILTER_CPU_SECONDS_MAX

FIELDS = ("status", "next_queue_offset", "min_queue_offset", "max_queue_offset", "size_bytes", "is_behind_memory")


def fill(kit: Any, store: MessageStore, count: int, size: int = 10) -> None:
    for number in range(count):
        kit.put(store, "t", 0, b"%0*d" % (size, number), number % 3, properties=b"n\x01%d\x02" % number)


def odd(properties: bytes) -> bool:
    return int(properties[2:-1]) % 2 == 1


@pytest.mark.parametrize("in_memory_bytes_max", [1 << 40, 0])
@pytest.mark.parametrize("is_first_file_gone", [False, True])
def test_a_filter_that_wants_everything_changes_nothing(
    kit: Any, in_memory_bytes_max: int, is_first_file_gone: bool
) -> None:
    store = kit.open(in_memory_bytes_max=in_memory_bytes_max)
    fill(kit, store, 120, size=9_000)
    if is_first_file_gone:
        store._log.take_oldest_file(None)
    for queue_offset, count_max, tags_codes in product(
        [-1, 0, 1, 5, 48, 49, 50, 99, 119, 120, 121], [1, 7, 1000], [None, frozenset({1}), frozenset({7})]
    ):
        plain = store.get("t", 0, queue_offset, count_max, tags_codes)
        filtered = store.get("t", 0, queue_offset, count_max, tags_codes, lambda _: True)
        assert [bytes(record) for record in filtered.buffers] == [bytes(record) for record in plain.buffers]
        assert {name: getattr(filtered, name) for name in FIELDS} == {name: getattr(plain, name) for name in FIELDS}
        assert filtered.count == len(filtered.buffers)


def test_a_filter_sees_the_properties_and_counts_what_it_passed_over(kit: Any) -> None:
    store = kit.open()
    fill(kit, store, 20)
    result = store.get("t", 0, 0, 4, None, odd)
    assert [int(bytes(record[88:98])) for record in result.buffers] == [1, 3, 5, 7]
    assert (result.status, result.next_queue_offset) == (GetStatus.FOUND, 8)
    result = store.get("t", 0, 0, 32, frozenset({0}), odd)
    assert [int(bytes(record[88:98])) for record in result.buffers] == [3, 9, 15]


def test_a_filter_that_wants_nothing_is_given_800_messages_at_most(kit: Any) -> None:
    store = kit.open(mapped_file_size_consume_queue=2000 * 20)
    fill(kit, store, 1000)
    asked: list[bytes] = []
    result = store.get("t", 0, 0, 32, None, lambda properties: bool(asked.append(properties)))
    assert (result.status, result.next_queue_offset, len(asked)) == (GetStatus.NO_MATCHED_MESSAGE, 800, 800)


def test_an_expensive_filter_is_given_few_messages_at_a_time(kit: Any) -> None:
    store = kit.open(mapped_file_size_consume_queue=2000 * 20)
    fill(kit, store, 200)
    asked: list[int] = []

    def expensive(properties: bytes) -> bool:
        asked.append(int(properties[2:-1]))
        end = time.thread_time() + FILTER_CPU_SECONDS_MAX / 20
        while time.thread_time() < end:
            pass
        return False

    queue_offset, reads = 0, 0
    while queue_offset < 200:
        result = store.get("t", 0, queue_offset, 32, None, expensive)
        assert result.status is GetStatus.NO_MATCHED_MESSAGE
        assert 16 <= result.next_queue_offset - queue_offset <= 32 or result.next_queue_offset == 200
        queue_offset = result.next_queue_offset
        reads += 1
    assert asked == list(range(200))
    assert reads >= 7


def test_a_message_without_properties_is_seen_as_such(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "t", 0, b"body")
    asked: list[bytes] = []
    store.get("t", 0, 0, 1, None, lambda properties: bool(asked.append(properties)))
    assert asked == [b""]
