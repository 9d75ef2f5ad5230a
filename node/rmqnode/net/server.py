"""The connections of a node: accept them, run each connection in a task of its own, close idle ones."""

import logging
import resource
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import trio

from rmqnode.net.admission import Admission
from rmqnode.net.budgets import Budget, close_worst
from rmqnode.net.connection import Connection
from rmqnode.net.listening import accept
from rmqnode.net.loop_meter import LoopMeter
from rmqnode.protocol.frame import Frame

logger = logging.getLogger(__name__)

_IDLE_SCAN_SECONDS: Final = 30.0

_FREED_FOR_DESCRIPTORS: Final = 64
"""So many connections give way at once when the process has no descriptor left."""

_OTHER_DESCRIPTORS: Final = 256
"""Descriptors that are neither a connection of a client nor a file of a queue: slaves, nameservers, tables, logs."""

_REFUSAL_LOG_SECONDS: Final = 10.0
"""Refused connections are told in one line each so many seconds, however many they are."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What all connections of a server may take together."""

    connections_max: int = 8192
    connections_per_address_max: int = 0
    """Of one address that is not of the loopback; 0 for half of all."""
    bytes_in_flight_max: int = 64 * 1024 * 1024
    frame_silence_seconds_max: float = 10.0


class ConfiguredLimits(Protocol):
    """The limits of a node's configuration that concern its sockets."""

    @property
    def connections_max(self) -> int: ...  # noqa: D102
    @property
    def connections_per_address_max(self) -> int: ...  # noqa: D102
    @property
    def bytes_in_flight_max(self) -> int: ...  # noqa: D102
    @property
    def partial_frame_timeout_ms(self) -> int: ...  # noqa: D102


def server_limits(limits: ConfiguredLimits, reserved_descriptors: int) -> ServerLimits:
    """Return what a configuration allows, with no more connections than the process has descriptors for.

    Args:
        limits: The node's.
        reserved_descriptors: How many are kept for files.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = max(8, descriptors - reserved_descriptors - _OTHER_DESCRIPTORS)
    if possible < limits.connections_max:
        logger.info("connections limited max=%d descriptors=%d", possible, descriptors)
    return ServerLimits(
        connections_max=min(limits.connections_max, possible),
        connections_per_address_max=limits.connections_per_address_max,
        bytes_in_flight_max=limits.bytes_in_flight_max,
        frame_silence_seconds_max=limits.partial_frame_timeout_ms / 1000,
    )


class Server:
    """Accepts connections on several sockets and keeps track of them.

    Args:
        on_frame: Handles each frame, see `Connection`.
        on_closed: Called once for each connection after it has ended.
        idle_seconds_max: A connection without traffic in either direction for so long is closed.
        limits: How much all connections together may take.
        on_full: Called when a budget is full; see `Budget`.
        meter: Told of requests that took long.
    """

    def __init__(
        self,
        on_frame: Callable[[Connection, Frame], None],
        on_closed: Callable[[Connection], None],
        idle_seconds_max: float,
        limits: ServerLimits | None = None,
        on_full: Callable[[Budget], None] | None = None,
        *,
        meter: LoopMeter | None = None,
    ) -> None:
        limits = limits or ServerLimits()
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._idle_seconds_max = idle_seconds_max
        self._meter = meter
        self._frame_silence_seconds_max = limits.frame_silence_seconds_max
        self._refused_since_log = 0
        self.connections: set[Connection] = set()
        self.bytes_in_flight = Budget("bytesInFlight", limits.bytes_in_flight_max, on_full)
        places = Budget("connections", limits.connections_max, on_full)
        self.admission = Admission(places, limits.connections_per_address_max, self.connections)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """What its connections may take together."""
        return self.admission.budget, self.bytes_in_flight

    async def serve(self, listeners: Iterable[socket.socket]) -> None:
        """Accept and serve until cancelled; all sockets are closed then."""
        sockets = list(listeners)
        try:
            async with trio.open_nursery() as nursery:
                for sock in sockets:
                    start = partial(self._start, nursery=nursery)
                    nursery.start_soon(partial(accept, sock, start, on_no_descriptor=self._make_room))
                nursery.start_soon(self._close_idle_connections)
                nursery.start_soon(self._log_refusals)
        finally:
            for sock in sockets:
                sock.close()

    async def wait_answers_sent(self) -> None:
        """Wait until nothing is left to send on any connection; give it a limit, a peer may never read."""
        for connection in list(self.connections):
            await connection.wait_sent()

    def _start(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        host = str(sock.getpeername()[0])
        if not self.admission.admit(host):
            self._refused_since_log += 1
            sock.close()
            return
        connection = Connection(
            sock,
            self._on_frame,
            self._meter,
            self.bytes_in_flight,
            self._relieve,
            self._frame_silence_seconds_max,
        )
        self.connections.add(connection)
        self.admission.opened(connection)
        nursery.start_soon(self._run, connection)

    async def _run(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            self.admission.ended(connection)
            self._on_closed(connection)

    def _relieve(self) -> None:
        close_worst(self.bytes_in_flight, self.connections)

    def _make_room(self) -> None:
        """No descriptor is left for a newcomer: whoever may give way goes, so that the next one finds some."""
        self.admission.budget.refuse()
        self._refused_since_log += 1
        self.admission.make_room(_FREED_FOR_DESCRIPTORS)

    async def _log_refusals(self) -> None:
        while True:
            await trio.sleep(_REFUSAL_LOG_SECONDS)
            if self._refused_since_log:
                count, self._refused_since_log = self._refused_since_log, 0
                places = self.admission.budget
                logger.warning("connections refused count=%d open=%d max=%d", count, places.used, places.maximum)

    async def _close_idle_connections(self) -> None:
        while True:
            await trio.sleep(_IDLE_SCAN_SECONDS)
            limit = trio.current_time() - self._idle_seconds_max
            for connection in list(self.connections):
                if connection.last_activity < limit:
                    connection.close(f"idle for {self._idle_seconds_max:g} s")
