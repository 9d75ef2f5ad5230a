"""Outgoing connections: one per address, shared by all requests, made when first needed.

Source: `NettyRemotingClient` (RocketMQ 4.5.2): one connection per server address, answers are matched by
`opaque` alone.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Self

import trio

from rmqnode.net.connection import Connection
from rmqnode.net.errors import ConnectError, ConnectionLost
from rmqnode.net.stream_socket import StreamSocket
from rmqnode.protocol.command import FLAG_ONEWAY, Command, decode_command
from rmqnode.protocol.frame import Frame

CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""`NettyClientConfig.connectTimeoutMillis`."""


class RemotingClient:
    """Sends requests to any number of peers. An async context manager; leaving it closes all connections.

    Args:
        on_request: Takes requests that a peer sends to us; without it they are ignored.
        on_closed: Called with the address when a connection ends.
        on_connected: Called with the address when a connection was made.
        open_socket: Connects to `host:port`; `connect_socket` unless addresses are translated or streams wrapped.
    """

    def __init__(
        self,
        on_request: Callable[[Connection, Command], None] | None = None,
        on_closed: Callable[[str], None] | None = None,
        *,
        on_connected: Callable[[str], None] | None = None,
        open_socket: Callable[[str], Awaitable[StreamSocket]] | None = None,
    ) -> None:
        self._on_request = on_request
        self._on_closed = on_closed
        self._on_connected = on_connected
        self._open_socket = open_socket or connect_socket
        self._connections: dict[str, Connection] = {}
        self._connecting: dict[str, trio.Lock] = {}
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        # Not before: a client can be made where no event loop runs.
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._nursery is not None
        assert self._nursery_manager is not None
        self._nursery.cancel_scope.cancel()
        # The nursery gets no exception of its owner's: it would come out wrapped in a group.
        await self._nursery_manager.__aexit__(None, None, None)

    async def request(self, address: str, command: Command, *, timeout_seconds: float = 3.0) -> Command:
        """Send a request to `ip:port` and wait for the response; connecting counts into the time.

        Raises:
            RemotingError: ConnectError, RequestTimeout or ConnectionLost.
        """
        deadline = trio.current_time() + timeout_seconds
        connection = await self.connect(address, min(timeout_seconds, CONNECT_TIMEOUT_SECONDS))
        return await connection.call(command, max(0.001, deadline - trio.current_time()))

    async def oneway(self, address: str, command: Command) -> None:
        """Send a request that wants no answer.

        Raises:
            RemotingError: There is no connection, and none can be made.
        """
        connection = await self.connect(address)
        command.flag |= FLAG_ONEWAY
        connection.send(command)
        await connection.wait_sent()

    def open_connection(self, address: str) -> Connection | None:
        """Return the connection to an address if there is one; makes none."""
        connection = self._connections.get(address)
        return None if connection is None or connection.is_closed else connection

    async def connect(self, address: str, timeout_seconds: float = CONNECT_TIMEOUT_SECONDS) -> Connection:
        """Return the open connection to an address, or make one.

        Raises:
            ConnectError: It can't be made.
        """
        connection = self._connections.get(address)
        if connection is not None and not connection.is_closed:
            return connection
        try:
            # The wait for somebody else's attempt counts too: many requests to a dead peer must not queue up.
            with trio.fail_after(timeout_seconds):
                async with self._connecting.setdefault(address, trio.Lock()):
                    connection = self._connections.get(address)
                    if connection is None or connection.is_closed:
                        connection = await self._open(address)
        except trio.TooSlowError:
            raise ConnectError(address, f"no connection within {timeout_seconds:g} s") from None
        return connection

    async def wait_sent(self) -> None:
        """Wait until what was sent so far has left, on every connection."""
        for connection in tuple(self._connections.values()):
            await connection.wait_sent()

    def close(self, address: str, reason: str = "not needed any more") -> None:
        """Close the connection to an address, if there is one."""
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close(reason)

    async def _open(self, address: str) -> Connection:
        if self._nursery is None:
            raise ConnectionLost(address, "the client is not open")
        sock = await self._open_socket(address)
        try:
            connection = self._connections[address] = Connection(sock, self._on_frame)
        except OSError as error:
            # The peer hung up between the handshake and our first look.
            sock.close()
            raise ConnectError(address, f"no connection: {_reason(error)}") from None
        self._nursery.start_soon(self._run, address, connection)
        if self._on_connected is not None:
            self._on_connected(address)
        return connection

    async def _run(self, address: str, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            if self._connections.get(address) is connection:
                del self._connections[address]
            if self._on_closed is not None:
                self._on_closed(address)

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        command = decode_command(frame)
        if command.is_response:
            connection.resolve(command)
        elif self._on_request is not None:
            self._on_request(connection, command)


async def connect_socket(address: str) -> socket.socket:
    """Connect to `host:port`; the socket does not block.

    Raises:
        ConnectError: It is no address, or nobody listens there.
    """
    host, _, port_text = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port_text.isdecimal() or not 0 < int(port_text) < 65_536:
        raise ConnectError(address, "this is not an address of the form host:port")
    try:
        found = await trio.socket.getaddrinfo(host, int(port_text), type=socket.SOCK_STREAM)
        return await _connect_to_first(found)
    except OSError as error:
        raise ConnectError(address, f"no connection: {_reason(error)}") from None


async def _connect_to_first(found: Sequence[tuple[int, int, int, str, Any]]) -> socket.socket:
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await trio.socket.from_stdlib_socket(sock).connect(address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError("the name has no address")


def _reason(error: OSError) -> str:
    """Return the system's own words; trio puts the address before them, which callers know."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
