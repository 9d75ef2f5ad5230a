"""Making connections: to the reachable instead of the advertised address, encrypted when that is asked for.

A TLS stream looks like a plain socket to `rmqnode.net.connection`, so that everything above it stays the same.
Source: `NettyRemotingClient` (RocketMQ 4.5.2) with `useTLS`, whose servers take both kinds on one port.
"""

import socket
import ssl
from typing import Any

import trio

from rmqctl.client.addresses import AddressMap
from rmqnode.net.client import connect_socket
from rmqnode.net.errors import ConnectError
from rmqnode.net.stream_socket import PIECE_BYTES, StreamSocket


class Dialer:
    """Connects to advertised addresses; an instance is what `RemotingClient` takes as `open_socket`.

    Args:
        remap: From advertised to reachable addresses.
        ssl_context: Encrypts and authenticates every connection; its `check_hostname` looks at the reachable host.
    """

    def __init__(self, remap: AddressMap, ssl_context: ssl.SSLContext | None) -> None:
        self._remap = remap
        self._ssl_context = ssl_context

    async def __call__(self, address: str) -> StreamSocket:
        """Connect to an advertised address.

        Raises:
            ConnectError: Nobody listens there, or the handshake fails; it names the reachable address too.
        """
        reachable = self._remap.reachable(address)
        try:
            sock = await connect_socket(reachable)
            if self._ssl_context is None:
                return sock
            return await _encrypt(sock, reachable, self._ssl_context)
        except ConnectError as error:
            if reachable == address:
                raise
            raise ConnectError(address, f"reached as {error}") from None


class TlsSocket:
    """A TLS stream over a connected socket, with the plain socket's non-blocking manners."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self.family: int = sock.family
        self.fileno = sock.fileno
        self.getpeername = sock.getpeername
        self.getsockname = sock.getsockname
        self.close = sock.close

    def recv(self, size_bytes: int) -> bytes:
        """Return what was decrypted; BlockingIOError when more has to arrive first."""
        try:
            return self._sock.recv(size_bytes)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLEOFError:
            # Without a closing alert: how Java's servers, and killed ones, end a stream.
            return b""

    def send(self, data: bytes | memoryview) -> int:
        """Encrypt and send; BlockingIOError when the same bytes have to be given again later.

        OpenSSL may have sent a part of what it refuses, and fails when it is given less of it afterwards. So it never
        gets more than a piece, which is what it is given again.
        """
        try:
            return self._sock.send(data if len(data) <= PIECE_BYTES else memoryview(data)[:PIECE_BYTES])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None


async def _encrypt(sock: socket.socket, address: str, context: ssl.SSLContext) -> TlsSocket:
    host = address.rpartition(":")[0].strip("[]")
    wrapped: Any = sock
    try:
        wrapped = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        await _shake_hands(wrapped)
    except (OSError, ValueError) as error:
        wrapped.close()
        raise ConnectError(address, f"no TLS connection: {error}") from None
    except BaseException:
        wrapped.close()
        raise
    return TlsSocket(wrapped)


async def _shake_hands(sock: ssl.SSLSocket) -> None:
    while True:
        try:
            return sock.do_handshake()
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(sock)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(sock)
