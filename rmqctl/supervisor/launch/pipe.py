"""The supervisor's two pipes to the command that launched it: events out, and the news that it went away."""

import os

import msgspec
import trio

from rmqctl.supervisor.messages import encode_line

_STDIN = 0
_STDOUT = 1


class LauncherPipe:
    """stdin and stdout of the supervisor, for as long as its launcher matters."""

    def __init__(self, is_attached: bool = True) -> None:
        self.is_attached = is_attached
        os.set_blocking(_STDOUT, False)

    def send(self, event: msgspec.Struct) -> None:
        """Tell the launcher. A launcher that does not read, or is gone, holds nothing up."""
        if not self.is_attached:
            return
        try:
            os.write(_STDOUT, encode_line(event))
        except (BlockingIOError, BrokenPipeError):
            return

    def detach(self) -> None:
        """Go on without the launcher: from now on it may end."""
        self.is_attached = False
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, _STDIN)
        os.dup2(null, _STDOUT)
        os.close(null)

    async def wait_gone(self) -> None:
        """Return when the launcher has closed its end, or has ended."""
        async with trio.lowlevel.FdStream(os.dup(_STDIN)) as stream:
            while await stream.receive_some(4096):
                pass
