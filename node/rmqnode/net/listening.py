"""Listening sockets: bind them, and accept from one for as long as it is wanted."""

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable
from typing import Final, Self

import trio

logger = logging.getLogger(__name__)

_BACKLOG: Final = 1024
"""As Java's server sets it."""

_ACCEPT_RETRY_SECONDS: Final = 0.1
"""Pause after a failed accept, usually for want of file descriptors: connections that end free some."""

_ACCEPTED_AT_ONCE: Final = 16
"""So many connections are accepted before others get their turn: some milliseconds."""

_ACCEPT_LOG_SECONDS: Final = 10.0
"""The same failure is logged so often."""


class _Spare:
    """A descriptor that is kept so that a peer can be accepted, and hung up on, when there are no others."""

    def __init__(self) -> None:
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def hang_up(self, listener: socket.socket) -> None:
        """Accept the peer that waits, and close its connection."""
        self._close()
        with contextlib.suppress(OSError):
            listener.accept()[0].close()
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class BindError(Exception):
    """A listening socket could not be bound."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"can't listen on {host}:{port}: {reason}")


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


async def accept(
    listener: socket.socket,
    start: Callable[[socket.socket], None],
    *,
    on_no_descriptor: Callable[[], None] = lambda: None,
) -> None:
    """Accept until cancelled; `start` gets each new socket, non-blocking and without Nagle's delay.

    A peer that is gone before `start` has looked at its socket (an `OSError` there) is forgotten: no name, no state,
    nothing to tell anybody. When no descriptor is left `on_no_descriptor` is called, and the peer that waits is hung up
    on with the help of a descriptor that is kept for this: it learns at once that it is not served.
    """
    with _Spare() as spare:
        await _accept(listener, start, on_no_descriptor, spare)


async def _accept(
    listener: socket.socket,
    start: Callable[[socket.socket], None],
    on_no_descriptor: Callable[[], None],
    spare: "_Spare",
) -> None:
    silent_until = trio.current_time()
    accepted = 0
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listener)
        except ConnectionError:
            await trio.lowlevel.checkpoint()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                on_no_descriptor()
                spare.hang_up(listener)
            if trio.current_time() >= silent_until:
                silent_until = trio.current_time() + _ACCEPT_LOG_SECONDS
                logger.error("accept failed port=%d reason=%s", listener.getsockname()[1], error)
            await trio.sleep(_ACCEPT_RETRY_SECONDS)
        else:
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                start(sock)
            except OSError:
                sock.close()
            accepted += 1
            if accepted % _ACCEPTED_AT_ONCE == 0:
                # Many may come at once, and those who are connected have requests.
                await trio.lowlevel.checkpoint()
