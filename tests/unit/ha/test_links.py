"""Real sockets between a master's and a slave's end: cuts, silence, refusals, half-open connections."""

import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.ha import master_link
from rmqnode.ha.confirmation import Confirmation, ConfirmationQueue
from rmqnode.ha.master_link import LinkState, MasterLink, MasterUnavailable
from rmqnode.ha.options import StreamOptions
from rmqnode.ha.slave_links import SlaveLinks
from rmqnode.ha.slave_stream import LogEnds
from rmqnode.ha.stream import BLOCK_HEAD, REPORT
from rmqnode.net.listening import listen
from tests.cutting_proxy import cutting_proxy

QUICK = StreamOptions(batch_size_bytes=300, heartbeat_seconds=0.05, silence_seconds_max=0.3)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master_link, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(master_link, "_RETRY_REFUSED_SECONDS", 0.01)


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.001)


class Pair:
    """A master's log with its slaves' end, and a slave that follows it, over loopback."""

    def __init__(self, master: Any, slave: Any, nursery: trio.Nursery, options: StreamOptions = QUICK) -> None:
        self.master_log = master
        self.slave_log = slave
        self.nursery = nursery
        self.confirmed: list[int] = []
        self.counts: list[int] = []
        self.followed = 0
        self.asked = 0
        """How often the slave wanted to know where the master's log ends: at each try."""
        self.ends_known = True
        self.slaves_at_address = 16
        (self.listener,) = listen(("127.0.0.1",), 0)
        self.port = self.listener.getsockname()[1]
        self.strangers = 0
        self.links = SlaveLinks(master, options, self.confirmed.append, self.counts.append, self.admit)
        self.link = MasterLink(slave, options, self.ask, self.note_followed)
        nursery.start_soon(self.links.serve, [self.listener])

    async def admit(self, peer: Any, own: Any, connected: int) -> int:
        self.strangers += not self.slaves_at_address
        return self.slaves_at_address

    async def ask(self, address: str) -> LogEnds:
        self.asked += 1
        if not self.ends_known:
            raise MasterUnavailable("it does not answer")
        return LogEnds(self.master_log.log_min_offset, self.master_log.wrote_offset)

    def note_followed(self) -> None:
        self.followed += 1

    def follow(self, port: int | None = None) -> None:
        self.link.use_master(f"127.0.0.1:{port or self.port}", "127.0.0.1:1")
        self.nursery.start_soon(self.link.run)

    def write(self, content: bytes) -> None:
        self.master_log.content += content
        self.links.log_grew()

    def is_equal(self) -> bool:
        return bool(self.slave_log.content == self.master_log.content)


@pytest.fixture
async def make_pair(make_log: Any, nursery: trio.Nursery) -> AsyncIterator[Callable[..., Pair]]:
    pairs: list[Pair] = []

    def make(master: bytes = b"", slave: bytes = b"", **more: Any) -> Pair:
        pairs.append(Pair(make_log(master), make_log(slave), nursery, **more))
        return pairs[-1]

    yield make
    nursery.cancel_scope.cancel()
    for pair in pairs:
        pair.listener.close()


async def test_a_slave_gets_what_is_there_and_what_comes(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"there" * 500)
    pair.follow()
    await until(pair.is_equal)
    for _ in range(50):
        pair.write(b"comes" * 20)
        await trio.lowlevel.checkpoint()
    await until(pair.is_equal)
    await until(lambda: pair.confirmed[-1] == pair.master_log.wrote_offset)
    assert (pair.link.state, pair.link.problem, pair.counts, pair.followed) == (LinkState.FOLLOWING, None, [1], 1)


async def test_a_quiet_pair_stays_connected(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"x")
    pair.follow()
    await until(pair.is_equal)
    # A report comes when nothing else has for a heartbeat: so many of them are three times the silence that is borne.
    reports = len(pair.confirmed) + round(3 * QUICK.silence_seconds_max / QUICK.heartbeat_seconds)
    await until(lambda: len(pair.confirmed) >= reports or pair.counts != [1])
    assert (pair.counts, pair.link.state) == ([1], LinkState.FOLLOWING)


