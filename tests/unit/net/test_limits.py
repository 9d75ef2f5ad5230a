"""All connections together: bytes in flight, places, descriptors; who has to go when there are no more."""

import errno
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.net import listening
from rmqnode.net.admission import Admission, is_loopback
from rmqnode.net.budgets import Budget, close_worst
from rmqnode.net.server import ServerLimits
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command, encode_command

StartNode = Callable[[ServerLimits], Any]
ConnectTo = Callable[[Any], Awaitable[Any]]

MIB = 1024 * 1024


def echo(body: bytes, **fields: Any) -> Command:
    return Command(code=RequestCode.HEART_BEAT, ext_fields={}, body=body, **fields)


def part_of_a_frame(announced_bytes: int, sent_bytes: int) -> bytes:
    return struct.pack(">iI", announced_bytes, 20) + bytes(sent_bytes)


async def test_partial_frames_of_all_connections_stay_within_the_budget_and_who_holds_least_is_served(
    start_node: StartNode, connect_to: ConnectTo
) -> None:
    node = start_node(ServerLimits(bytes_in_flight_max=8 * MIB))
    small = await connect_to(node)
    await small.send(part_of_a_frame(300_000, 1000))
    greedy = [await connect_to(node) for _ in range(20)]
    async with trio.open_nursery() as nursery:
        for each in greedy:
            nursery.start_soon(send_until_closed, each, part_of_a_frame(16_000_000, 3 * MIB))
        await node.wait_until(lambda: node.server.bytes_in_flight.closed >= 12)
    budget = node.server.bytes_in_flight
    assert budget.used <= budget.maximum
    assert budget.used == sum(each.held_bytes for each in node.server.connections)
    open_names = {each.peer for each in node.server.connections}
    assert small.name in open_names, "a connection below its fair share is never closed"
    assert "bytesInFlight" in node.full
    other = await connect_to(node)
    assert (await other.ask(echo(b"me too"))).body == b"me too"


async def send_until_closed(peer: Any, data: bytes) -> None:
    try:
        await peer.send(data)
    except trio.BrokenResourceError:
        return


async def test_readers_that_do_not_read_share_the_budget_and_lose_nothing(
    start_node: StartNode, connect_to: ConnectTo
) -> None:
    node = start_node(ServerLimits(bytes_in_flight_max=4 * MIB))
    deaf = [await connect_to(node) for _ in range(6)]
    count, body = 400, bytes(50_000)
    async with trio.open_nursery() as nursery:
        for each in deaf:
            nursery.start_soon(each.send, *(echo(body, opaque=number) for number in range(count)))
        await trio.testing.wait_all_tasks_blocked(0.3)
        budget = node.server.bytes_in_flight
        assert 2 * MIB < budget.used <= 4 * MIB
        assert (await (await connect_to(node)).ask(echo(b"other"))).body == b"other"
        for each in deaf:
            assert [(await each.receive()).opaque for _ in range(count)] == list(range(count))
    assert budget.closed == 0
    await node.wait_until(lambda: budget.used == 0)


async def test_what_a_closed_connection_held_is_free_again(start_node: StartNode, connect_to: ConnectTo) -> None:
    node = start_node(ServerLimits())
    peer = await connect_to(node)
    await peer.send(part_of_a_frame(10_000_000, 5_000_000))
    await node.wait_until(lambda: node.server.bytes_in_flight.used > 4_900_000)
    await trio.aclose_forcefully(peer.stream)
    await node.wait_until(lambda: node.server.bytes_in_flight.used == 0)


async def test_a_frame_whose_rest_does_not_come_closes_its_connection_after_its_time(
    start_node: StartNode, connect_to: ConnectTo, mock_clock: trio.testing.MockClock
) -> None:
    node = start_node(ServerLimits(frame_silence_seconds_max=10))
    slow, idle = await connect_to(node), await connect_to(node)
    await idle.ask(echo(b""))
    frame = encode_command(echo(b"slow"))
    for byte in frame[:-1]:
        await slow.send(bytes([byte]))
        await node.wait_until(lambda: sum(each.held_bytes for each in node.server.connections) > 0)
    mock_clock.jump(9)
    await trio.testing.wait_all_tasks_blocked(0.01)
    await slow.send(frame[-1:])
    assert (await slow.receive()).body == b"slow"
    await slow.send(frame[:5])
    await node.wait_until(lambda: node.server.bytes_in_flight.used == 5)
    mock_clock.jump(11)
    await slow.wait_closed()
    assert (await idle.ask(echo(b"on"))).body == b"on"
    (closed,) = node.closed
    assert closed.close_reason == "nothing of the rest of a frame came for 10 s"


