"""Traces as Java's clients write them, in the forms of 4.5.2 and 4.9."""

from hypothesis import given
from hypothesis import strategies as st

from rmqctl.client.admin.trace import decode_trace, events_of

ID = "C0A8000100002A9F0000000000000001"


def context(*fields: object) -> bytes:
    return "\x01".join(map(str, fields)).encode() + b"\x02"


SENT = context(
    "Pub", 1000, "DefaultRegion", "pg", "orders", ID, "paid", "k1 k2", "10.0.0.1:10911", 42, 7, 0, "OFFSETID", "true"
)
CONSUMING = context("SubBefore", 2000, "null", "billing", "R1", ID, 1, "k1 k2")
CONSUMED = context("SubAfter", "R1", ID, 15, "true", "k1 k2", 0)
CONSUMED_4_9 = context("SubAfter", "R1", ID, 15, "false", "k1 k2", 2, 2016, "billing")


def test_a_sent_message_is_told_with_everything_the_producer_knew() -> None:
    (event,) = decode_trace(SENT)
    assert (event.kind, event.timestamp, event.group, event.topic, event.message_id) == (
        "sent",
        1000,
        "pg",
        "orders",
        ID,
    )
    assert (event.tag, event.keys, event.store_host, event.body_size_bytes) == (
        "paid",
        ("k1", "k2"),
        "10.0.0.1:10911",
        42,
    )
    assert (event.cost_ms, event.message_type, event.success, event.client_host) == (7, "normal", True, None)


def test_a_producer_of_4_9_names_its_host_and_an_old_one_no_offset_id() -> None:
    (newer,) = decode_trace(SENT[:-1] + b"\x0110.0.0.7\x02")
    assert (newer.success, newer.client_host) == (True, "10.0.0.7")
    (older,) = decode_trace(SENT.replace(b"OFFSETID\x01", b""))
    assert older.success is True


def test_the_end_of_a_delivery_gets_time_and_group_from_its_beginning() -> None:
    events = events_of([CONSUMED, CONSUMING + SENT], ID)
    assert [(event.kind, event.timestamp, event.group) for event in events] == [
        ("sent", 1000, "pg"),
        ("consuming", 2000, "billing"),
        ("consumed", 2015, "billing"),
    ]
    assert events[2].redeliveries == 1
    assert events[2].result == "success"


def test_a_consumer_of_4_9_says_time_and_group_itself() -> None:
    (event,) = decode_trace(CONSUMED_4_9)
    assert (event.timestamp, event.group, event.success, event.result) == (2016, "billing", False, "exception")


def test_what_the_client_did_not_have_is_none_and_not_the_word_null() -> None:
    (event,) = decode_trace(SENT.replace(b"paid", b"null").replace(b"k1 k2", b""))
    assert (event.tag, event.keys) == (None, ())


def test_the_end_of_a_transaction_is_told() -> None:
    written = context(
        "EndTransaction", 3000, "r", "pg", "orders", ID, "t", "k", "h:1", 2, "TX", "COMMIT_MESSAGE", "false"
    )
    (event,) = decode_trace(written)
    assert (event.kind, event.result, event.message_type) == ("transaction", "commit", "committed")


def test_events_of_other_messages_and_repeated_ones_are_left_out() -> None:
    assert len(events_of([SENT + SENT.replace(ID.encode(), b"OTHER"), SENT], ID)) == 1


@given(st.binary(max_size=200), st.integers(0, 3))
def test_nothing_in_a_body_breaks_the_reading_of_the_others(noise: bytes, place: int) -> None:
    kinds = [b"Pub\x01", b"SubBefore\x01", b"SubAfter\x01", b""]
    noise = noise.replace(b"\x02", b"")
    events = decode_trace(kinds[place] + noise + b"\x02" + SENT)
    assert events[-1] == decode_trace(SENT)[0]
