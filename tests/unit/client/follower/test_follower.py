"""Following a topic over real sockets: order, start positions, gaps, brokers that go away."""

import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqctl.client import (
    ClusterConnection,
    Follower,
    InvalidArgument,
    NoQueue,
    RequestRefused,
    RouteTable,
    TopicNotFound,
)
from rmqctl.client.follower.follower import Delivered
from rmqctl.client.names import parse_subscription
from rmqctl.client.start_position import AsOfNow, Earliest, LastMessages, Latest, Since, StartPosition, UntilTime
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.header_fields import header_from_ext_fields
from rmqnode.protocol.headers import OffsetResponseHeader, PullMessageRequestHeader, PullMessageResponseHeader

PULL = RequestCode.PULL_MESSAGE


def record(topic: str, queue_id: int, offset: int, stored_at: int, body: bytes, tag: str = "") -> bytes:
    """A commit log record as a broker hands it out."""
    host = bytes((127, 0, 0, 1)) + struct.pack(">i", 10911)
    properties = f"TAGS\x01{tag}\x02".encode() if tag else b""
    fixed = struct.pack(">IiiiqqiQ", 0xDAA320A7, 0, queue_id, 0, offset, offset * 100, 0, stored_at)
    rest = host + struct.pack(">q", stored_at) + host + struct.pack(">iq", 0, 0)
    variable = struct.pack(">i", len(body)) + body + bytes((len(topic),)) + topic.encode()
    tail = struct.pack(">h", len(properties)) + properties
    size = 4 + len(fixed) + len(rest) + len(variable) + len(tail)
    return struct.pack(">i", size) + fixed + rest + variable + tail


class FakeBroker:
    """Keeps messages as (store time, body, tag) per queue, and answers pulls and offset requests as a broker does."""

    def __init__(self, toolbox: Any, queues: dict[int, list[tuple[int, bytes, str]]]) -> None:
        self._toolbox = toolbox
        self.queues = queues
        self.first_offset = 0
        self.arrived = trio.Event()
        self.pulls: list[PullMessageRequestHeader] = []
        self.held_count = 0

    async def start(self) -> "FakeBroker":
        self.server = await self._toolbox.serve(
            {
                PULL: self._pull,
                RequestCode.GET_MIN_OFFSET: lambda _: self._offset(self.first_offset),
                RequestCode.GET_MAX_OFFSET: lambda request: self._offset(self._max(int(request.ext_fields["queueId"]))),
                RequestCode.SEARCH_OFFSET_BY_TIMESTAMP: lambda _: self._offset(self.first_offset),
            }
        )
        self.address = self.server.address
        return self

    def append(self, queue_id: int, stored_at: int, body: bytes, tag: str = "") -> None:
        self.queues[queue_id].append((stored_at, body, tag))
        self.arrived.set()
        self.arrived = trio.Event()

    def _max(self, queue_id: int) -> int:
        return self.first_offset + len(self.queues[queue_id])

    def _offset(self, offset: int) -> Command:
        return self._toolbox.reply(0, OffsetResponseHeader(offset=offset))

    async def _pull(self, request: Command) -> Command:
        assert request.ext_fields is not None
        header = header_from_ext_fields(PullMessageRequestHeader, request.ext_fields)
        self.pulls.append(header)
        offset, queue_id = header.queue_offset, header.queue_id
        if offset == self._max(queue_id) and header.sys_flag & 2:
            self.held_count += 1
            with trio.move_on_after(header.suspend_timeout_millis / 1000):
                while offset == self._max(queue_id):
                    await self.arrived.wait()
        if not self.first_offset <= offset <= self._max(queue_id):
            return self._answer(ResponseCode.PULL_OFFSET_MOVED, self.first_offset, queue_id)
        found = self.queues[queue_id][offset - self.first_offset :][:2]
        if not found:
            return self._answer(ResponseCode.PULL_NOT_FOUND, offset, queue_id)
        body = b"".join(
            record(header.topic, queue_id, offset + n, stored_at, text, tag)
            for n, (stored_at, text, tag) in enumerate(found)
        )
        return self._answer(ResponseCode.SUCCESS, offset + len(found), queue_id, body)

    def _answer(self, code: int, next_offset: int, queue_id: int, body: bytes = b"") -> Command:
        header = PullMessageResponseHeader(
            suggest_which_broker_id=0,
            next_begin_offset=next_offset,
            min_offset=self.first_offset,
            max_offset=self._max(queue_id),
        )
        return self._toolbox.reply(code, header, body)


