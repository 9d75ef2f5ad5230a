"""A TCP proxy on loopback that keeps every frame that passes, for making golden captures.

It cuts the stream by its length prefixes only, so that the recording does not depend on the code under test.
"""

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Rewrite = Callable[[bytes], bytes]


@dataclass
class Passage:
    """The frames of one connection: what its opener sent, and what came back."""

    opener: str
    """Who connected, such as `client`."""
    server: str
    """Who listens, such as `broker`."""
    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)


class RecordingProxy:
    """Listens on a free loopback port and passes connections on to another one.

    Args:
        opener: Who connects through it.
        server: Who listens behind it.
        upstream_port: The loopback port behind it.
        rewrite: Changes a frame from the server before it goes on to the opener; its length must stay the same.
            What is recorded is the frame before the change.
        port: The port to listen on, if it has to be a certain one.
    """

    def __init__(
        self, opener: str, server: str, upstream_port: int, *, rewrite: Rewrite = bytes, port: int = 0
    ) -> None:
        self._opener, self._server = opener, server
        self._upstream_port = upstream_port
        self._rewrite = rewrite
        self.passages: list[Passage] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop accepting; connections end with their peers."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._upstream_port))
            passage = Passage(self._opener, self._server)
            self.passages.append(passage)
            for source, target, frames, rewrite in (
                (near, far, passage.sent, bytes),
                (far, near, passage.received, self._rewrite),
            ):
                threading.Thread(target=_pump, args=(source, target, frames, rewrite), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, frames: list[bytes], rewrite: Rewrite) -> None:
    """Pass whole frames on until either side closes."""
    with source.makefile("rb") as stream:
        try:
            while len(prefix := stream.read(4)) == 4:
                frame = prefix + stream.read(struct.unpack(">i", prefix)[0])
                frames.append(frame)
                target.sendall(rewrite(frame))
        except OSError:
            pass  # a peer that is gone ends the connection, which is what happens below
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # already closed