async def test_what_comes_shortly_after_a_write_leaves_with_the_next_one(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(options=QUICK._replace(heartbeat_seconds=20, silence_seconds_max=20, pause_seconds=0.5))
    async with await trio.open_tcp_stream("127.0.0.1", pair.port) as slave:
        await slave.send_all(REPORT.pack(0))
        await until(lambda: any(link.stream.has_asked for link in pair.links.links))
        pair.write(b"first")
        with trio.fail_after(0.4):
            assert await slave.receive_some(100) == BLOCK_HEAD.pack(0, 5) + b"first"
        for _ in range(10):
            pair.write(b"later")
            await trio.lowlevel.checkpoint()
        with trio.fail_after(10):
            assert await slave.receive_some(100) == BLOCK_HEAD.pack(5, 50) + b"later" * 10


async def test_a_slave_that_is_far_behind_is_not_held_up_by_pauses(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(bytes(50_000), options=QUICK._replace(silence_seconds_max=30, pause_seconds=30))
    pair.follow()
    await until(pair.is_equal)


async def test_two_slaves_get_everything(make_pair: Callable[..., Pair], make_log: Any, nursery: trio.Nursery) -> None:
    pair = make_pair(b"x" * 3000)
    other = MasterLink(make_log(), QUICK, pair.ask, lambda: None)
    other.use_master(f"127.0.0.1:{pair.port}", "127.0.0.1:1")
    nursery.start_soon(other.run)
    pair.follow()
    for _ in range(20):
        pair.write(b"more" * 50)
        await trio.sleep(0.001)
    await until(lambda: pair.is_equal() and other._log.content == pair.master_log.content)  # type: ignore[attr-defined]


@pytest.mark.parametrize("cuts", [25, pytest.param(150, marks=pytest.mark.long)])
async def test_cuts_anywhere_and_stalls_end_in_equal_logs(make_pair: Callable[..., Pair], cuts: int) -> None:
    chance = random.Random(cuts)
    pair = make_pair(chance.randbytes(20_000))
    ways = [(chance.choice(["cut", "cut", "cut", "stall"]), chance.randrange(1, 1500)) for _ in range(cuts)]
    ways += [("cut", 1), ("cut", 11), ("cut", 12), ("cut", 13), ("stall", 5)]
    async with cutting_proxy(pair.port, ways) as (port, done):
        pair.follow(port)
        with trio.fail_after(120):
            while len(done) <= len(ways):
                pair.write(chance.randbytes(chance.randrange(100)))
                await trio.sleep(0.01)
        await until(pair.is_equal)
    assert max(pair.counts) >= 1


async def test_a_mute_master_is_noticed(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"x")
    mute = await trio.open_tcp_listeners(0, host="127.0.0.1")
    pair.follow(mute[0].socket.getsockname()[1])
    await until(lambda: pair.link.problem is not None)
    assert pair.link.problem == "no byte from the master for 0.3 s"
    assert pair.link.state is LinkState.CONNECTING
    await mute[0].aclose()


async def test_a_silent_slave_is_dropped_a_reporting_one_is_not(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"x")
    silent = await trio.open_tcp_stream("127.0.0.1", pair.port)
    await until(lambda: pair.counts == [1])
    assert await silent.receive_some(100) == b"", "closed, and nothing was sent to who did not ask"
    assert pair.counts == [1, 0]
    await silent.aclose()


async def test_a_slave_that_does_not_read_is_dropped_when_it_stops_reporting(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(bytes(30_000_000), options=QUICK._replace(batch_size_bytes=1000))
    lazy = await trio.open_tcp_stream("127.0.0.1", pair.port)
    await lazy.send_all(REPORT.pack(0))
    await until(lambda: pair.counts == [1, 0])
    await lazy.aclose()


async def test_a_longer_slave_is_refused_says_so_once_and_keeps_its_log(
    make_pair: Callable[..., Pair], caplog: pytest.LogCaptureFixture
) -> None:
    pair = make_pair(b"m" * 50, b"m" * 80)
    pair.follow()
    await until(lambda: pair.asked >= 5)
    assert "this slave's log ends at 80, its master's at 50" in str(pair.link.problem)
    assert (bytes(pair.slave_log.content), pair.counts) == (b"m" * 80, [])
    assert len([record for record in caplog.records if "refused" in record.message]) == 1
    assert pair.link.state is LinkState.REFUSED


async def test_a_master_that_outgrew_a_different_slave_is_found_out(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"common" + b"new" * 50, b"common" + b"lost by the master")
    pair.follow()
    await until(lambda: pair.link.state is LinkState.REFUSED)
    assert pair.link.problem == "the master's log differs from ours at physical offset 1"
    assert bytes(pair.slave_log.content) == b"common" + b"lost by the master"
    assert pair.followed == 0


async def test_without_the_masters_word_on_its_end_nothing_is_reported(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"x" * 10)
    pair.ends_known = False
    pair.follow()
    await until(lambda: pair.link.problem == "it does not answer")
    assert pair.counts == []
    pair.ends_known = True
    await until(pair.is_equal)


async def test_a_master_that_appears_later_is_found(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"x" * 10)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        pair.follow(taken.getsockname()[1])
        await until(lambda: "connect" in (pair.link.problem or ""))
    pair.link.use_master(f"127.0.0.1:{pair.port}", "127.0.0.1:1")
    await until(pair.is_equal)


async def test_a_heartbeat_for_another_place_ends_the_connection(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"", b"x" * 10)
    pair.master_log.content += b"x" * 10

    async def serve(stream: trio.SocketStream) -> None:
        assert await stream.receive_some(8) == REPORT.pack(1)
        await stream.send_all(BLOCK_HEAD.pack(7, 0))
        await stream.receive_some(8)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        pair.follow(listener.socket.getsockname()[1])
        await until(lambda: pair.link.problem == "the master sent offset 7, 1 comes next")
        nursery.cancel_scope.cancel()


# --- who is no slave --------------------------------------------------------------------------------------------------


PATIENT = QUICK._replace(heartbeat_seconds=5, silence_seconds_max=20)


async def fake(pair: Pair, offset: int) -> trio.SocketStream:
    """A connection that reports an offset, now and whenever it is told."""
    stream = await trio.open_tcp_stream("127.0.0.1", pair.port)
    await stream.send_all(REPORT.pack(offset))
    return stream


async def test_a_stranger_is_closed_and_never_counts(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"secret" * 100)
    pair.slaves_at_address = 0
    stranger = await fake(pair, 0)
    with contextlib.suppress(trio.BrokenResourceError):
        assert await stranger.receive_some(100) == b""
    assert (pair.strangers, pair.counts, pair.confirmed) == (1, [], [])
    await stranger.aclose()


async def test_fake_slaves_keep_no_real_one_out(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"m" * 3000, options=PATIENT)
    fakes = [await fake(pair, number) for number in range(70)]
    await until(lambda: len(pair.counts) >= 70)
    assert max(pair.counts) == 16
    pair.follow()
    await until(pair.is_equal)
    for number in range(40):
        fakes.append(await fake(pair, 3000))
        pair.write(b"more")
        await until(pair.is_equal)
        assert pair.link.state is LinkState.FOLLOWING, number
    assert pair.asked == 1, "the real one never had to connect again"
    for stream in fakes:
        await stream.aclose()


async def test_a_newer_connection_from_the_address_of_one_slave_takes_its_slot(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"m" * 30, options=PATIENT)
    pair.slaves_at_address = 1
    older = await fake(pair, 0)
    await older.receive_some(1000)
    newer = await fake(pair, 0)
    with trio.fail_after(5):
        while await older.receive_some(1000):
            pass
        assert await newer.receive_some(1000) == BLOCK_HEAD.pack(0, 30) + b"m" * 30
    assert len(pair.links.links) == 1
    await older.aclose()
    await newer.aclose()


async def test_who_confirms_what_was_never_sent_is_closed_and_confirms_nothing(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"m" * 30, options=PATIENT)
    liar = await fake(pair, 30)
    await until(lambda: any(link.stream.has_asked for link in pair.links.links))
    await liar.send_all(REPORT.pack(30) + REPORT.pack(31))
    await until(lambda: pair.counts == [1, 0])
    assert pair.confirmed == []
    await liar.aclose()


async def test_a_send_waits_for_no_slave_that_does_not_follow(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b"m" * 30, options=PATIENT)
    assert not pair.links.has_follower
    silent = await trio.open_tcp_stream("127.0.0.1", pair.port)
    await until(lambda: pair.counts == [1])
    assert not pair.links.has_follower, "it never asked"
    liar = await fake(pair, 0)
    await until(lambda: any(link.stream.owes_report for link in pair.links.links))
    assert pair.links.has_follower, "it has a moment to answer"
    for link in pair.links.links:
        link.owes_since -= 4
    assert not pair.links.has_follower
    await liar.aclose()
    await until(lambda: len(pair.links.links) == 1)
    again = await fake(pair, 30)
    await until(lambda: any(link.stream.has_asked for link in pair.links.links))
    assert not pair.links.has_follower, "nothing good came from that address"
    pair.follow()
    await until(lambda: pair.links.has_follower)
    await until(pair.is_equal)
    for stream in (silent, again):
        await stream.aclose()


# --- sends that wait --------------------------------------------------------------------------------------------------


async def test_a_send_is_confirmed_by_a_report_at_or_behind_its_end() -> None:
    queue = ConfirmationQueue(5, 1000, lambda: None)
    told: list[Any] = []
    for end in (10, 20, 30):
        queue.answer_when_confirmed(end, 1, lambda what, end=end: told.append((end, what)))
    queue.confirm(9)
    assert told == []
    queue.confirm(20)
    assert told == [(10, Confirmation.CONFIRMED), (20, Confirmation.CONFIRMED)]
    queue.confirm(-1)
    assert queue.confirmed_offset == 20
    queue.answer_when_confirmed(20, 1, lambda what: told.append(what))
    assert told[-1] is Confirmation.CONFIRMED


@pytest.mark.parametrize(("slaves", "end"), [(0, 10), (1, 1000), (1, 5000)])
async def test_without_a_slave_near_enough_the_answer_comes_at_once(slaves: int, end: int) -> None:
    told: list[Any] = []
    ConfirmationQueue(5, 1000, lambda: None).answer_when_confirmed(end, slaves, told.append)
    assert told == [Confirmation.NO_SLAVE]


async def test_a_send_is_given_up_when_its_own_time_is_over(autojump_clock: Any, nursery: trio.Nursery) -> None:
    queue = ConfirmationQueue(5, 1000, lambda: None)
    nursery.start_soon(queue.watch_timeouts)
    told: list[Any] = []
    began = trio.current_time()
    queue.answer_when_confirmed(10, 1, lambda what: told.append((what, trio.current_time() - began)))
    await trio.sleep(3)
    queue.answer_when_confirmed(20, 1, lambda what: told.append((what, trio.current_time() - began)))
    await trio.sleep(3)
    ((what, seconds),) = told
    assert what is Confirmation.TIMEOUT
    assert 5 <= seconds < 5.2
    await trio.sleep(3)
    assert told[1][0] is Confirmation.TIMEOUT
    assert 8 <= told[1][1] < 8.2
    queue.answer_when_confirmed(30, 1, lambda what: told.append(what))
    queue.give_up_waiting()
    assert told[-1] is Confirmation.TIMEOUT
    nursery.cancel_scope.cancel()