def messages(*stored_at: int) -> list[tuple[int, bytes, str]]:
    return [(time, str(time).encode(), "") for time in stored_at]


async def take(follower: Follower, count: int) -> list[Delivered]:
    taken: list[Delivered] = []
    with trio.fail_after(5):
        while len(taken) < count:
            taken += await follower.receive()
    return taken


def bodies(taken: list[Delivered]) -> list[bytes]:
    return [message.body for _, message in taken]


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def follow(reports: list[str]) -> Callable[..., Follower]:
    def make(connection: ClusterConnection, start: StartPosition, source: str = "T", **options: Any) -> Follower:
        routes = RouteTable(connection)
        return Follower(connection, routes, parse_subscription(source), start, reports.append, **options)

    return make


async def test_a_backlog_over_queues_and_brokers_comes_in_order_of_store_time(toolbox: Any, follow: Any) -> None:
    first = await FakeBroker(toolbox, {0: messages(1, 5, 6, 9), 1: messages(2, 3)}).start()
    second = await FakeBroker(toolbox, {0: messages(4, 7, 8), 1: []}).start()
    nameserver = await toolbox.nameserver({"broker-a": first.address, "broker-b": second.address}, queues=2)
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Earliest()) as follower:
        assert len(follower.queues) == 4
        taken = await take(follower, 9)
    assert bodies(taken) == [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"]
    assert {queue.broker_name for queue, _ in taken} == {"broker-a", "broker-b"}


async def test_nothing_is_committed_and_the_group_is_one_that_every_broker_has(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Earliest()) as follower:
        await take(follower, 1)
    assert {pull.consumer_group for pull in broker.pulls} == {"TOOLS_CONSUMER"}
    assert all(pull.sys_flag & 1 == 0 and pull.sys_flag & 4 for pull in broker.pulls)
    assert {request.code for request in broker.server.requests} <= {PULL, RequestCode.GET_MIN_OFFSET}


async def test_from_latest_shows_only_what_arrives_later(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1, 2)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Latest()) as follower:
        broker.append(0, 3, b"new")
        assert bodies(await take(follower, 1)) == [b"new"]


async def test_a_message_of_a_quiet_topic_arrives_through_a_held_pull(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: [], 1: []}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=2)
    async with (
        ClusterConnection([nameserver.address]) as connection,
        follow(connection, Earliest()) as follower,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_append_when_held, broker)
        assert bodies(await take(follower, 1)) == [b"late"]
    assert len(broker.pulls) <= 6, "an empty queue is not asked again and again"


async def test_from_a_time_leaves_out_what_was_stored_before(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(10, 20, 30)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Since(20)) as follower:
        assert bodies(await take(follower, 2)) == [b"20", b"30"]


async def test_tags_are_compared_by_text_because_the_broker_compares_only_hashes(toolbox: Any, follow: Any) -> None:
    # "Aa" and "BB" have the same hash in Java.
    broker = await FakeBroker(toolbox, {0: [(1, b"no", "BB"), (2, b"yes", "Aa"), (3, b"no", "")]}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with (
        ClusterConnection([nameserver.address]) as connection,
        follow(connection, Earliest(), "T:Aa") as follower,
    ):
        assert bodies(await take(follower, 1)) == [b"yes"]
    assert {pull.subscription for pull in broker.pulls} == {"Aa"}


async def test_a_gap_is_reported_and_reading_goes_on_at_the_first_message(
    toolbox: Any, follow: Any, reports: list[str]
) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Earliest()) as follower:
        broker.first_offset = 10
        assert bodies(await take(follower, 1)) == [b"1"]
    (report,) = reports
    assert "broker-a queue 0 has no offset 0 any more (it holds 10 to 11): reading goes on at 10" in report


