"""A server against peers that behave, misbehave, read slowly or fall silent."""

import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.net import connection as connection_module
from rmqnode.net.connection import Connection
from rmqnode.net.listening import BindError, listen
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_ONEWAY, FLAG_RESPONSE, Command, encode_command
from rmqnode.protocol.frame import Serialization, encode_frame

Connect = Callable[[], Awaitable[Any]]

ECHO = RequestCode.HEART_BEAT
SLOW = RequestCode.SEARCH_OFFSET_BY_TIMESTAMP
UNKNOWN = 4711

GARBAGE = {
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "is above the maximum of 16777216 bytes"),
    "too large": (struct.pack(">iI", 2**24, 4), "is above the maximum of 16777216 bytes"),
    "negative length": (struct.pack(">iI", -5, 4), "a frame announces a length of -5 bytes"),
    "header longer than frame": (struct.pack(">iI", 8, 50), "a frame of 8 bytes announces a header of 50 bytes"),
    "unknown serialization": (struct.pack(">iI", 8, 9 << 24 | 4), "unknown serialization type 9"),
    "invalid UTF-8": (encode_frame(0, b'{"code":1,"remark":"\xff\xfe"}'), "a JSON header can't be read"),
    "no JSON": (encode_frame(0, b"hello"), "a JSON header can't be read"),
    "deep JSON": (encode_frame(0, b'{"code":34,"x":' + b"[" * 200_000), "a JSON header can't be read"),
    "short binary header": (encode_frame(1, b"abc"), "a binary header of 3 bytes is too short"),
}


