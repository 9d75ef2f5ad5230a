"""Sharing queues: every queue has exactly one owner, as Java's clients compute it."""

from hypothesis import given
from hypothesis import strategies as st

from rmqctl.client.consumer.allocation import allocate_averagely, queue_order
from rmqnode.protocol.bodies import MessageQueue

IDS = st.sets(st.text("0123456789.@#abAB\uffff\U0001f600", min_size=1, max_size=12), min_size=1, max_size=9)


def queues_of(*counts: int) -> list[MessageQueue]:
    return [
        MessageQueue(topic="t", broker_name=f"broker-{'abcdefgh'[index]}", queue_id=queue_id)
        for index, count in enumerate(counts)
        for queue_id in range(count)
    ]


@given(IDS, st.lists(st.integers(0, 12), max_size=4), st.randoms())
def test_members_share_all_queues_without_overlap_whatever_the_order_they_hear_of_them(ids, counts, random) -> None:  # type: ignore[no-untyped-def]
    queues = queues_of(*counts)
    shares = []
    for own_id in ids:
        known_ids, known_queues = list(ids), list(queues)
        random.shuffle(known_ids)
        random.shuffle(known_queues)
        shares.append(allocate_averagely(own_id, known_ids, known_queues))
    assert sorted(queue for share in shares for queue in share) == sorted(queues)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_shares_are_contiguous_and_the_first_members_get_the_remainder() -> None:
    queues = queues_of(4, 4)
    shares = {own_id: allocate_averagely(own_id, ["c", "a", "b"], queues) for own_id in "abc"}
    assert [[(queue.broker_name[-1], queue.queue_id) for queue in shares[own_id]] for own_id in "abc"] == [
        [("a", 0), ("a", 1), ("a", 2)],
        [("a", 3), ("b", 0), ("b", 1)],
        [("b", 2), ("b", 3)],
    ]


def test_more_members_than_queues_leave_the_last_ones_without() -> None:
    assert [len(allocate_averagely(own_id, "abc", queues_of(2))) for own_id in "abc"] == [1, 1, 0]


def test_a_member_that_nobody_knows_gets_nothing() -> None:
    assert allocate_averagely("z", ["a"], queues_of(2)) == []


def test_ids_are_sorted_as_texts_not_as_numbers() -> None:
    ids = ["10.0.0.10@7", "10.0.0.9@7", "10.0.0.10@12"]
    owners = {allocate_averagely(own_id, ids, queues_of(3))[0].queue_id: own_id for own_id in ids}
    assert owners == {0: "10.0.0.10@12", 1: "10.0.0.10@7", 2: "10.0.0.9@7"}


def test_characters_beyond_the_basic_plane_come_before_the_last_of_it_as_in_java() -> None:
    names = [MessageQueue(topic="t", broker_name=name) for name in ("\uffff", "\U0001f600", "a")]
    assert [queue.broker_name for queue in sorted(names, key=queue_order)] == ["a", "\U0001f600", "\uffff"]
