"""A command's grip on the supervisor that it starts: hands over the plan, follows the events, lets go or stops it."""

import os
import subprocess
from collections import deque
from collections.abc import Iterator

import msgspec

from rmqctl.supervisor.messages import Event, Launch, LineBuffer, encode_line

_EVENT_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class SupervisorLauncher:
    """A supervisor process that waits for its plan.

    Args:
        process: From `rmqctl.supervisor.launch.early`.

    Use it as a context manager: a supervisor that never got a plan, or that was not released, is gone afterwards.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._buffer = LineBuffer()
        self._lines: deque[bytes] = deque()
        self._has_plan = False
        self._is_released = False

    def __enter__(self) -> "SupervisorLauncher":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_released:
            return
        if not self._has_plan:
            # It has started nothing yet and holds nothing.
            self._process.kill()
        self.request_stop()
        self._process.wait()

    def hand_over(self, launch: Launch) -> None:
        """Give it the plan. A supervisor that died before is noticed by the end of its events."""
        assert self._process.stdin is not None, "stdin is a pipe"
        self._has_plan = True
        try:
            self._process.stdin.write(encode_line(launch))
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def request_stop(self) -> None:
        """Let it take the cluster down, or end if it has no plan; its events go on until it has."""
        assert self._process.stdin is not None, "stdin is a pipe"
        if not self._process.stdin.closed:
            self._process.stdin.close()

    def events(self) -> Iterator[Event]:
        """What it tells, until it ends. Can be asked for again, after a Ctrl-C for instance: nothing gets lost."""
        assert self._process.stdout is not None, "stdout is a pipe"
        while True:
            while self._lines:
                yield _EVENT_DECODER.decode(self._lines.popleft())
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                return
            self._lines.extend(self._buffer.feed(data))

    def release(self) -> None:
        """Leave it running: it has said that the cluster is ready."""
        self._is_released = True
