"""The supervisor's end of the zygote: asks for nodes, hears of forks and exits."""

import os
import socket
from collections.abc import AsyncGenerator, Sequence

import msgspec
import trio

from rmqctl.engine.start import StartSpec
from rmqctl.supervisor.image.zygote import RunNode, run_zygote
from rmqctl.supervisor.messages import Forked, Go, LineBuffer, Reaped, StartNode, encode_line

_DECODER = msgspec.json.Decoder(Forked | Reaped)


class ZygoteLost(Exception):
    """The zygote is gone: nodes can neither be started nor reaped any more."""


class Zygote:
    """A forked zygote. Create it before trio runs and before a descriptor is open that nodes must not have."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self._channel = channel
        channel.setblocking(False)

    def request_start(self, spec: StartSpec, accepts_loss: bool = False) -> None:
        """Ask for a node; `Forked` follows. Never blocks: a few requests fit into the socket's buffer.

        Raises:
            ZygoteLost: There is nobody to ask.
        """
        try:
            self._channel.send(encode_line(StartNode(spec, accepts_loss)))
        except OSError as error:
            raise ZygoteLost(str(error)) from error

    def let_go(self, pid: int) -> None:
        """Let a forked node begin, now that it is written down."""
        try:
            self._channel.send(encode_line(Go(pid)))
        except OSError:
            # Without the zygote the node ends by itself.
            return

    async def reports(self) -> AsyncGenerator[Forked | Reaped, None]:
        """What the zygote tells, in its order; ends when the zygote is gone."""
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._channel))
        buffer = LineBuffer()
        while True:
            try:
                data = await stream.receive_some(65536)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            for line in buffer.feed(data):
                yield _DECODER.decode(line)

    def close(self) -> None:
        """Let the zygote end, and reap it."""
        self._channel.close()
        os.waitpid(self.pid, 0)


def fork_zygote(run_node: RunNode, own_descriptors: Sequence[int] = ()) -> Zygote:
    """Fork the calling image into a zygote. The caller must have one thread and no event loop.

    Args:
        run_node: What a forked node does.
        own_descriptors: The caller's alone: the zygote, which outlives it for a moment, must not hold them.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        for descriptor in own_descriptors:
            os.close(descriptor)
        null = os.open(os.devnull, os.O_RDWR)
        # The launcher's pipes must close when the supervisor ends, not when its zygote does.
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)
        run_zygote(theirs, run_node)
    theirs.close()
    return Zygote(pid, ours)
