"""Merging queues by store time."""

import random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from rmqctl.client.follower.merge import QueueMerge


class Stored(NamedTuple):
    store_timestamp: int
    number: int = 0


def times(taken: list[tuple[str, Stored]]) -> list[int]:
    return [message.store_timestamp for _, message in taken]


def new_merge(**behind: bool) -> QueueMerge[str, Stored]:
    merge: QueueMerge[str, Stored] = QueueMerge()
    for queue, is_behind in behind.items():
        merge.open(queue, behind=is_behind)
    return merge


def test_messages_wait_for_a_queue_that_is_behind_and_come_in_order_of_store_time() -> None:
    merge = new_merge(a=True, b=True)
    merge.add("a", [Stored(2), Stored(4)], behind=False)
    assert merge.take(10) == []
    merge.add("b", [Stored(1), Stored(3)], behind=False)
    assert times(merge.take(10)) == [1, 2, 3, 4]


def test_a_queue_at_its_end_holds_nobody_up() -> None:
    merge = new_merge(a=False, b=False)
    merge.add("a", [Stored(5)], behind=False)
    assert times(merge.take(10)) == [5]
    merge.add("b", [Stored(1)], behind=False)
    assert times(merge.take(10)) == [1]


def test_a_queue_in_trouble_holds_nobody_up() -> None:
    merge = new_merge(a=True, b=True)
    merge.add("a", [Stored(5)], behind=False)
    merge.mark("b", behind=False)
    assert times(merge.take(10)) == [5]


def test_a_queue_that_has_more_is_waited_for_before_later_messages_go_out() -> None:
    merge = new_merge(a=True, b=True)
    merge.add("a", [Stored(1)], behind=True)
    merge.add("b", [Stored(2)], behind=False)
    assert times(merge.take(10)) == [1]
    merge.add("a", [Stored(3)], behind=False)
    assert times(merge.take(10)) == [2, 3]


def test_a_closed_queue_still_gives_out_what_it_delivered() -> None:
    merge = new_merge(a=True)
    merge.add("a", [Stored(1), Stored(2)], behind=True)
    assert times(merge.take(1)) == [1]
    merge.close("a")
    assert times(merge.take(10)) == [2]
    assert merge.take(10) == []


@given(st.lists(st.lists(st.integers(0, 50), max_size=8).map(sorted), min_size=1, max_size=5), st.integers(0, 2**32))
def test_a_backlog_comes_out_in_order_whatever_the_pieces_in_which_it_arrives(
    queues: list[list[int]], seed: int
) -> None:
    chance = random.Random(seed)
    merge: QueueMerge[int, Stored] = QueueMerge()
    left = {queue: [Stored(time, n) for n, time in enumerate(messages)] for queue, messages in enumerate(queues)}
    for queue in left:
        merge.open(queue, behind=True)
    taken: list[tuple[int, Stored]] = []
    while left:
        queue = chance.choice(sorted(left))
        count = chance.randint(0, 3)
        piece, left[queue] = left[queue][:count], left[queue][count:]
        if is_last := not left[queue]:
            del left[queue]
        merge.add(queue, piece, behind=not is_last)
        taken += merge.take(chance.randint(1, 4))
    taken += merge.take(1000)
    assert times(taken) == sorted(time for messages in queues for time in messages)
    for queue, messages in enumerate(queues):
        assert [message.number for owner, message in taken if owner == queue] == list(range(len(messages)))