async def test_a_newcomer_gets_the_place_of_one_that_never_asked_and_who_works_stays(
    start_node: StartNode, connect_to: ConnectTo, mock_clock: trio.testing.MockClock
) -> None:
    node = start_node(ServerLimits(connections_max=10))
    working = [await connect_to(node) for _ in range(4)]
    for each in working:
        await each.ask(echo(b""))
    mute = [await connect_to(node) for _ in range(6)]
    await node.wait_until(lambda: len(node.server.connections) == 10)
    refused = await connect_to(node)
    await refused.wait_closed()
    mock_clock.jump(2)
    newcomer = await connect_to(node)
    assert (await newcomer.ask(echo(b"in"))).body == b"in"
    await node.wait_until(lambda: len(node.closed) == 1)
    assert node.closed[0].peer in {each.name for each in mute}
    for each in working:
        assert (await each.ask(echo(b"on"))).body == b"on"
    places = node.server.admission.budget
    assert (places.used, places.refused, places.closed) == (10, 1, 1)
    assert node.full == ["connections", "connections"]


async def test_of_those_that_asked_the_longest_silent_gives_way_after_a_minute(
    start_node: StartNode, connect_to: ConnectTo, mock_clock: trio.testing.MockClock
) -> None:
    node = start_node(ServerLimits(connections_max=3))
    old, middle, young = [await connect_to(node) for _ in range(3)]
    for each in (old, middle, young):
        await each.ask(echo(b""))
        mock_clock.jump(20)
    refused = await connect_to(node)
    await refused.wait_closed()
    mock_clock.jump(5)
    newcomer = await connect_to(node)
    assert (await newcomer.ask(echo(b"in"))).body == b"in"
    await old.wait_closed()
    for each in (middle, young):
        assert (await each.ask(echo(b"on"))).body == b"on"


class Silent:
    """A connection as `Admission` sees it."""

    def __init__(self, host: str, request_count: int = 0) -> None:
        self.host = host
        self.request_count = request_count
        self.last_activity = trio.current_time() - 1000
        self.is_closed = False

    def close(self, reason: str) -> None:
        self.is_closed = True


async def test_the_address_with_most_connections_gives_way_first() -> None:
    connections: list[Any] = []
    admission = Admission(Budget("connections", 32), 0, connections)
    for host in ["10.0.0.1"] * 3 + ["10.0.0.9"] * 29:
        connections.append(Silent(host, request_count=1 if host.endswith("9") else 0))
        admission.opened(connections[-1])
    assert admission.admit("10.0.0.5")
    closed = [each for each in connections if each.is_closed]
    assert [each.host for each in closed] == ["10.0.0.9"] * 2
    assert admission.admit("10.0.0.6"), "what is closed and not ended yet is free already"
    assert sum(each.is_closed for each in connections) == 2


async def test_one_address_gets_half_of_the_places_and_the_loopback_all() -> None:
    admission = Admission(Budget("connections", 10), 0, [])
    for host in ["192.0.2.1"] * 5 + ["127.0.0.1"] * 5:
        assert admission.admit(host)
        connection: Any = Silent(host)
        admission.opened(connection)
        if host == "127.0.0.1":
            admission.ended(connection)
    assert not admission.admit("192.0.2.1")
    assert admission.admit("192.0.2.2")
    for _ in range(5):
        admission.opened(Silent("127.0.0.1"))  # type: ignore[arg-type]
    assert admission.budget.free == 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), ("fe80::1%eth0", False),
     ("10.0.0.1", False), ("nonsense", False)],
)  # fmt: skip
def test_addresses_of_the_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


class FakeHolder:
    def __init__(self, budget: Budget, held_bytes: int, is_stalled: bool = False) -> None:
        self.budget = budget
        self.held_bytes = held_bytes
        self.is_stalled = is_stalled
        budget.used += held_bytes

    def close(self, reason: str) -> None:
        self.budget.used -= self.held_bytes
        self.held_bytes = 0


def test_stalled_holders_go_before_larger_ones_and_small_ones_never() -> None:
    budget = Budget("bytesInFlight", 1000)
    moving = FakeHolder(budget, 500)
    stalled = FakeHolder(budget, 350, is_stalled=True)
    small = [FakeHolder(budget, 100, is_stalled=True) for _ in range(2)]
    close_worst(budget, [*small, moving, stalled])
    assert (stalled.held_bytes, moving.held_bytes) == (0, 500)
    assert [each.held_bytes for each in small] == [100, 100]
    assert (budget.used, budget.closed) == (700, 1)


class FullListener:
    """A listening socket of a process that has no descriptor left until `accept` was called with one closed."""

    def __init__(self) -> None:
        self.accepted: list[socket.socket] = []
        self.peers: list[socket.socket] = []
        self.calls = 0
        self.scope = trio.CancelScope()

    def accept(self) -> tuple[socket.socket, None]:
        self.calls += 1
        if self.calls == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if self.calls > 3:
            self.scope.cancel()
            raise ConnectionAbortedError
        ours, theirs = socket.socketpair()
        self.accepted.append(ours)
        self.peers.append(theirs)
        return ours, None

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1


async def test_without_descriptors_room_is_made_and_who_waits_is_hung_up_on() -> None:
    listener: Any = FullListener()
    made_room: list[bool] = []
    started: list[socket.socket] = []
    with listener.scope:
        await listening.accept(listener, started.append, on_no_descriptor=lambda: made_room.append(True))
    assert made_room == [True]
    assert [each.fileno() == -1 for each in listener.accepted] == [True, True]
    assert started == []
    for each in (*listener.accepted, *listener.peers):
        each.close()
