"""The outgoing client: answers find their callers, and whatever happens to a connection ends in one of three errors."""

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.net import client as client_module
from rmqnode.net.client import RemotingClient
from rmqnode.net.connection import Connection
from rmqnode.net.errors import ConnectError, ConnectionLost, RemotingError, RequestTimeout
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command
from rmqnode.protocol.frame import Serialization
from rmqnode.protocol.routes import Reply

ECHO = RequestCode.HEART_BEAT
WAIT = RequestCode.LOCK_BATCH_MQ
"""The server keeps these until the test answers."""


def echo(text: bytes, **fields: Any) -> Command:
    return Command(code=ECHO, ext_fields={}, body=text, **fields)


def wait(text: bytes = b"") -> Command:
    return Command(code=WAIT, ext_fields={}, body=text)


async def error_of(request: Callable[[], Awaitable[Command]], into: list[RemotingError]) -> None:
    with pytest.raises(RemotingError) as caught:
        await request()
    into.append(caught.value)


@pytest.mark.parametrize("serialization", Serialization)
async def test_a_request_is_answered(client: RemotingClient, node: Any, serialization: Serialization) -> None:
    answer = await client.request(node.address, echo(b"hello", serialization=serialization))
    assert (answer.body, answer.serialization, answer.is_response) == (b"hello", serialization, True)


async def test_all_requests_to_an_address_share_one_connection(client: RemotingClient, node: Any) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(client.request, node.address, echo(b"%d" % number))
    assert len(node.handled) == 50
    assert len({request.connection for request in node.handled}) == 1
    assert len({request.opaque for request in node.handled}) == 50


async def test_many_in_flight_each_get_their_own_answer_in_any_order(client: RemotingClient, node: Any) -> None:
    answers: dict[bytes, bytes] = {}

    async def ask(text: bytes) -> None:
        answers[text] = (await client.request(node.address, wait(text), timeout_seconds=20)).body

    async with trio.open_nursery() as nursery:
        for number in range(2000):
            nursery.start_soon(ask, b"%d" % number)
        await node.wait_until(lambda: len(node.waiting) == 2000)
        for request in reversed(node.waiting):
            request.connection.reply(request, Reply(body=b"to " + request.body))
    assert answers == {b"%d" % number: b"to %d" % number for number in range(2000)}


async def test_no_answer_in_time_is_a_timeout_and_the_late_one_is_dropped(client: RemotingClient, node: Any) -> None:
    with pytest.raises(RequestTimeout, match=r"no answer within 0\.\d+ s") as caught:
        await client.request(node.address, wait(), timeout_seconds=0.2)
    assert caught.value.address == node.address
    (late,) = node.waiting
    late.connection.reply(late, Reply(body=b"too late"))
    answer = await client.request(node.address, echo(b"next"))
    assert answer.body == b"next"
    assert node.handled[0].connection is late.connection


async def test_a_lost_connection_ends_every_request_in_flight(client: RemotingClient, node: Any) -> None:
    errors: list[RemotingError] = []
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(error_of, lambda: client.request(node.address, wait(), timeout_seconds=60), errors)
        await node.wait_until(lambda: len(node.waiting) == 3)
        node.waiting[0].connection.close("the test wants it")
    assert [type(error) for error in errors] == [ConnectionLost] * 3
    assert {str(error) for error in errors} == {f"{node.address}: the peer closed it"}


async def test_after_a_lost_connection_the_next_request_makes_a_new_one(client: RemotingClient, node: Any) -> None:
    await client.request(node.address, echo(b""))
    node.handled[0].connection.close("the test wants it")
    await node.wait_until(lambda: not client._connections)
    assert (await client.request(node.address, echo(b"again"))).body == b"again"
    assert node.handled[0].connection is not node.handled[1].connection


async def test_nobody_listening_is_a_connect_error(client: RemotingClient, free_port: int) -> None:
    with pytest.raises(ConnectError) as caught:
        await client.request(f"127.0.0.1:{free_port}", echo(b""))
    assert str(caught.value) == f"127.0.0.1:{free_port}: no connection: Connection refused"
    assert caught.value.address == f"127.0.0.1:{free_port}"


@pytest.mark.parametrize("address", ["", "host", ":9876", "host:", "host:0", "host:65536", "host:abc", "host:-1"])
async def test_what_is_no_address_is_a_connect_error(client: RemotingClient, address: str) -> None:
    with pytest.raises(ConnectError, match="this is not an address of the form host:port"):
        await client.request(address, echo(b""))


