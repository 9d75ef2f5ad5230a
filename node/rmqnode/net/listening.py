"""Listening sockets: bind them, and accept from one for as long as it is wanted."""

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final

import trio

logger = logging.getLogger(__name__)

_BACKLOG: Final = 1024
"""As Java's server sets it."""

_ACCEPT_RETRY_SECONDS: Final = 0.1
"""Pause after a failed accept, usually for want of file descriptors: connections that end free some."""


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


async def accept(listener: socket.socket, start: Callable[[socket.socket], None]) -> None:
    """Accept until cancelled; `start` gets each new socket, non-blocking and without Nagle's delay.

    A peer that is gone before `start` has looked at its socket (an `OSError` there) is forgotten: no name, no state,
    nothing to tell anybody.
    """
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listener)
        except ConnectionError:
            await trio.lowlevel.checkpoint()
        except OSError as error:
            logger.error("accept failed port=%d reason=%s", listener.getsockname()[1], error)
            await trio.sleep(_ACCEPT_RETRY_SECONDS)
        else:
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                start(sock)
            except OSError:
                sock.close()