async def test_beyond_the_end_reading_goes_on_at_the_end_instead_of_repeating_everything(
    toolbox: Any, follow: Any, reports: list[str]
) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1, 2, 3)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Latest()) as follower:
        del broker.queues[0][1:]
        with trio.fail_after(5):
            while not reports:
                await trio.testing.wait_all_tasks_blocked(0.01)
        broker.append(0, 4, b"new")
        assert bodies(await take(follower, 1)) == [b"new"]


async def test_a_dead_broker_holds_nobody_up_and_is_read_again_when_it_is_back(
    toolbox: Any, follow: Any, reports: list[str]
) -> None:
    steady = await FakeBroker(toolbox, {0: messages(1)}).start()
    dying = await FakeBroker(toolbox, {0: messages(2)}).start()
    brokers = {"broker-a": steady.address, "broker-b": dying.address}
    nameserver = await toolbox.serve(
        {RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _: toolbox.reply(body=toolbox.route_body(brokers))}
    )
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Earliest()) as follower:
        assert bodies(await take(follower, 2)) == [b"1", b"2"]
        dying.server.stop()
        steady.append(0, 3, b"meanwhile")
        assert bodies(await take(follower, 1)) == [b"meanwhile"]
        back = await FakeBroker(toolbox, {0: messages(2, 5)}).start()
        brokers["broker-b"] = back.address
        assert bodies(await take(follower, 1)) == [b"5"]
    assert len([report for report in reports if "trying again" in report]) == 1
    assert reports[-1] == "broker-b answers again"


async def test_a_broker_that_dies_with_a_backlog_holds_nobody_up(toolbox: Any, follow: Any, reports: list[str]) -> None:
    steady = await FakeBroker(toolbox, {0: messages(5)}).start()
    dying = await FakeBroker(toolbox, {0: messages(1, 2)}).start()
    dying.server.handlers[PULL] = lambda _: dying.server.stop()
    nameserver = await toolbox.nameserver({"broker-a": steady.address, "broker-b": dying.address})
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Earliest()) as follower:
        assert bodies(await take(follower, 1)) == [b"5"]
    assert any("broker-b" in report and "trying again" in report for report in reports)


async def test_a_new_queue_is_read_from_its_first_message(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1), 1: messages(2)}).start()
    queue_counts = [1]
    nameserver = await toolbox.serve(
        {
            RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _: toolbox.reply(
                body=toolbox.route_body({"broker-a": broker.address}, queues=queue_counts[-1])
            )
        }
    )
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Latest()) as follower:
        queue_counts.append(2)
        follower.look_up_route()
        assert bodies(await take(follower, 1)) == [b"2"]
        assert len(follower.queues) == 2


async def test_a_queue_that_the_route_dropped_is_not_read_any_more(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: [], 1: []}).start()
    queue_counts = [2]
    nameserver = await toolbox.serve(
        {
            RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _: toolbox.reply(
                body=toolbox.route_body({"broker-a": broker.address}, queues=queue_counts[-1])
            )
        }
    )
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Latest()) as follower:
        queue_counts.append(1)
        follower.look_up_route()
        with trio.fail_after(5):
            while len(follower.queues) > 1:
                await trio.testing.wait_all_tasks_blocked(0.01)
        broker.append(0, 1, b"kept")
        assert bodies(await take(follower, 1)) == [b"kept"]


async def test_an_unknown_topic_and_one_that_nobody_may_read_are_refused_at_once(toolbox: Any, follow: Any) -> None:
    empty = await toolbox.serve({RequestCode.GET_ROUTEINTO_BY_TOPIC: toolbox.no_route})
    write_only = await toolbox.nameserver({"broker-a": "127.0.0.1:1"}, perm=2)
    async with ClusterConnection([empty.address]) as connection:
        with pytest.raises(TopicNotFound):
            await follow(connection, Earliest()).__aenter__()
    async with ClusterConnection([write_only.address]) as connection:
        with pytest.raises(NoQueue, match="no broker lets topic T be read"):
            await follow(connection, Earliest()).__aenter__()


