"""The slaves that are connected to this broker: one task that sends and one that reads for each.

Sending is woken by the log's growth and writes slices of the mapped log, several blocks with one system call. After a
write it pauses for a moment where no send waits for the slave: a turn of either process costs as much as a dozen
messages. A slave is never waited for: what the socket does not take stays in the log until it does.
Source: HAService.AcceptSocketService, HAConnection (RocketMQ 4.5.2). Differs: no polling every 100 ms.
"""

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final

import trio

from rmqnode.ha.master_stream import MasterStream, SourceLog
from rmqnode.ha.options import StreamOptions
from rmqnode.net.listening import accept

logger = logging.getLogger(__name__)

_SLAVES_MAX: Final = 64
"""A master has a handful; whoever opens more is no slave."""

_READ_SIZE_BYTES: Final = 4096


class SlaveLink:
    """One connected slave. Whoever runs it closes the socket."""

    def __init__(self, sock: socket.socket, log: SourceLog, options: StreamOptions, on_report: Callable[[], None]):
        self._sock = sock
        self._options = options
        self._on_report = on_report
        self._wake = trio.Event()
        self.stream = MasterStream(log, options.batch_size_bytes)
        self.peer = "{}:{}".format(*sock.getpeername()[:2])

    def wake(self) -> None:
        """Look at the log again."""
        self._wake.set()

    async def send(self, before_look: Callable[[], None]) -> None:
        """Send the log and heartbeats until the socket fails; `before_look` is called before each look at the log."""
        heartbeat_at = trio.current_time() + self._options.heartbeat_seconds
        has_warned = False
        while True:
            self._wake = trio.Event()
            before_look()
            parts = self.stream.next_blocks()
            if not parts and trio.current_time() >= heartbeat_at:
                heartbeat = self.stream.heartbeat()
                parts = [] if heartbeat is None else [heartbeat]
                heartbeat_at = trio.current_time() + self._options.heartbeat_seconds
            if parts:
                await self._write(parts)
                heartbeat_at = trio.current_time() + self._options.heartbeat_seconds
                if self.stream.has_more:
                    await trio.lowlevel.checkpoint()
                elif self._options.pause_seconds:
                    await trio.sleep(self._options.pause_seconds)
                continue
            if self.stream.lacks_start and not has_warned:
                has_warned = True
                logger.warning(
                    "slave can't be served peer=%s asked=%d reason=the log begins behind that; its store must be wiped",
                    self.peer,
                    self.stream.next_offset,
                )
            with trio.move_on_at(heartbeat_at):
                await self._wake.wait()

    async def _write(self, parts: list[bytes | memoryview]) -> None:
        first = 0
        while first < len(parts):
            try:
                sent = self._sock.sendmsg(parts[first:] if first else parts)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)
                continue
            while first < len(parts) and sent >= len(parts[first]):
                sent -= len(parts[first])
                first += 1
            if sent:
                parts[first] = memoryview(parts[first])[sent:]

    async def read_reports(self) -> str:
        """Read reports; return why that ended.

        Raises:
            OSError: The connection failed.
        """
        silence_seconds = self._options.silence_seconds_max
        with trio.move_on_after(silence_seconds) as scope:
            while True:
                await trio.lowlevel.wait_readable(self._sock)
                try:
                    data = self._sock.recv(_READ_SIZE_BYTES)
                except BlockingIOError:
                    continue
                if not data:
                    return "the slave closed it"
                scope.deadline = trio.current_time() + silence_seconds
                self._take_report(data)
        return f"no report for {silence_seconds:g} s"

    def _take_report(self, data: bytes) -> None:
        had_asked = self.stream.has_asked
        self.stream.receive(data)
        self._on_report()
        if not had_asked and self.stream.has_asked:
            logger.info("slave asks peer=%s physical_offset=%d", self.peer, self.stream.next_offset)
            self._wake.set()


class SlaveLinks:
    """All slaves of a broker.

    Args:
        log: What is sent.
        options: Sizes and times.
        on_confirmed: Called with the physical offset that a slave says it has the log up to.
        on_count: Called with the number of connected slaves when it has changed.
    """

    def __init__(
        self,
        log: SourceLog,
        options: StreamOptions,
        on_confirmed: Callable[[int], None],
        on_count: Callable[[int], None],
    ) -> None:
        self._log = log
        self._options = options
        self._on_confirmed = on_confirmed
        self._on_count = on_count
        self._is_told = False
        self.links: set[SlaveLink] = set()

    def log_grew(self) -> None:
        """Note that there is something to send. Called for every message: most calls find that it was said."""
        if not self._is_told:
            self._is_told = True
            for link in self.links:
                link.wake()

    async def serve(self, listeners: Iterable[socket.socket]) -> None:
        """Service: accept slaves and serve each until it goes."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(accept, listener, lambda sock: self._start(sock, nursery))

    def _start(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        link = SlaveLink(sock, self._log, self._options, lambda: self._reported(link))
        if len(self.links) >= _SLAVES_MAX:
            logger.warning("slave refused peer=%s reason=%d are connected", link.peer, len(self.links))
            sock.close()
            return
        nursery.start_soon(self._run, link, sock)

    async def _run(self, link: SlaveLink, sock: socket.socket) -> None:
        logger.info("slave connected peer=%s", link.peer)
        self.links.add(link)
        self._on_count(len(self.links))
        reason = "the broker stops"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.send, self._look)
                reason = await link.read_reports()
                nursery.cancel_scope.cancel()
        except* OSError as errors:
            reason = str(errors.exceptions[0])
        finally:
            sock.close()
            self.links.discard(link)
            self._on_count(len(self.links))
            logger.info("slave gone peer=%s reason=%s", link.peer, reason)

    def _look(self) -> None:
        self._is_told = False

    def _reported(self, link: SlaveLink) -> None:
        self._on_confirmed(link.stream.confirmed_offset)
