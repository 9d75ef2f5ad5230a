"""The connections of a node: accept them, run each connection in a task of its own, close idle ones."""

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final

import trio

from rmqnode.net.connection import Connection
from rmqnode.net.listening import accept
from rmqnode.protocol.frame import Frame

logger = logging.getLogger(__name__)

_IDLE_SCAN_SECONDS: Final = 30.0


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
                    nursery.start_soon(accept, sock, lambda accepted: self._start(accepted, nursery))
                nursery.start_soon(self._close_idle_connections)
        finally:
            for sock in sockets:
                sock.close()

    async def wait_answers_sent(self) -> None:
        """Wait until nothing is left to send on any connection; give it a limit, a peer may never read."""
        for connection in list(self.connections):
            await connection.wait_sent()

    def _start(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        connection = Connection(sock, self._on_frame)
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
