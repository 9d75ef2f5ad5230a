"""Delayed messages: where they wait, when they come, and that none is lost, early or in the way of others."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.broker.messages import Message
from rmqnode.broker.runtime_info import runtime_info
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.properties import encode_properties

SCHEDULE = "SCHEDULE_TOPIC_XXXX"
UNDELIVERED = "%DLQ%CID_RMQ_SYS_UNDELIVERED"


class Ticker:
    """Moves trio's clock and the broker's wall clock together."""

    def __init__(self, rig: Any, mock_clock: trio.testing.MockClock) -> None:
        self._rig = rig
        self._clock = mock_clock

    async def pass_ms(self, milliseconds: int) -> None:
        await trio.testing.wait_all_tasks_blocked()
        self._rig.clock.now_ms += milliseconds
        self._clock.jump(milliseconds / 1000)
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
async def tick(rig: Any, nursery: trio.Nursery, mock_clock: trio.testing.MockClock) -> AsyncIterator[Ticker]:
    """A broker that delivers, and its time; a test must name `mock_clock` too, or the clock is the real one."""
    nursery.start_soon(rig.broker.delayed_delivery.run)
    yield Ticker(rig, mock_clock)
    nursery.cancel_scope.cancel()


def bodies(rig: Any, topic: str = "t", queue_id: int = 0) -> list[bytes]:
    return [message.body for message in rig.messages(topic, queue_id)]


def test_a_delayed_message_waits_in_the_queue_of_its_level(rig: Any) -> None:
    rig.create_topic()
    reply = rig.send("t", b"later", {"TAGS": "a", "DELAY": "3"}, queue_id=2)
    assert reply.code == ResponseCode.SUCCESS
    assert (reply.header.queue_id, reply.header.queue_offset) == (2, 0)
    (waiting,) = rig.messages(SCHEDULE, 2)
    assert reply.header.msg_id == waiting.offset_message_id
    assert waiting.properties == {"TAGS": "a", "DELAY": "3", "REAL_TOPIC": "t", "REAL_QID": "2"}
    assert rig.store.unit(SCHEDULE, 2, 0)[2] == rig.clock.now_ms + 10_000
    assert bodies(rig, "t", 2) == []


def test_the_delay_counts_from_the_time_that_is_stored_in_the_message(rig: Any) -> None:
    rig.clock.step_ms = 1
    rig.send("t", b"later", {"DELAY": "3"})
    (waiting,) = rig.messages(SCHEDULE, 2)
    assert rig.store.unit(SCHEDULE, 2, 0)[2] == waiting.store_timestamp + 10_000


@pytest.mark.parametrize(("level", "queue_id"), [("18", 17), ("19", 17), ("2147483647", 17), ("007", 6), ("+1", 0)])
def test_a_level_beyond_the_last_is_the_last(rig: Any, level: str, queue_id: int) -> None:
    rig.send("t", properties={"DELAY": level})
    assert len(rig.messages(SCHEDULE, queue_id)) == 1


@pytest.mark.parametrize("level", ["0", "-1", "x", "2147483648", "1.0", " 1"])
def test_what_is_no_level_is_no_delay(rig: Any, level: str) -> None:
    rig.send("t", properties={"DELAY": level})
    assert len(rig.messages("t")) == 1


async def test_a_message_comes_when_it_is_due_and_not_before(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    rig.send("t", b"later", {"DELAY": "2", "TAGS": "a"}, flag=4, born_timestamp=9)
    await tick.pass_ms(4_999)
    assert bodies(rig) == []
    await tick.pass_ms(1)
    (message,) = rig.messages("t")
    assert (message.body, message.flag, message.born_timestamp) == (b"later", 4, 9)
    assert message.properties == {"DELAY": "2", "TAGS": "a", "REAL_TOPIC": "t", "REAL_QID": "0"}
    assert message.store_timestamp == rig.clock.now_ms
    assert rig.broker.delayed_delivery.offsets == {2: 1}


async def test_levels_do_not_wait_for_each_other(rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock) -> None:
    for level, body in (("3", b"10s"), ("1", b"1s"), ("2", b"5s"), ("1", b"1s again")):
        rig.send("t", body, {"DELAY": level})
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"1s", b"1s again"]
    await tick.pass_ms(4_000)
    await tick.pass_ms(5_000)
    assert bodies(rig) == [b"1s", b"1s again", b"5s", b"10s"]


async def test_a_message_sent_while_nothing_waited_is_noticed(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    await tick.pass_ms(100_000)
    rig.send("t", b"late riser", {"DELAY": "1"})
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"late riser"]


async def test_a_delivered_message_wakes_pulls_and_passes_their_tags(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, nursery: trio.Nursery, read: Callable[[Any], Any]
) -> None:
    nursery.start_soon(rig.broker.held_pulls.answer_due_pulls)
    rig.send("t", b"tagged", {"DELAY": "1", "TAGS": "a"})
    rig.pull(sys_flag=2 | 4, subscription="a")
    await tick.pass_ms(1_000)
    ((_, reply),) = rig.connection.replies
    assert [message.body for message in read(reply)] == [b"tagged"]


async def test_a_compressed_body_is_delivered_as_it_is(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    rig.send("t", b"not really deflated", {"DELAY": "1"}, sys_flag=1)
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"not really deflated"]


async def test_a_backlog_is_delivered_whole_and_in_order(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    sent = [b"%d" % number for number in range(200)]
    for body in sent:
        rig.send("t", body, {"DELAY": "1"})
    await tick.pass_ms(1_000)
    assert bodies(rig) == sent


async def test_a_clock_that_went_back_delays_nothing_for_ever(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    rig.clock.now_ms += 10_000_000
    rig.send("t", b"from the future", {"DELAY": "1"})
    rig.clock.now_ms -= 10_000_000
    rig.send("t", b"now", {"DELAY": "1"})
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"from the future", b"now"]


async def test_what_waited_at_a_stop_is_delivered_after_it_once(
    rig: Any, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    rig.send("t", b"before", {"DELAY": "1"})
    rig.send("t", b"after", {"DELAY": "2"})
    async with trio.open_nursery() as services:
        services.start_soon(rig.broker.delayed_delivery.run)
        await Ticker(rig, mock_clock).pass_ms(1_000)
        services.cancel_scope.cancel()
    again = rig.reopen()
    assert again.broker.delayed_delivery.offsets == {1: 1}
    nursery.start_soon(again.broker.delayed_delivery.run)
    await Ticker(again, mock_clock).pass_ms(4_000)
    assert bodies(again) == [b"before", b"after"]
    nursery.cancel_scope.cancel()
    again.close()


async def test_a_backlog_of_one_level_does_not_hold_up_another(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    for _ in range(500):
        rig.send("t", b"1s", {"DELAY": "1"})
    rig.send("t", b"5s", {"DELAY": "2"})
    rig.clock.now_ms += 5_000
    await tick.pass_ms(0)
    await tick.pass_ms(1_000)
    received = bodies(rig)
    assert len(received) == 501
    assert received.index(b"5s") < 200


async def test_a_hundred_thousand_waiting_messages_come_when_they_are_due_and_cost_nothing_before(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def schedule(level: int, count: int) -> None:
        for _ in range(count):
            rig.broker.writer.put(Message("t", 0, 0, 0, 0, bytes(8), b"x", b"DELAY\x01%d\x02" % level))

    looked_at = []
    unit = rig.store.unit
    monkeypatch.setattr(rig.store, "unit", lambda *place: looked_at.append(place) or unit(*place))
    for _ in range(20):
        schedule(18, 4_900)
        schedule(1, 100)
        await tick.pass_ms(40)
    assert rig.store.max_offset(SCHEDULE, 17) + rig.store.max_offset(SCHEDULE, 0) == 100_000
    assert len(looked_at) < 20 * 2 * 18
    await tick.pass_ms(199)
    assert bodies(rig) == []
    for batch in range(20):
        await tick.pass_ms(1 if batch == 0 else 40)
        assert rig.store.max_offset("t", 0) == 100 * (batch + 1)


async def test_only_a_message_that_is_due_earlier_than_the_others_wakes_the_delivery(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.send("t", b"10s", {"DELAY": "3"})
    await tick.pass_ms(100)
    looked_at = []
    unit = rig.store.unit
    monkeypatch.setattr(rig.store, "unit", lambda *place: looked_at.append(place) or unit(*place))
    rig.send("t", b"10s", {"DELAY": "3"})
    rig.send("t", b"2h", {"DELAY": "18"})
    await tick.pass_ms(0)
    assert looked_at == []
    rig.send("t", b"5s", {"DELAY": "2"})
    await tick.pass_ms(0)
    assert len(looked_at) == 18


async def test_a_clock_that_is_set_forward_is_noticed_within_a_second(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    rig.send("t", b"2h", {"DELAY": "18"})
    await tick.pass_ms(10)
    rig.clock.now_ms += 7_200_000
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"2h"]


@pytest.mark.parametrize(
    "properties", [b"DELAY\x011", b"DELAY\x011\x02REAL_TOPIC\x01u\x02REAL_QID\x013\x02", b"a\x01b\x02DELAY\x0101\x02"]
)
async def test_properties_in_any_form_bring_a_message_to_its_own_topic(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, properties: bytes
) -> None:
    rig.broker.writer.put(Message("t", 2, 0, 0, 0, bytes(8), b"x", properties))
    await tick.pass_ms(1_000)
    (message,) = rig.messages("t", 2)
    assert message.properties["REAL_TOPIC"] == "t"
    assert message.properties["REAL_QID"] == "2"
    assert message.properties["DELAY"] == "1"


@pytest.mark.parametrize(
    ("properties", "topic", "queue_id"),
    [
        (b"REAL_TOPIC\x01t\x02DELAY\x011\x02REAL_QID\x013\x02", "t", 3),
        (b"REAL_QID\x013\x02DELAY\x011\x02REAL_TOPIC\x01t\x02", "t", 3),
        (b"REAL_QID\x013\x02DELAY\x011\x02REAL_TOPIC\x01t", "t", 3),
        (b"REAL_QID\x013\x02REAL_TOPIC\x01t\x02REAL_QID\x01\x02XREAL_QID\x015\x02", "t", 3),
        (b"REAL_TOPIC\x01t\x02REAL_QID\x013\x02REAL_TOPIC\x01\x02XREAL_TOPIC\x01x\x02", "t", 3),
        (b"REAL_TOPIC\x01old\x02REAL_QID\x011\x02REAL_TOPIC\x01t\x02REAL_QID\x013\x02", "t", 3),
        (b"REAL_TOPIC\x01t\x02", "t", 0),
    ],
)
async def test_the_destination_is_found_wherever_it_stands_in_the_properties(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, properties: bytes, topic: str, queue_id: int
) -> None:
    forms = (b"REAL_TOPIC\x01t\x02REAL_QID\x01%d\x02", b"REAL_QID\x01%d\x02DELAY\x011\x02REAL_TOPIC\x01t\x02")
    others = {form % number: number for number in range(4) for form in forms}
    scheduled = [properties, *others, properties]
    for each in scheduled:
        rig.broker.writer.put(Message(SCHEDULE, 0, 0, 0, 0, bytes(8), each, each), may_be_delayed=False)
    # This one goes through the front door, which wakes the delivery.
    rig.send("t", b"behind them", {"DELAY": "1"})
    await tick.pass_ms(1_000)
    # The first one makes its queue, the last one finds all there.
    assert bodies(rig, topic, queue_id).count(properties) == scheduled.count(properties)
    assert all(bodies(rig, "t", number).count(other) >= 1 for other, number in others.items())
    assert sum(len(bodies(rig, "t", each)) for each in range(4)) == len(scheduled) + 1


async def test_a_backlog_for_many_queues_goes_on_over_the_ends_of_files(
    make_rig: Callable[..., Any], nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    sizes = {"mapped_file_size_commit_log_bytes": 64 * 1024, "mapped_file_size_consume_queue_bytes": 50 * 20}
    rig = make_rig(max_message_size_bytes=32 * 1024, **sizes)
    nursery.start_soon(rig.broker.delayed_delivery.run)
    sent: dict[int, list[bytes]] = {queue_id: [] for queue_id in range(4)}
    for number in range(1_000):
        body = b"%d" % number * (1 + number % 50)
        rig.send("t", body, {"DELAY": "1", "TAGS": f"tag{number % 3}"}, queue_id=number % 4)
        sent[number % 4].append(body)
    assert len(rig.store._log.file_offsets()) > 3
    await Ticker(rig, mock_clock).pass_ms(1_000)
    assert {queue_id: bodies(rig, "t", queue_id) for queue_id in sent} == sent
    assert rig.broker.delayed_delivery.offsets == {1: 1_000}
    nursery.cancel_scope.cancel()


async def test_a_pull_is_answered_as_soon_as_one_of_a_backlog_is_what_it_waits_for(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, nursery: trio.Nursery, read: Callable[[Any], Any]
) -> None:
    nursery.start_soon(rig.broker.held_pulls.answer_due_pulls)
    # One to make the queue, so that all others can be copied.
    rig.send("t", b"first", {"TAGS": "a"})
    for number in range(300):
        rig.send("t", b"%d" % number, {"DELAY": "1", "TAGS": "b" if number == 290 else "a"})
    rig.pull(queue_offset=1, sys_flag=2 | 4, subscription="b")
    await tick.pass_ms(1_000)
    ((_, reply),) = rig.connection.replies
    assert [message.body for message in read(reply)] == [b"290"]


async def test_own_delay_levels_are_kept_to(
    make_rig: Callable[..., Any], nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    rig = make_rig(message_delay_level="2s 1m")
    nursery.start_soon(rig.broker.delayed_delivery.run)
    rig.send("t", b"2s", {"DELAY": "1"})
    rig.send("t", b"1m", {"DELAY": "7"})
    await Ticker(rig, mock_clock).pass_ms(2_000)
    assert bodies(rig) == [b"2s"]
    await Ticker(rig, mock_clock).pass_ms(58_000)
    assert bodies(rig) == [b"2s", b"1m"]
    nursery.cancel_scope.cancel()


async def test_a_store_that_refuses_is_tried_again(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.send("t", b"patient", {"DELAY": "1"})
    with monkeypatch.context() as patch:
        patch.setattr(rig.store._appender, "is_open", False)
        patch.setattr(rig.store._log, "limit", 0, raising=False)
        await tick.pass_ms(1_000)
        assert bodies(rig) == []
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"patient"]


# --- messages that stand in the way ---


@pytest.mark.parametrize("topic", ["x" * 127, "t"])
async def test_a_message_too_long_for_its_topic_once_it_is_due_is_refused_at_once(
    make_rig: Callable[..., Any], nursery: trio.Nursery, mock_clock: trio.testing.MockClock, topic: str
) -> None:
    rig = make_rig(max_message_size_bytes=2_000)
    nursery.start_soon(rig.broker.delayed_delivery.run)
    rig.create_topic(topic)
    # While it waits it has the schedule topic's name in it, then its own, and the same properties.
    properties_size = len(f"DELAY\x011\x02REAL_TOPIC\x01{topic}\x02REAL_QID\x010\x02")
    body_size = 2_000 - 91 - max(len(topic), len(SCHEDULE)) - properties_size
    assert rig.send(topic, bytes(body_size + 1), {"DELAY": "1"}).code == ResponseCode.MESSAGE_ILLEGAL
    assert rig.store.wrote_offset == 0
    assert rig.send(topic, bytes(body_size), {"DELAY": "1"}).code == ResponseCode.SUCCESS
    await Ticker(rig, mock_clock).pass_ms(1_000)
    assert [len(body) for body in bodies(rig, topic)] == [body_size]
    nursery.cancel_scope.cancel()


async def test_a_message_that_was_accepted_is_delivered_also_when_shorter_ones_only_are_accepted_now(
    make_rig: Callable[..., Any], nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    before = make_rig()
    before.send("t", bytes(5_000), {"DELAY": "1"})
    before.close()
    rig = make_rig(max_message_size_bytes=1_000, store_path_root_dir=before.config.store_path_root_dir)
    nursery.start_soon(rig.broker.delayed_delivery.run)
    await Ticker(rig, mock_clock).pass_ms(1_000)
    assert bodies(rig) == [bytes(5_000)]
    assert rig.send("t", bytes(1_000)).code == ResponseCode.MESSAGE_ILLEGAL
    nursery.cancel_scope.cancel()


async def test_messages_of_a_level_that_there_is_no_more_are_delivered_when_they_are_due(
    make_rig: Callable[..., Any], nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    before = make_rig()
    before.send("t", b"five seconds", {"DELAY": "2"})
    before.close()
    rig = make_rig(message_delay_level="1s", store_path_root_dir=before.config.store_path_root_dir)
    nursery.start_soon(rig.broker.delayed_delivery.run)
    tick = Ticker(rig, mock_clock)
    await tick.pass_ms(4_000)
    assert bodies(rig) == []
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"five seconds"]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "properties",
    [
        {"DELAY": "1", "REAL_TOPIC": SCHEDULE, "REAL_QID": "0"},
        {"DELAY": "1", "REAL_TOPIC": "RMQ_SYS_TRANS_OP_HALF_TOPIC", "REAL_QID": "0"},
        {"DELAY": "1", "REAL_TOPIC": "%RETRY%" + "g" * 121, "REAL_QID": "0"},
        {"DELAY": "1", "REAL_TOPIC": "../../etc", "REAL_QID": "0"},
        {"DELAY": "1", "REAL_TOPIC": "u", "REAL_QID": "-1"},
        {"DELAY": "1", "REAL_TOPIC": "u", "REAL_QID": "x"},
        {"DELAY": "1", "REAL_TOPIC": "u", "REAL_QID": "2147483648"},
        {"DELAY": "1"},
        {},
    ],
    ids=str,
)
async def test_a_message_of_the_schedule_topic_that_goes_nowhere_is_kept_and_stops_nobody(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock, properties: dict[str, str]
) -> None:
    encoded = encode_properties(properties).encode()
    rig.broker.writer.put(Message(SCHEDULE, 0, 0, 0, 0, bytes(8), b"forged", encoded), may_be_delayed=False)
    rig.send("t", b"behind it", {"DELAY": "1"})
    wrote = rig.store.wrote_offset
    await tick.pass_ms(1_000)
    assert bodies(rig) == [b"behind it"]
    assert [(message.body, message.properties) for message in rig.messages(UNDELIVERED)] == [(b"forged", properties)]
    assert rig.broker.topics.get(UNDELIVERED).read_queue_nums == 1
    assert runtime_info(rig.broker)["undeliveredMessages"] == "1"
    assert rig.store.wrote_offset - wrote < 600
    await tick.pass_ms(10_000)
    assert rig.store.wrote_offset - wrote < 600


async def test_sending_to_the_schedule_topic_never_goes_round_in_circles(
    rig: Any, tick: Ticker, mock_clock: trio.testing.MockClock
) -> None:
    rig.send(SCHEDULE, b"forged", {"DELAY": "1"})
    for _ in range(5):
        await tick.pass_ms(1_000)
    assert rig.store.wrote_offset < 1_000
    assert rig.ask(RequestCode.GET_ALL_DELAY_OFFSET).code == ResponseCode.SUCCESS
