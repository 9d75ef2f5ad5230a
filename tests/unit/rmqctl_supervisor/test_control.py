"""The control socket: permissions, versions, bad requests."""

import socket
import stat
from pathlib import Path

import pytest
import trio

from rmqctl.errors import UnreachableError
from rmqctl.supervisor.control.client import ControlClient
from rmqctl.supervisor.control.server import Reply, open_control_socket, parse_request, serve_control
from rmqctl.supervisor.messages import (
    ControlRefusal,
    ControlRequest,
    LineBuffer,
    NodeChanged,
    StatusReport,
    Stopped,
    encode_line,
)
from rmqctl.supervisor.node_state import NodeStatus


async def answer(request: ControlRequest, reply: Reply) -> None:
    if request.request == "status":
        await reply(StatusReport(state="running", nodes=[]))
        return
    await reply(NodeChanged(node="broker-a-0", state=NodeStatus.STOPPING, pid=1))
    await reply(Stopped())


def test_only_the_owner_may_use_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "run" / "supervisor.sock"
    open_control_socket(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.sock"
    open_control_socket(path).close()
    with open_control_socket(path) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        listener.accept()[0].close()


async def test_command_gets_status_and_events(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.sock"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, open_control_socket(path), answer)

        def ask() -> tuple[StatusReport, list[object]]:
            status = ControlClient(str(path), ControlRequest(request="status"), 5.0)
            stop = ControlClient(str(path), ControlRequest(request="stop"), 5.0)
            try:
                return status.status(), list(stop.events())
            finally:
                status.close()
                stop.close()

        report, events = await trio.to_thread.run_sync(ask)
        nursery.cancel_scope.cancel()
    assert report.state == "running"
    assert events == [NodeChanged(node="broker-a-0", state=NodeStatus.STOPPING, pid=1), Stopped()]


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"[]", b'{"request": "burn"}', b'{"request": "stop", "version": 99}']
)
def test_request_that_is_not_understood_is_refused_with_the_reason(line: bytes) -> None:
    refusal = parse_request(line)
    assert isinstance(refusal, ControlRefusal)
    assert refusal.problem


async def test_bad_and_broken_requests_leave_the_server_serving(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.sock"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, open_control_socket(path), answer)
        for request in (b"nonsense\n", b"", b"x" * 5000, encode_line(ControlRequest(request="status", version=1))):
            async with await trio.open_unix_socket(str(path)) as stream:
                await stream.send_all(request)
                await stream.send_eof()
                received = b"".join([bytes(chunk) async for chunk in stream])
            assert b"refusal" in received
        async with await trio.open_unix_socket(str(path)) as stream:
            await stream.send_all(encode_line(ControlRequest(request="status")))
            assert b"running" in b"".join([bytes(chunk) async for chunk in stream])
        nursery.cancel_scope.cancel()


def test_socket_without_a_supervisor_is_unreachable_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="the supervisor does not answer"):
        ControlClient(str(tmp_path / "nothing"), ControlRequest(request="status"), 1.0)


def test_line_buffer_gives_whole_lines_only_and_has_a_limit() -> None:
    buffer = LineBuffer()
    assert buffer.feed(b"one\ntw") == [b"one"]
    assert buffer.feed(b"o\n") == [b"two"]
    with pytest.raises(ValueError, match="a line of more than"):
        buffer.feed(b"x" * (1 << 21))


async def test_answer_is_cancelled_when_whoever_asked_hangs_up(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.sock"
    asked, cancelled = trio.Event(), trio.Event()

    async def answer_for_ever(_request: ControlRequest, _reply: Reply) -> None:
        asked.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, open_control_socket(path), answer_for_ever)
        async with await trio.open_unix_socket(str(path)) as stream:
            await stream.send_all(encode_line(ControlRequest(request="status")))
            await asked.wait()
        with trio.fail_after(5):
            await cancelled.wait()
        nursery.cancel_scope.cancel()


async def test_so_many_commands_at_once_are_served_and_the_next_is_told(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.sock"

    async def answer_for_ever(_request: ControlRequest, _reply: Reply) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, open_control_socket(path), answer_for_ever)
        waiting = []
        for _ in range(64):
            waiting.append(await trio.open_unix_socket(str(path)))
            await waiting[-1].send_all(encode_line(ControlRequest(request="status")))
        with trio.fail_after(10):
            async with await trio.open_unix_socket(str(path)) as stream:
                assert b"64 commands are connected" in b"".join([bytes(chunk) async for chunk in stream])
        nursery.cancel_scope.cancel()
    for each in waiting:
        await trio.aclose_forcefully(each)


async def test_a_line_without_end_is_refused_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "supervisor.sock"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, open_control_socket(path), answer)
        async with await trio.open_unix_socket(str(path)) as stream:
            nursery.start_soon(_send_until_closed, stream, b"x" * (1 << 22))
            with trio.fail_after(10):
                received = await stream.receive_some()
            assert b"a line of more than" in received
        nursery.cancel_scope.cancel()
    assert caplog.text == ""


async def _send_until_closed(stream: trio.SocketStream, data: bytes) -> None:
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
