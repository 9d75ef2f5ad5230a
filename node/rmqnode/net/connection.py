"""One TCP connection that speaks frames, the same for both ends: either side may send requests.

Reading: every frame that one read brought is handed on before the loop is yielded to, and what the handlers
answer meanwhile leaves in one write, unless that takes more time or memory than one peer may have at a turn.
Writing never waits: what the socket does not take at once goes to a task that drains it, and a peer that reads
too slowly is first not read from any more and then dropped. What all connections of a node hold together has a
budget: a connection may keep as much unsent as is still free of it.
The socket is driven directly (`recv`, `send`, `wait_readable`): a trio stream would add a task switch to each
answer of a long poll and a copy to each read.
"""

import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter, thread_time
from typing import Any, Final

import trio

from rmqnode.net.budgets import Budget
from rmqnode.net.errors import ConnectionLost, RequestTimeout
from rmqnode.net.loop_meter import LoopMeter
from rmqnode.net.stream_socket import PIECE_BYTES, StreamSocket, address_text, host_bytes
from rmqnode.protocol.codes import request_name
from rmqnode.protocol.command import FLAG_ONEWAY, Command, code_of_frame, encode_command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.frame import Frame, FrameDecoder
from rmqnode.protocol.routes import Reply, Request

logger = logging.getLogger(__name__)

_READ_SIZE_BYTES: Final = 65_536
"""Below the C library's threshold for a mapping of its own: a read costs no system call for memory."""

_TURN_SECONDS: Final = 0.005
"""A busy peer is interrupted after so long, so that others get their turn; a read full of sends takes half of it."""

_LOOP_TURN_SECONDS: Final = 0.02
"""When the loop's turn has lasted so long, each further peer gets one frame of it: many busy peers are one stretch."""

_ANSWERS_BYTES_AT_ONCE: Final = 4 * 1024 * 1024
"""So much of answers leaves without waiting for the rest: a read of small requests may ask for gigabytes."""

_BACKLOG_BYTES_PAUSE: Final = 8 * 1024 * 1024
"""With more than this unsent, nothing more is read from the peer."""

_BACKLOG_BYTES_MAX: Final = 64 * 1024 * 1024
"""With more than this unsent (a peer that does not read its long polls' answers), the peer is dropped."""

_DRAINED_AT_ONCE_BYTES: Final = 1024 * 1024
"""So much is written to a socket that takes it before others get their turn."""

_FRAME_SILENCE_SECONDS: Final = 10.0
"""A peer that begins a frame and then sends nothing for so long is dropped (`partialFrameTimeoutMillis`)."""

_STALLED_SECONDS: Final = 1.0
"""A connection that holds memory and on which nothing moved for so long goes before those on which it does."""

_GATHERED_BYTES_MAX: Final = 16_384
"""So much of requests submitted in a row leaves at once: the peer can begin to work on them."""

_PENDING_REQUESTS_MAX: Final = 65_535
"""As many requests in flight as Java's client permits itself."""


class _Pending:
    __slots__ = ("done", "response")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.response: Command | None = None

    def take(self, response: Command | None) -> None:
        self.response = response
        self.done.set()