def echo(text: bytes, **fields: Any) -> Command:
    return Command(code=ECHO, ext_fields={}, body=text, **fields)


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_closes_its_own_connection_with_one_log_line(
    connect: Connect, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    garbage, reason = GARBAGE[kind]
    bad, good = await connect(), await connect()
    assert (await good.ask(echo(b"before"))).body == b"before"
    await bad.send(garbage)
    await bad.wait_closed()
    assert (await good.ask(echo(b"after"))).body == b"after"
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith(f"connection closed peer={bad.name} reason=")
    assert reason in line


async def test_what_came_before_a_bad_header_in_the_same_write_is_answered(peer: Any) -> None:
    await peer.send(echo(b"first"), encode_frame(0, b"garbage"))
    assert (await peer.receive()).body == b"first"
    await peer.wait_closed()


@pytest.mark.parametrize("serialization", Serialization)
async def test_an_unknown_code_is_answered_in_the_serialization_of_the_request(
    peer: Any, serialization: Serialization
) -> None:
    answer = await peer.ask(Command(code=UNKNOWN, opaque=77, serialization=serialization))
    assert answer == Command(
        code=ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
        opaque=77,
        flag=FLAG_RESPONSE,
        remark=" request type 4711 not supported",
        serialization=serialization,
    )


@pytest.mark.parametrize("serialization", Serialization)
async def test_a_request_is_answered_in_its_serialization(peer: Any, serialization: Serialization) -> None:
    fields = {"topic": "t", "queueId": "3"}
    request = Command(code=RequestCode.GET_MAX_OFFSET, opaque=5, ext_fields=fields, serialization=serialization)
    answer = await peer.ask(request)
    assert answer == Command(
        code=0, opaque=5, flag=FLAG_RESPONSE, ext_fields={"offset": "3"}, serialization=serialization
    )


async def test_a_large_opaque_comes_back_as_it_was(peer: Any) -> None:
    await peer.send(encode_frame(0, b'{"code":34,"opaque":-2147483648,"extFields":{}}'))
    assert (await peer.receive()).opaque == -(2**31)


async def test_oneway_requests_stay_unanswered_whatever_they_ask(peer: Any, node: Any) -> None:
    await peer.send(
        Command(code=UNKNOWN, opaque=1, flag=FLAG_ONEWAY),
        Command(code=RequestCode.GET_MAX_OFFSET, opaque=2, flag=FLAG_ONEWAY),
        Command(code=RequestCode.GET_MIN_OFFSET, opaque=3, flag=FLAG_ONEWAY, ext_fields={}),
        Command(code=RequestCode.UNREGISTER_CLIENT, opaque=4, flag=FLAG_ONEWAY, ext_fields={}),
        echo(b"oneway", opaque=5, flag=FLAG_ONEWAY),
        echo(b"last", opaque=6),
    )
    assert (await peer.receive()).opaque == 6
    assert [request.body for request in node.handled] == [b"oneway", b"last"]


async def test_a_response_that_nobody_waits_for_is_dropped(peer: Any) -> None:
    await peer.send(Command(code=0, opaque=3, flag=FLAG_RESPONSE))
    assert (await peer.ask(echo(b"still here"))).body == b"still here"


async def test_a_wrong_field_is_answered_and_the_connection_goes_on(peer: Any) -> None:
    fields = {"topic": "t", "queueId": "three"}
    answer = await peer.ask(Command(code=RequestCode.GET_MAX_OFFSET, opaque=8, ext_fields=fields))
    assert (answer.code, answer.opaque) == (ResponseCode.SYSTEM_ERROR, 8)
    assert answer.remark == "QueueRequestHeader: field 'queueId' is not a decimal int: 'three'"
    assert (await peer.ask(echo(b"on"))).body == b"on"


async def test_a_defect_in_a_handler_costs_one_request(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    answer = await peer.ask(Command(code=RequestCode.GET_MIN_OFFSET, opaque=4, ext_fields={}))
    assert (answer.code, answer.remark) == (ResponseCode.SYSTEM_ERROR, "ZeroDivisionError: a defect of ours")
    assert "request failed code=GET_MIN_OFFSET (31) opaque=4" in caplog.text
    assert "Traceback" in caplog.text
    assert (await peer.ask(echo(b"on"))).body == b"on"


async def test_a_body_that_cannot_be_read_is_answered_and_leaves_no_traceback(
    peer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await peer.ask(Command(code=RequestCode.UNLOCK_BATCH_MQ, ext_fields={}, body=b"{broken"))
    assert answer.code == ResponseCode.SYSTEM_ERROR
    assert answer.remark.startswith("FastjsonError: ")
    assert caplog.text == ""
    assert (await peer.ask(echo(b"on"))).body == b"on"


async def test_a_refusal_is_answered_with_its_code_and_remark(peer: Any) -> None:
    answer = await peer.ask(Command(code=RequestCode.UNREGISTER_CLIENT, ext_fields={}))
    assert (answer.code, answer.remark) == (ResponseCode.NO_PERMISSION, "not you")


async def test_a_reply_that_comes_later_finds_its_request(peer: Any, node: Any) -> None:
    await peer.send(Command(code=RequestCode.LOCK_BATCH_MQ, opaque=1, ext_fields={}), echo(b"", opaque=2))
    assert (await peer.receive()).opaque == 2
    (request,) = node.waiting
    request.connection.reply(request, connection_module.Reply(body=b"late"))
    answer = await peer.receive()
    assert (answer.opaque, answer.body) == (1, b"late")


async def test_a_request_that_comes_byte_by_byte_is_answered(peer: Any) -> None:
    for byte in encode_command(echo(b"slow")):
        await peer.send(bytes([byte]))
    assert (await peer.receive()).body == b"slow"


async def test_the_end_of_a_connection_is_told_once(peer: Any, node: Any) -> None:
    await peer.ask(echo(b""))
    (served,) = node.server.connections
    await peer.stream.aclose()
    await node.wait_until(lambda: bool(node.closed))
    assert node.closed == [served]
    assert served.is_closed
    assert not node.server.connections


class CountingSocket(socket.socket):
    """Counts the calls that write."""

    sends = 0

    def send(self, data: Any, flags: int = 0, /) -> int:
        self.sends += 1
        return super().send(data, flags)


def connected_pair() -> tuple[CountingSocket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    counting = CountingSocket(fileno=ours.detach())
    for sock in (counting, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return counting, theirs


async def test_what_one_read_brings_is_answered_in_order_by_one_write(
    nursery: trio.Nursery,
    node: Any,
    peer_of: Callable[[trio.SocketStream], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "_TURN_SECONDS", 60)  # however busy the machine is
    ours, theirs = connected_pair()
    pipelined = b"".join(encode_command(echo(b"%d" % number, opaque=number)) for number in range(300))
    theirs.send(pipelined)
    nursery.start_soon(Connection(ours, node.dispatch).run)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    async with stream:
        peer = peer_of(stream)
        answers = [await peer.receive() for _ in range(300)]
    assert [answer.opaque for answer in answers] == list(range(300))
    assert [answer.body for answer in answers] == [b"%d" % number for number in range(300)]
    assert len(pipelined) < 65_536
    assert ours.sends == 1


async def test_a_peer_that_asks_much_at_once_lets_others_go_between_and_gets_it_all(
    connect: Connect, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_TURN_SECONDS", 0)
    greedy, other = await connect(), await connect()
    count = 300
    await greedy.send(*(echo(b"greedy", opaque=number) for number in range(count)), b"garbage!")
    assert (await other.ask(echo(b"other"))).body == b"other"
    assert len(node.handled) < count
    assert [(await greedy.receive()).opaque for _ in range(count)] == list(range(count))
    await greedy.wait_closed()


async def test_small_requests_with_large_answers_do_not_pile_up_in_memory(
    nursery: trio.Nursery, peer_of: Callable[[trio.SocketStream], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_ANSWERS_BYTES_AT_ONCE", 100_000)
    monkeypatch.setattr(connection_module, "_BACKLOG_BYTES_PAUSE", 1_000_000)
    ours, theirs = connected_pair()
    count = 500
    theirs.send(b"".join(encode_command(echo(b"")) for _ in range(count)))
    answer = Command(code=0, flag=FLAG_RESPONSE, body=bytes(60_000))
    connection = Connection(ours, lambda connection, frame: connection.send(answer))
    async with trio.SocketStream(trio.socket.from_stdlib_socket(theirs)) as stream:
        nursery.start_soon(connection.run)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert 1_000_000 < connection._backlog_bytes < 1_300_000
        peer = peer_of(stream)
        for _ in range(count):
            assert (await peer.receive()).body == answer.body


async def test_a_peer_that_does_not_read_is_not_read_from_and_loses_nothing(
    connect: Connect, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, other = await connect(), await connect()
    monkeypatch.setattr(connection_module, "_BACKLOG_BYTES_PAUSE", 1_000_000)
    body = bytes(60_000)
    count = 1000
    async with trio.open_nursery() as sending:
        sending.start_soon(peer.send, *(echo(body, opaque=number) for number in range(count)))
        await node.wait_until(lambda: any(each._backlog_bytes > 1_000_000 for each in node.server.connections))
        await trio.testing.wait_all_tasks_blocked(0.05)
        (connection,) = (each for each in node.server.connections if each.peer == peer.name)
        handled = len(node.handled)
        assert connection._backlog_bytes < 1_300_000
        assert handled < count
        assert (await other.ask(echo(b"me too"))).body == b"me too"
        assert len(node.handled) == handled + 1
        answers = [await peer.receive() for _ in range(count)]
    assert [answer.opaque for answer in answers] == list(range(count))
    assert all(answer.body == body for answer in answers)


async def test_a_peer_that_never_reads_what_is_pushed_to_it_is_dropped_at_the_bound(
    connect: Connect, node: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection_module, "_BACKLOG_BYTES_MAX", 4_000_000)
    deaf, good = await connect(), await connect()
    await deaf.ask(echo(b""))
    connection = node.handled[0].connection
    pushed = Command(code=1, body=bytes(500_000))
    for _ in range(100):
        connection.send(pushed)
        assert connection._backlog_bytes <= 4_600_000
    assert connection.is_closed
    await node.wait_until(lambda: node.closed == [connection])
    assert f"connection closed peer={deaf.name} reason=it does not read its answers" in caplog.text
    assert (await good.ask(echo(b"on"))).body == b"on"


async def test_a_connection_without_traffic_is_closed_and_others_stay(
    connect: Connect, node: Any, mock_clock: trio.testing.MockClock
) -> None:
    silent, busy = await connect(), await connect()
    await silent.ask(echo(b""))
    await busy.ask(echo(b""))
    mock_clock.jump(100)
    await busy.ask(echo(b""))
    mock_clock.jump(50)
    await silent.wait_closed()
    assert (await busy.ask(echo(b"on"))).body == b"on"
    assert [connection.close_reason for connection in node.closed] == ["idle for 120 s"]


def test_a_taken_port_is_named_and_nothing_stays_bound(free_port: int) -> None:
    (taken,) = listen(["127.0.0.1"], 0)
    port = taken.getsockname()[1]
    with taken, pytest.raises(BindError) as caught:
        listen(["127.0.0.2", "127.0.0.1"], port)
    assert str(caught.value) == f"can't listen on 127.0.0.1:{port}: Address already in use"
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
    for sock in listen(["127.0.0.2"], port):
        sock.close()


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_cannot_be_is_a_bind_error(port: int) -> None:
    with pytest.raises(BindError, match=f"can't listen on 127.0.0.1:{port}: "):
        listen(["127.0.0.1"], port)


async def test_stopping_the_server_closes_its_connections(peer: Any, node: Any) -> None:
    await peer.ask(echo(b""))
    node.scope.cancel()
    await peer.wait_closed()
    assert not node.server.connections
    assert [connection.is_closed for connection in node.closed] == [True]


async def test_frames_know_how_long_the_loop_has_worked_for_others_since_they_were_read(peer: Any) -> None:
    await peer.send(*(Command(code=SLOW, opaque=number) for number in range(10)))
    waits = [int((await peer.receive()).ext_fields["offset"]) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[0] == 0
    assert waits[-1] >= 10
    assert int((await peer.ask(Command(code=SLOW))).ext_fields["offset"]) == 0


async def test_a_peer_that_is_gone_before_it_is_accepted_costs_nobody_anything(
    node: Any, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(40):  # in one turn of the loop: the server accepts none of them before it is reset
        gone = socket.create_connection(("127.0.0.1", node.port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
    peer = await connect()
    assert (await peer.ask(echo(b"there"))).body == b"there"
    await node.wait_until(lambda: len(node.server.connections) == 1)
    assert node.server.admission.budget.used == 1
    assert caplog.records == []
