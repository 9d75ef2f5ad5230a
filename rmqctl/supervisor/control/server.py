"""The supervisor's end of the control socket: a Unix socket for its owner alone, one request per connection."""

import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from rmqctl.documents import decode_json
from rmqctl.supervisor.messages import CONTROL_VERSION, ControlRefusal, ControlRequest, LineBuffer, encode_line

logger = logging.getLogger(__name__)

_REQUEST_SECONDS = 5.0
_BACKLOG = 16
_SHARED_FOLDERS = (Path("/tmp"), Path("/var/tmp"))

_CONNECTIONS_MAX = 64
"""Each is a command of the owner's that waits or follows; with more than these the next one is told so."""

Reply = Callable[[msgspec.Struct], Awaitable[None]]
"""Sends one message to whoever asked."""

Answer = Callable[[ControlRequest, Reply], Awaitable[None]]
"""Answers a request with one message or several; cancelled when whoever asked hangs up."""


def open_control_socket(path: Path) -> socket.socket:
    """Listen on the control socket. The caller holds the home's lock, so a socket that is there already is stale.

    Raises:
        OSError: The folder cannot be used; PermissionError when it belongs to somebody else.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{path.parent} belongs to another user")
    if path.parent.parent in _SHARED_FOLDERS and path.parent.is_symlink():
        raise PermissionError(f"{path.parent} is a link that anybody could have made")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The permissions must be right from the first moment, so they come from the mask and not from a later chmod.
    mask = os.umask(stat.S_IXUSR | stat.S_IRWXG | stat.S_IRWXO)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(_BACKLOG)
    return listener


async def serve_control(listener: socket.socket, answer: Answer) -> None:
    """Answer requests until cancelled."""
    open_count = 0

    async def serve_quietly(stream: trio.SocketStream) -> None:
        nonlocal open_count
        open_count += 1
        try:
            async with stream:
                if open_count > _CONNECTIONS_MAX:
                    await _refuse(stream, f"{open_count - 1} commands are connected to the supervisor already")
                else:
                    await _serve_connection(stream, answer)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            # Whoever asked did not wait for the answer.
            pass
        except* Exception:
            # The edge of the supervisor: a defect in one answer must not end the process that keeps nodes running.
            logger.exception("control request failed")
        finally:
            open_count -= 1

    trio_socket = trio.socket.from_stdlib_socket(listener)
    await trio.serve_listeners(serve_quietly, [trio.SocketListener(trio_socket)])


async def _serve_connection(stream: trio.SocketStream, answer: Answer) -> None:
    request = await _read_request(stream)
    if isinstance(request, ControlRefusal):
        return await _refuse(stream, request.problem)

    async def reply(message: msgspec.Struct) -> None:
        await stream.send_all(encode_line(message))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_hangup, stream, nursery.cancel_scope)
        await answer(request, reply)
        nursery.cancel_scope.cancel()


async def _refuse(stream: trio.SocketStream, problem: str) -> None:
    with trio.move_on_after(_REQUEST_SECONDS):
        await stream.send_all(encode_line(ControlRefusal(problem=problem)))


async def _watch_hangup(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancel when the other end closes; a client that only half-closes has nobody who waits either."""
    while await stream.receive_some(4096):
        pass
    scope.cancel()


async def _read_request(stream: trio.SocketStream) -> ControlRequest | ControlRefusal:
    buffer = LineBuffer()
    with trio.move_on_after(_REQUEST_SECONDS):
        while data := await stream.receive_some(4096):
            try:
                lines = buffer.feed(bytes(data))
            except ValueError as error:
                return ControlRefusal(problem=f"not a request: {error}")
            if lines:
                return parse_request(lines[0])
    return ControlRefusal(problem="the request was not complete")


def parse_request(line: bytes) -> ControlRequest | ControlRefusal:
    """Understand a request, or say why not."""
    try:
        request = decode_json(line, type=ControlRequest)
    except msgspec.DecodeError as error:
        return ControlRefusal(problem=f"not a request: {error}")
    if request.version != CONTROL_VERSION:
        return ControlRefusal(
            problem=f"the supervisor speaks version {CONTROL_VERSION}, the command version {request.version}"
        )
    return request