async def test_requests_to_a_dead_peer_end_in_their_own_time(
    client: RemotingClient, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def never(found: object) -> socket.socket:
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(client_module, "_connect_to_first", never)
    errors: list[RemotingError] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(error_of, lambda: client.request("127.0.0.1:1", echo(b""), timeout_seconds=2), errors)
    assert [type(error) for error in errors] == [ConnectError] * 10
    assert trio.current_time() - start == pytest.approx(2, abs=0.5)


async def test_a_oneway_request_expects_nothing(client: RemotingClient, node: Any) -> None:
    await client.oneway(node.address, echo(b"oneway"))
    answer = await client.request(node.address, echo(b"asked"))
    assert answer.body == b"asked"
    assert [request.flag & FLAG_ONEWAY for request in node.handled] == [FLAG_ONEWAY, 0]


async def test_what_the_peer_asks_is_handed_on_and_its_end_is_told(node: Any) -> None:
    asked: list[Command] = []
    ended: list[str] = []
    came = trio.Event()

    def on_request(connection: Connection, command: Command) -> None:
        asked.append(command)
        came.set()

    async with RemotingClient(on_request, ended.append) as client:
        await client.request(node.address, echo(b""))
        node.handled[0].connection.send(Command(code=40, flag=FLAG_ONEWAY, ext_fields={"consumerGroup": "g"}))
        with trio.fail_after(10):
            await came.wait()
        node.handled[0].connection.close("the test wants it")
        await node.wait_until(lambda: bool(ended))
    assert [(command.code, command.ext_fields) for command in asked] == [(40, {"consumerGroup": "g"})]
    assert ended == [node.address]


async def test_requests_of_a_peer_are_ignored_without_a_taker(client: RemotingClient, node: Any) -> None:
    await client.request(node.address, echo(b""))
    node.handled[0].connection.send(Command(code=40, flag=FLAG_ONEWAY))
    assert (await client.request(node.address, echo(b"on"))).body == b"on"


async def test_leaving_the_client_closes_its_connections(node: Any) -> None:
    async with RemotingClient() as client:
        await client.request(node.address, echo(b""))
    await node.wait_until(lambda: len(node.closed) == 1)


async def test_an_error_in_its_block_comes_out_of_the_client_as_it_is(node: Any) -> None:
    async def fail_inside() -> None:
        async with RemotingClient() as client:
            await client.request(node.address, echo(b""))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_inside()
    with trio.move_on_after(0.01) as scope:
        async with RemotingClient() as client:
            await client.request(node.address, echo(b""))
            await trio.sleep_forever()
    assert scope.cancelled_caught
    await node.wait_until(lambda: len(node.closed) == 2)


async def test_closing_an_address_ends_its_connection_only(client: RemotingClient, node: Any) -> None:
    await client.request(node.address, echo(b""))
    client.close(node.address)
    client.close("127.0.0.1:1")
    await node.wait_until(lambda: len(node.closed) == 1)
    assert (await client.request(node.address, echo(b"again"))).body == b"again"


async def test_an_answer_that_is_garbage_is_a_lost_connection(client: RemotingClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = "{}:{}".format(*listening.getsockname())
        errors: list[RemotingError] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(error_of, lambda: client.request(address, wait(), timeout_seconds=30), errors)
            await trio.lowlevel.wait_readable(listening)
            accepted, _ = listening.accept()
            with accepted:
                accepted.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await trio.testing.wait_all_tasks_blocked()
                while not errors:
                    await trio.testing.wait_all_tasks_blocked(0.001)
    assert [type(error) for error in errors] == [ConnectionLost]
    assert "is above the maximum of 16777216 bytes" in str(errors[0])


async def test_a_client_that_is_not_open_connects_nowhere(node: Any) -> None:
    with pytest.raises(ConnectionLost, match="the client is not open"):
        await RemotingClient().request(node.address, echo(b""))


async def test_a_cancelled_request_leaves_the_connection_usable(client: RemotingClient, node: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.request, node.address, wait())
        await node.wait_until(lambda: len(node.waiting) == 1)
        nursery.cancel_scope.cancel()
    (connection,) = client._connections.values()
    assert connection._pending == {}
    assert (await client.request(node.address, echo(b"on"))).body == b"on"
