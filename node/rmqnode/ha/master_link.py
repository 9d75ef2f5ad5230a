"""This slave's connection to its master: found, compared, followed, made again when it breaks.

    NO_MASTER ──▶ CONNECTING ──▶ COMPARING ──▶ FOLLOWING
                   ▲  ▲  │ the logs do not fit    │
                   │  └──┴──────▶ REFUSED         │
                   └───────── any failure ◀───────┘

Nothing of our own log is ever cut to fit a master's. A log that does not fit stays as it is, and the state says so.
Source: HAService.HAClient (RocketMQ 4.5.2). Differs: REFUSED, where Apache's slave stays silent for ever or copies
bytes that belong elsewhere; a mute master is noticed, as since 5.x.
"""

import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

import trio

from rmqnode.ha.options import StreamOptions
from rmqnode.ha.slave_stream import (
    PHYSICAL_OFFSET_MAX,
    CopiedLog,
    FileSizesDiffer,
    LogEnds,
    LogsDiffer,
    SlaveStream,
    overlap_start,
)
from rmqnode.ha.stream import StreamBroken
from rmqnode.net.client import connect_socket
from rmqnode.net.errors import ConnectError
from rmqnode.store import StoreError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0
_RETRY_REFUSED_SECONDS: Final = 10.0
"""A log that does not fit is looked at again now and then: the master may have been exchanged."""

_READ_SIZE_BYTES: Final = 64 * 1024
"""One buffer for the life of a connection; a read full of small messages takes a millisecond."""


class LinkState(StrEnum):
    """How far this slave is with its master; the values are in `rmqctl status --json`."""

    NO_MASTER = "no_master"
    """No nameserver has named one yet."""
    CONNECTING = "connecting"
    """It can't be reached at the moment, or is being asked."""
    COMPARING = "comparing"
    """Connected; not yet known whether the logs fit."""
    FOLLOWING = "following"
    """Every byte that the master has or gets is copied."""
    REFUSED = "refused"
    """The logs do not fit; nothing is copied until a person has decided."""


class ReplicationRefused(Exception):
    """Copying this master's log would lose or mix up messages."""


class MasterUnavailable(Exception):
    """The master can't be asked or reached now; that will pass."""


