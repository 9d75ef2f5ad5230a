"""The slaves that are connected to this broker: one task that sends and one that reads for each.

Sending is woken by the log's growth and writes slices of the mapped log, several blocks with one system call. After a
write it pauses for a moment where no send waits for the slave: a turn of either process costs as much as a dozen
messages. A slave is never waited for: what the socket does not take stays in the log until it does.

Who connects is admitted first (`Admit`), and gets one of the slots of its address; `slave_slots` says who gives way.
Source: HAService.AcceptSocketService, HAConnection (RocketMQ 4.5.2). Differs: no polling every 100 ms; Apache's master
serves and waits for whoever connects.
"""

import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio

from rmqnode.ha.master_stream import MasterStream, SourceLog
from rmqnode.ha.options import StreamOptions
from rmqnode.ha.slave_slots import SLAVES_MAX, IpAddress, Trust, parse_ip, slot_to_give_way
from rmqnode.ha.stream import StreamBroken
from rmqnode.net.listening import accept

logger = logging.getLogger(__name__)

_ADMITTED_AT_ONCE_MAX: Final = 64
"""Connections that wait for their admission, 2 s at most; one more is closed."""

Admit = Callable[[IpAddress, IpAddress, int], Awaitable[int]]
"""How many slaves may be at an address, 0 for one of no slave: the peer's, our own end's, and how many are connected
from there already."""


async def admit_all(peer: IpAddress, own: IpAddress, connected: int) -> int:
    """Admit whoever connects."""
    return SLAVES_MAX


_READ_SIZE_BYTES: Final = 4096


class SlaveLink:
    """One connected slave. Whoever runs it closes the socket."""

    def __init__(self, sock: socket.socket, log: SourceLog, options: StreamOptions, on_report: Callable[[], None]):
        self._sock = sock
        self._options = options
        self._on_report = on_report
        self._wake = trio.Event()
        self.stream = MasterStream(log, options.batch_size_bytes)
        peer = sock.getpeername()
        self.peer = "{}:{}".format(*peer[:2])
        self.ip = parse_ip(peer[0])
        self.own_ip = parse_ip(sock.getsockname()[0])
        self.begun = self.owes_since = trio.current_time()
        self.replaced = trio.Event()
        """Set when another connection takes its slot."""

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
        stream = self.stream
        stream.unsent_bytes = sum(len(content) for content in parts[1::2])
        while first < len(parts):
            try:
                sent = self._sock.sendmsg(parts[first:] if first else parts)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)
                continue
            owed_nothing = not stream.owes_report
            while first < len(parts) and sent >= len(parts[first]):
                sent -= len(parts[first])
                # Heads and blocks take turns.
                stream.unsent_bytes -= len(parts[first]) if first % 2 else 0
                first += 1
            if sent:
                parts[first] = memoryview(parts[first])[sent:]
                stream.unsent_bytes -= sent if first % 2 else 0
            if owed_nothing:
                self.owes_since = trio.current_time()

    async def read_reports(self) -> str:
        """Read reports; return why that ended.

        Raises:
            StreamBroken: It confirms what was never sent to it.
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
        reported = self.stream.reported_offset
        self.stream.receive(data)
        if self.stream.reported_offset > reported:
            self.owes_since = trio.current_time()
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
        admit: Asked about each connection before it counts.
        on_claimed: Called with the physical offset that a slave says it has the log up to when it asks.
    """

    def __init__(
        self,
        log: SourceLog,
        options: StreamOptions,
        on_confirmed: Callable[[int], None],
        on_count: Callable[[int], None],
        admit: Admit = admit_all,
        on_claimed: Callable[[int], None] = lambda offset: None,
    ) -> None:
        self._log = log
        self._options = options
        self._on_confirmed = on_confirmed
        self._on_count = on_count
        self._admit = admit
        self._on_claimed = on_claimed
        self._is_told = False
        self._admitting = 0
        self._trust = Trust()
        self.links: set[SlaveLink] = set()

    @property
    def has_follower(self) -> bool:
        """Whether a slave is connected that a send may wait for."""
        if not self.links:
            return False
        now = trio.current_time()
        return any(self._trust.is_worth_waiting(link, now) for link in self.links)

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
        if self._admitting >= _ADMITTED_AT_ONCE_MAX:
            sock.close()
            return
        self._admitting += 1
        nursery.start_soon(self._admit_and_run, link, sock)

    async def _admit_and_run(self, link: SlaveLink, sock: socket.socket) -> None:
        try:
            try:
                connected = sum(other.ip == link.ip for other in self.links)
                count_max = await self._admit(link.ip, link.own_ip, connected)
            finally:
                self._admitting -= 1
            if count_max:
                self._make_room(link, count_max)
                await self._run(link, sock)
        finally:
            sock.close()

    def _make_room(self, link: SlaveLink, count_max: int) -> None:
        given = slot_to_give_way(self.links, link.ip, count_max, trio.current_time())
        if isinstance(given, SlaveLink):
            given.replaced.set()
            self._leave(given, f"{link.peer} takes its place")

    async def _run(self, link: SlaveLink, sock: socket.socket) -> None:
        logger.info("slave connected peer=%s", link.peer)
        self.links.add(link)
        self._on_count(len(self.links))
        reason = "the broker stops"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.send, self._look)
                nursery.start_soon(_cancel_when, link.replaced, nursery.cancel_scope)
                reason = await link.read_reports()
                nursery.cancel_scope.cancel()
        except* (OSError, StreamBroken) as errors:
            reason = str(errors.exceptions[0])
        finally:
            self._leave(link, reason)

    def _leave(self, link: SlaveLink, reason: str) -> None:
        """Forget a connection; once, also when it ends because another one takes its place."""
        if link not in self.links:
            return
        self.links.discard(link)
        self._trust.note_end(link, trio.current_time())
        self._on_count(len(self.links))
        logger.info("slave gone peer=%s reason=%s", link.peer, reason)

    def _look(self) -> None:
        self._is_told = False

    def _reported(self, link: SlaveLink) -> None:
        if link.stream.has_followed:
            self._on_confirmed(link.stream.confirmed_offset)
        else:
            self._on_claimed(link.stream.known_offset)


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
