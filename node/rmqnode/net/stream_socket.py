"""What a connection needs of its socket, and what it tells of the addresses at its ends."""

import socket
from typing import Any, Final, Protocol

PIECE_BYTES: Final = 256 * 1024
"""What a socket did not take is kept, and given again, in pieces of this size: memory is given back with each."""


class StreamSocket(Protocol):
    """What a connection needs of its socket; a socket of the standard library, or one that encrypts."""

    @property
    def family(self) -> int:
        """Address family: IPv4 peers have an address that messages can store."""

    def fileno(self) -> int:
        """Return the descriptor to wait on, -1 once closed."""

    def getpeername(self) -> Any:
        """Return the address of the other end."""

    def getsockname(self) -> Any:
        """Return the address of this end."""

    def recv(self, size_bytes: int, /) -> bytes:
        """Return what is there; BlockingIOError when nothing is, no bytes when the peer closed it."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Return how many bytes were taken; BlockingIOError when none can be taken now.

        What was not taken comes again first: at least as much of it as was given, or `PIECE_BYTES`.
        """

    def close(self) -> None:
        """Close it."""


def host_bytes(sock: StreamSocket, address: tuple[str, int]) -> bytes:
    """Address and port as messages store them: 4 bytes each; zeros for IPv6, which 4.5.2 can't store."""
    ip = socket.inet_aton(address[0]) if sock.family == socket.AF_INET else bytes(4)
    return ip + address[1].to_bytes(4, "big")


def address_text(address: tuple[str, int]) -> str:
    """An address as `host:port`, that of IPv6 in brackets."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