async def test_a_broker_that_forbids_reading_ends_it_with_a_plain_error(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1)}).start()
    broker.server.handlers[PULL] = lambda _: toolbox.reply(ResponseCode.NO_PERMISSION, remark="forbidden")
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection, follow(connection, Earliest()) as follower:
        with pytest.raises(RequestRefused, match="NO_PERMISSION"):
            await take(follower, 1)


async def take_all(follower: Follower) -> list[Delivered]:
    taken: list[Delivered] = []
    with trio.fail_after(5):
        while delivered := await follower.receive():
            taken += delivered
    return taken


async def test_an_end_as_of_now_leaves_out_what_comes_later(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1, 3, 5), 1: messages(2), 2: []}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=3)
    async with (
        ClusterConnection([nameserver.address]) as connection,
        follow(connection, Earliest(), end=AsOfNow()) as follower,
    ):
        broker.append(0, 6, b"later")
        broker.append(2, 6, b"later")
        assert bodies(await take_all(follower)) == [b"1", b"2", b"3", b"5"]
        assert follower.queues == []
    assert broker.held_count == 0


async def test_nothing_to_read_ends_at_once(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with (
        ClusterConnection([nameserver.address]) as connection,
        follow(connection, Latest(), end=AsOfNow()) as follower,
    ):
        assert await take_all(follower) == []
    assert broker.pulls == []


async def test_an_end_in_the_past_goes_by_store_time(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(10, 20, 30, 40), 1: messages(15, 35)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=2)
    async with (
        ClusterConnection([nameserver.address]) as connection,
        follow(connection, Earliest(), end=UntilTime(20)) as follower,
    ):
        assert bodies(await take_all(follower)) == [b"10", b"15", b"20"]


async def test_an_end_to_come_is_waited_for_and_held_pulls_are_given_up(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: [], 1: []}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=2)
    end = UntilTime(int((time.time() + 0.5) * 1000))
    async with (
        ClusterConnection([nameserver.address]) as connection,
        follow(connection, Latest(), end=end) as follower,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_append_when_held, broker)
        begun = trio.current_time()
        assert bodies(await take_all(follower)) == [b"late"]
        assert trio.current_time() - begun > 0.3


async def test_the_last_messages_are_those_of_each_queue(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1, 2, 5), 1: messages(3), 2: []}).start()
    broker.first_offset = 100
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=3)
    async with (
        ClusterConnection([nameserver.address]) as connection,
        follow(connection, LastMessages(2), end=AsOfNow()) as follower,
    ):
        assert bodies(await take_all(follower)) == [b"2", b"3", b"5"]


async def test_only_wanted_queues_are_read_and_one_that_is_not_there_is_named(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1), 1: messages(2)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=2)
    async with ClusterConnection([nameserver.address]) as connection:
        wanted = follow(connection, Earliest(), end=AsOfNow(), wants=lambda queue: queue.queue_id == 1)
        async with wanted as follower:
            assert bodies(await take_all(follower)) == [b"2"]
        with pytest.raises(InvalidArgument, match="no such queue"):
            await follow(connection, Earliest(), wants=lambda queue: False).__aenter__()
    assert {pull.queue_id for pull in broker.pulls} == {1}


async def test_an_sql_expression_travels_with_every_pull(toolbox: Any, follow: Any) -> None:
    broker = await FakeBroker(toolbox, {0: messages(1)}).start()
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection:
        subscription = parse_subscription("T")._replace(sql="a > 1")
        follower = Follower(connection, RouteTable(connection), subscription, Earliest(), [].append, end=AsOfNow())
        async with follower:
            await take_all(follower)
    assert {(pull.subscription, pull.expression_type) for pull in broker.pulls} == {("a > 1", "SQL92")}


async def _append_when_held(broker: FakeBroker) -> None:
    with trio.fail_after(5):
        while broker.held_count < 2:
            await trio.testing.wait_all_tasks_blocked(0.005)
    broker.append(1, 1, b"late")
