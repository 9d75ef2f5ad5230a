"""Listening sockets of a node: accept, run each connection in a task of its own, close idle ones."""

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final

import trio

from rmqnode.net.connection import Connection
from rmqnode.protocol.frame import Frame

logger = logging.getLogger(__name__)

_BACKLOG: Final = 1024
"""As Java's server sets it."""

_IDLE_SCAN_SECONDS: Final = 30.0

_ACCEPT_RETRY_SECONDS: Final = 0.1
"""Pause after a failed accept, usually for want of file descriptors: connections that end free some."""


class BindError(Exception):
    """A listening socket could not be bound."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"can't listen on {host}:{port}: {reason}")


class Server:
    """Accepts connections on several sockets and keeps track of them.

    Args:
        on_frame: Handles each frame, see `Connection`.
        on_closed: Called once for each connection after it has ended.
        idle_seconds_max: A connection without traffic in either direction for so long is closed.
    """

    def __init__(
        self,
        on_frame: Callable[[Connection, Frame], None],
        on_closed: Callable[[Connection], None],
        idle_seconds_max: float,
    ) -> None:
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._idle_seconds_max = idle_seconds_max
        self.connections: set[Connection] = set()

    async def serve(self, listeners: Iterable[socket.socket]) -> None:
        """Accept and serve until cancelled; all sockets are closed then."""
        sockets = list(listeners)
        try:
            async with trio.open_nursery() as nursery:
                for sock in sockets:
                    nursery.start_soon(self._accept, sock, nursery)
                nursery.start_soon(self._close_idle_connections)
        finally:
            for sock in sockets:
                sock.close()

    async def wait_answers_sent(self) -> None:
        """Wait until nothing is left to send on any connection; give it a limit, a peer may never read."""
        for connection in list(self.connections):
            await connection.wait_sent()

    async def _accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(listener)
            except ConnectionError:
                await trio.lowlevel.checkpoint()
            except OSError as error:
                logger.error("accept failed reason=%s", error)
                await trio.sleep(_ACCEPT_RETRY_SECONDS)
            else:
                self._start(sock, nursery)

    def _start(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, self._on_frame)
        except OSError:
            # The peer was gone before we looked: no name, no state, nothing to tell anybody.
            sock.close()
            return
        self.connections.add(connection)
        nursery.start_soon(self._run, connection)

    async def _run(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            self._on_closed(connection)

    async def _close_idle_connections(self) -> None:
        while True:
            await trio.sleep(_IDLE_SCAN_SECONDS)
            limit = trio.current_time() - self._idle_seconds_max
            for connection in list(self.connections):
                if connection.last_activity < limit:
                    connection.close(f"idle for {self._idle_seconds_max:g} s")


def listen(hosts: Iterable[str], port: int) -> list[socket.socket]:
    """Bind one non-blocking listening socket for each host.

    Raises:
        BindError: A port is taken or an address is not one of this machine; nothing stays bound.
    """
    sockets: list[socket.socket] = []
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sockets.append(sock)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            for opened in sockets:
                opened.close()
            raise BindError(host, port, getattr(error, "strerror", None) or str(error)) from None
        sock.setblocking(False)
    return sockets