class MasterLink:
    """The slave's side of one pair.

    Args:
        log: The log that grows.
        options: Sizes and times.
        ask_log_ends: Asks the broker at an address where its log begins and ends; raises MasterUnavailable.
        on_followed: Called each time the logs turned out to fit.
        on_refused: Called with the reason when nothing is copied until a person has decided.
    """

    def __init__(
        self,
        log: CopiedLog,
        options: StreamOptions,
        ask_log_ends: Callable[[str], Awaitable[LogEnds]],
        on_followed: Callable[[], None],
        on_refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._log = log
        self._options = options
        self._ask_log_ends = ask_log_ends
        self._on_followed = on_followed
        self._on_refused = on_refused
        self._known = trio.Event()
        self._reported_problem: str | None = None
        self.state = LinkState.NO_MASTER
        self.problem: str | None = None
        """Why the state is not FOLLOWING, in words."""
        self.ha_address: str | None = None
        self.master_address: str | None = None

    def use_master(self, ha_address: str, master_address: str) -> None:
        """Follow the master at these addresses; a connection to another one stays until it fails."""
        if (ha_address, master_address) == (self.ha_address, self.master_address):
            return
        logger.info("master is master=%s ha=%s, was master=%s", master_address, ha_address, self.master_address)
        self.ha_address = ha_address
        self.master_address = master_address
        self._known.set()

    async def run(self) -> None:
        """Service: follow the master."""
        await self._known.wait()
        while True:
            retry_seconds = _RETRY_SECONDS
            try:
                await self._follow()
            except (ReplicationRefused, LogsDiffer, FileSizesDiffer, StoreError) as error:
                self._note(LinkState.REFUSED, str(error))
                self._on_refused(str(error))
                retry_seconds = _RETRY_REFUSED_SECONDS
            except (MasterUnavailable, StreamBroken, OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                self._note(LinkState.CONNECTING, str(error) or type(error).__name__)
            await trio.sleep(retry_seconds)

    def _note(self, state: LinkState, problem: str) -> None:
        """Keep the state, and say once for each problem what is wrong."""
        self.state = state
        self.problem = problem
        if problem == self._reported_problem:
            return
        self._reported_problem = problem
        if state is LinkState.REFUSED:
            logger.error("replication refused master=%s reason=%s", self.master_address, problem)
        else:
            logger.warning("replication interrupted master=%s reason=%s", self.master_address, problem)

    async def _follow(self) -> None:
        assert self.master_address is not None
        assert self.ha_address is not None
        if self.state is not LinkState.REFUSED:
            self.state = LinkState.CONNECTING
        start = choose_start(self._log, await self._ask_log_ends(self.master_address))
        try:
            with trio.fail_after(CONNECT_TIMEOUT_SECONDS):
                sock = await connect_socket(self.ha_address)
        except trio.TooSlowError:
            raise MasterUnavailable(
                f"no connection to {self.ha_address} within {CONNECT_TIMEOUT_SECONDS:g} s"
            ) from None
        except ConnectError as error:
            raise MasterUnavailable(str(error)) from None
        with sock:
            await self._copy(sock, SlaveStream(self._log, start))

    async def _copy(self, sock: socket.socket, stream: SlaveStream) -> None:
        """Copy until the stream breaks."""
        self.state = LinkState.COMPARING
        options = self._options
        buffer = memoryview(bytearray(_READ_SIZE_BYTES))
        now = trio.current_time()
        silent_at = now + options.silence_seconds_max
        report_at = now + options.heartbeat_seconds
        report: bytes | None = stream.report()
        while True:
            if report is not None:
                with trio.fail_after(options.silence_seconds_max):
                    await _send_all(sock, report)
                report_at = trio.current_time() + options.heartbeat_seconds
            if self.state is LinkState.COMPARING and stream.is_compared:
                self._following(stream)
            size = await _receive_into(sock, buffer, min(report_at, silent_at))
            if size:
                stream.receive(buffer[:size])
                while self._log.has_undispatched:
                    await trio.lowlevel.checkpoint()
                    self._log.dispatch_more()
                silent_at = trio.current_time() + options.silence_seconds_max
                report = stream.report_of_progress()
            elif size is not None:
                raise StreamBroken("the master closed the connection")
            elif trio.current_time() >= silent_at:
                raise StreamBroken(f"no byte from the master for {options.silence_seconds_max:g} s")
            else:
                report = stream.report()

    def _following(self, stream: SlaveStream) -> None:
        self.state = LinkState.FOLLOWING
        self.problem = self._reported_problem = None
        logger.info("replication follows master=%s physical_offset=%d", self.master_address, self._log.wrote_offset)
        self._on_followed()


async def _send_all(sock: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)


async def _receive_into(sock: socket.socket, buffer: memoryview, deadline: float) -> int | None:
    """Wait for bytes and read them; return how many, 0 when the peer has closed, None when nothing came in time."""
    with trio.move_on_at(deadline):
        # Waiting first, though something may be there: others get their turn, and most often nothing is.
        await trio.lowlevel.wait_readable(sock)
        with contextlib.suppress(BlockingIOError):
            return sock.recv_into(buffer)
    return None


def choose_start(log: CopiedLog, master: LogEnds) -> int:
    """Return the physical offset to ask a master for.

    Raises:
        ReplicationRefused: The logs can't be made equal by appending to ours.
    """
    if not 0 <= master.min_offset <= master.max_offset <= PHYSICAL_OFFSET_MAX:
        raise ReplicationRefused(
            f"the master says that its log goes from {master.min_offset} to {master.max_offset}, which cannot be right"
        )
    end = log.wrote_offset
    if end > master.max_offset:
        raise ReplicationRefused(
            f"this slave's log ends at {end}, its master's at {master.max_offset}: "
            f"{end - master.max_offset} bytes of messages are here only, so nothing is copied"
        )
    if end and end < master.min_offset:
        raise ReplicationRefused(
            f"this slave's log ends at {end}, its master's begins at {master.min_offset}: "
            "what lies between is gone there, so nothing is copied; empty this slave's store to copy anew"
        )
    return overlap_start(log, master)