class Connection:
    """A connected socket and everything in flight on it. `run` owns it; all other methods need no await.

    Args:
        sock: Connected and non-blocking; closed when `run` ends.
        on_frame: Called for each frame in order; must not block and may raise ProtocolError to end the
            connection. It calls `resolve` for responses.
        meter: Knows when the loop's turn began, and is told of frames at which a peer's turn ended.
        budget: What it shares with the other connections of its node, in bytes; None for an end that chose its peer.
        relieve: Called when the budget is used up; closes connections, perhaps this one.
        frame_silence_seconds_max: How long a peer that has begun a frame may send nothing.
    """

    def __init__(
        self,
        sock: StreamSocket,
        on_frame: "Callable[[Connection, Frame], None]",
        meter: LoopMeter | None = None,
        budget: Budget | None = None,
        relieve: Callable[[], None] | None = None,
        frame_silence_seconds_max: float = _FRAME_SILENCE_SECONDS,
    ) -> None:
        self._sock = sock
        self._on_frame = on_frame
        self._budget = budget
        self._relieve = relieve
        self._frame_silence_seconds_max = frame_silence_seconds_max
        self._meter = meter
        self.request_count = 0
        """How many frames were handled."""
        self.held_bytes = 0
        """What it holds of the budget: frames that are not complete or not handled, answers that are not sent."""
        self._read_bytes = 0
        peer_address = sock.getpeername()
        self.host = str(peer_address[0])
        self.peer = address_text(peer_address)
        self.peer_host_bytes = host_bytes(sock, peer_address)
        """Address and port as messages store them: 4 bytes each; zeros for an IPv6 peer, which 4.5.2 can't store."""
        self.local_host, self.local_port = sock.getsockname()[:2]
        self.last_activity = trio.current_time()
        self.close_reason = ""
        self.queued_seconds = 0.0
        """How long the frames that are being handled have waited since they were read; 0 in the turn of the read.

        In CPU time of the event loop, that is while it worked for others: that the machine had no time for this
        process, or the disk none for this machine, says nothing about the load.
        """
        self.queued_count = 0
        """How many they were when this turn began."""
        self._in_batch = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._drained = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._pending: dict[int, Callable[[Command | None], None]] = {}
        self._next_opaque = 0
        self._is_flush_planned = False

    @property
    def is_closed(self) -> bool:
        """Whether the socket is closed, by either side."""
        return self._sock.fileno() < 0

    @property
    def is_stalled(self) -> bool:
        """Whether nothing has moved on it for a while."""
        return trio.current_time() - self.last_activity > _STALLED_SECONDS

    @property
    def has_room(self) -> bool:
        """Whether the peer takes its answers, so that another may be made: one that waits in memory helps nobody."""
        return not self._backlog_bytes or self._backlog_bytes <= self._pause_bytes

    @property
    def _pause_bytes(self) -> int:
        """With more than this unsent nothing more is read: as much as is free, so that many get equal parts."""
        return _BACKLOG_BYTES_PAUSE if self._budget is None else min(_BACKLOG_BYTES_PAUSE, self._budget.free)

    async def run(self) -> None:
        """Read until the peer closes, sends what can't be understood, or `close` is called."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if self._backlog:
                    nursery.start_soon(self._drain)
                await self._read_until_closed()
                nursery.cancel_scope.cancel()
        finally:
            self.close(self.close_reason or "cancelled")
            while self._pending:
                self._pending.popitem()[1](None)

    async def _read_until_closed(self) -> None:
        decoder = FrameDecoder()
        turn_end = self._turn_end()
        while not self.is_closed:
            try:
                data = self._sock.recv(_READ_SIZE_BYTES)
            except BlockingIOError:
                if not await (self._wait_rest() if self._read_bytes else self._wait_readable()):
                    return
                turn_end = self._turn_end()
                continue
            except OSError as error:
                return self.close(f"the read failed: {error}")
            if not data:
                return self.close("the peer closed it")
            left = self._handle(decoder, data, turn_end)
            if left or self._read_bytes or decoder.pending_bytes:
                self._account_read(decoder, left)
            queued_since = thread_time() if left else 0.0
            while not self.is_closed and (left or self._is_turn_over(turn_end)):
                if self._must_pause():
                    await self._drained.wait()
                    queued_since = thread_time()  # it was the peer who kept them waiting
                else:
                    await trio.lowlevel.checkpoint()
                turn_end = self._turn_end()
                if left:
                    self.queued_seconds, self.queued_count = thread_time() - queued_since, len(left)
                left = self._handle_frames(decoder, left, turn_end)
                self._account_read(decoder, left)
            self.queued_seconds = 0.0

    def _turn_end(self) -> float:
        """When this peer has to let others go on; at once, but for one frame, where the loop's turn is long already."""
        end = perf_counter() + _TURN_SECONDS
        return end if self._meter is None else min(end, self._meter.turn_began + _LOOP_TURN_SECONDS)

    def _is_turn_over(self, turn_end: float) -> bool:
        return perf_counter() > turn_end or self._must_pause()

    def _must_pause(self) -> bool:
        return self._backlog_bytes > 0 and self._backlog_bytes > self._pause_bytes

    def _account_read(self, decoder: FrameDecoder, left: list[Frame]) -> None:
        self._read_bytes = decoder.pending_bytes + sum(len(each.header) + len(each.body) for each in left)
        self._account()

    def _account(self) -> None:
        """Tell the budget what is held now; called when it may have changed, not for each message."""
        if self._budget is None:
            return
        held_bytes = 0 if self.is_closed else self._read_bytes + self._backlog_bytes
        self._budget.used += held_bytes - self.held_bytes
        is_more, self.held_bytes = held_bytes > self.held_bytes, held_bytes
        if is_more and self._budget.free < 0 and self._relieve is not None:
            self._relieve()

    async def _wait_rest(self) -> bool:
        """Wait for more of a frame that has begun."""
        with trio.move_on_after(self._frame_silence_seconds_max):
            return await self._wait_readable()
        logger.warning("connection closed peer=%s reason=the rest of a frame did not come", self.peer)
        self.close(f"nothing of the rest of a frame came for {self._frame_silence_seconds_max:g} s")
        return False

    async def _wait_readable(self) -> bool:
        try:
            await trio.lowlevel.wait_readable(self._sock)
        except trio.ClosedResourceError:
            return False
        return True

    def _handle(self, decoder: FrameDecoder, data: bytes, turn_end: float) -> list[Frame]:
        """Hand on what a read brought; return the frames that this turn left no time or room for."""
        self.last_activity = trio.current_time()
        try:
            frames = decoder.feed(data)
        except ProtocolError as error:
            self._refuse(error)
            return []
        return self._handle_frames(decoder, frames, turn_end)

    def _handle_frames(self, decoder: FrameDecoder, frames: list[Frame], turn_end: float) -> list[Frame]:
        handled = 0
        bytes_max, budget = _ANSWERS_BYTES_AT_ONCE, self._budget
        if budget is not None and budget.used + bytes_max > budget.maximum:
            bytes_max = max(0, self._pause_bytes)
        self._in_batch = True
        now = perf_counter()
        try:
            for frame in frames:
                before = now
                self._on_frame(self, frame)
                handled += 1
                now = perf_counter()
                if now > turn_end or self._out_bytes > bytes_max:
                    if self._meter is not None:
                        self._meter.note(request_name(code_of_frame(frame)), now - before)
                    break
            if handled == len(frames):
                decoder.check()
        except ProtocolError as error:
            self._refuse(error)
            return []
        finally:
            self._in_batch = False
            self.request_count += handled
            self._flush()
        return frames[handled:]

    def _refuse(self, error: ProtocolError) -> None:
        """Close the connection for what can't be understood, once what came before it has its answers."""
        logger.warning("connection closed peer=%s reason=%s", self.peer, error)
        self._flush()
        self.close(str(error))

    def reply(self, request: Request[Any], reply: Reply) -> None:
        """Answer a request that came over this connection, in its serialization; oneways stay unanswered."""
        if not request.flag & FLAG_ONEWAY:
            self._write(reply.frame(request.serialization, request.opaque))

    def hold_writes(self) -> None:
        """Let answers gather until `release_writes`: one write for all of them."""
        self._in_batch = True

    def release_writes(self) -> None:
        """Write what has gathered."""
        self._in_batch = False
        self._flush()

    def send(self, command: Command) -> None:
        """Send a command that expects no answer here: a oneway request, or a ready response."""
        self._write(encode_command(command))

    async def call(self, command: Command, timeout_seconds: float) -> Command:
        """Send a request and wait for its response; `opaque` is chosen here.

        Raises:
            RequestTimeout: No response in time; a late one is dropped.
            ConnectionLost: The connection is or gets closed.
        """
        pending = _Pending()
        opaque = self._expect(command, pending.take)
        try:
            self._write(encode_command(command))
            with trio.move_on_after(timeout_seconds):
                await pending.done.wait()
        finally:
            self.withdraw(opaque)
        if pending.response is not None:
            return pending.response
        if self.is_closed:
            raise ConnectionLost(self.peer, self.close_reason)
        raise RequestTimeout(self.peer, f"no answer within {timeout_seconds:g} s")

    def submit(self, command: Command, take_response: Callable[[Command | None], None]) -> int:
        """Send a request and go on; returns the `opaque` that `withdraw` takes.

        Requests that are submitted in a row leave together, when the loop is yielded to or when they are many.

        Args:
            command: `opaque` is chosen here.
            take_response: Called once with the response, or with None when the connection ends before it. Must not
                block or raise.

        Raises:
            ConnectionLost: The connection is closed, or carries too many requests.
        """
        opaque = self._expect(command, take_response)
        frame = encode_command(command)
        self._out.append(frame)
        self._out_bytes += len(frame)
        if self._nursery is None or self._out_bytes > _GATHERED_BYTES_MAX:
            self._flush()
        elif not self._is_flush_planned:
            self._is_flush_planned = True
            self._nursery.start_soon(self._flush_gathered)
        return opaque

    def withdraw(self, opaque: int) -> None:
        """Wait no longer for a response; a late one is dropped."""
        self._pending.pop(opaque, None)

    def resolve(self, response: Command) -> None:
        """Hand a response to who waits for it; one that nobody waits for is dropped."""
        take_response = self._pending.pop(response.opaque, None)
        if take_response is not None:
            take_response(response)

    def _expect(self, command: Command, take_response: Callable[[Command | None], None]) -> int:
        if self.is_closed or len(self._pending) >= _PENDING_REQUESTS_MAX:
            raise ConnectionLost(self.peer, self.close_reason or "too many requests are in flight")
        opaque = command.opaque = self._next_opaque = (self._next_opaque + 1) & 0x7FFFFFFF
        self._pending[opaque] = take_response
        return opaque

    async def _flush_gathered(self) -> None:
        self._is_flush_planned = False
        if not self._in_batch:
            self._flush()

    async def wait_sent(self) -> None:
        """Wait until everything that was written has left, or the connection is closed."""
        while self._backlog_bytes and not self.is_closed:
            await self._drained.wait()

    def close(self, reason: str) -> None:
        """Close the socket; `run` ends, calls in flight raise ConnectionLost. Safe to repeat."""
        if self.is_closed:
            return
        self.close_reason = reason
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
        self._out.clear()
        self._backlog.clear()
        self._out_bytes = self._backlog_bytes = 0
        self._account()
        self._drained.set()

    def _write(self, frame: bytes) -> None:
        self._out.append(frame)
        self._out_bytes += len(frame)
        if not self._in_batch:
            self._flush()

    def _flush(self) -> None:
        if not self._out:
            return
        if self.is_closed:
            self._out.clear()
            self._out_bytes = 0
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self.last_activity = trio.current_time()
        if not self._backlog_bytes:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                return self.close(f"the write failed: {error}")
            if sent == len(data):
                return
            data = data[sent:]
            self._start_draining()
        self._keep_unsent(data)

    def _keep_unsent(self, data: bytes) -> None:
        pieces = (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))
        self._backlog.extend([data] if len(data) <= PIECE_BYTES else pieces)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > _BACKLOG_BYTES_MAX:
            logger.warning("connection closed peer=%s reason=it does not read its answers", self.peer)
            self.close("it does not read its answers")
        self._account()

    def _start_draining(self) -> None:
        self._drained = trio.Event()
        if self._nursery is not None:
            self._nursery.start_soon(self._drain)

    async def _drain(self) -> None:
        while self._backlog and not self.is_closed:
            try:
                await trio.lowlevel.wait_writable(self._sock)
                self._send_unsent()
            except (BlockingIOError, trio.ClosedResourceError):
                continue
            except OSError as error:
                return self.close(f"the write failed: {error}")
        self._drained.set()

    def _send_unsent(self) -> None:
        """Write pieces until the socket takes no more, or enough for one turn.

        Raises:
            OSError: BlockingIOError when it takes no more; any other when the connection is broken.
        """
        written = 0
        try:
            while self._backlog and written < _DRAINED_AT_ONCE_BYTES:
                piece = self._next_piece()
                sent = self._sock.send(piece)
                written += sent
                self._backlog_bytes -= sent
                if sent < len(piece):
                    self._backlog[0] = piece[sent:]
                else:
                    self._backlog.popleft()
        finally:
            if written:
                self.last_activity = trio.current_time()
                self._account()

    def _next_piece(self) -> bytes:
        """Return what is to be written next, small answers together; it stays the first of the backlog."""
        if len(self._backlog) > 1 and len(self._backlog[0]) + len(self._backlog[1]) <= PIECE_BYTES:
            size, together = 0, []
            while self._backlog and size + len(self._backlog[0]) <= PIECE_BYTES:
                size += len(self._backlog[0])
                together.append(self._backlog.popleft())
            self._backlog.appendleft(b"".join(together))
        return self._backlog[0]
