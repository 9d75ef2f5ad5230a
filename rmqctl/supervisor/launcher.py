"""Starts a supervisor from a command: early, so that it imports while the command still works out the plan."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec

from rmqctl.supervisor.messages import Event, Launch, LineBuffer, encode_line

_EVENT_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_ABANDONED_SECONDS = 10.0


class SupervisorLauncher:
    """A supervisor process that waits for its plan.

    Use it as a context manager: a supervisor that never got a plan, or that was not released, is gone afterwards.
    """

    def __init__(self) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the command alone, which then tells the supervisor.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rmqctl.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._is_released = False

    def __enter__(self) -> "SupervisorLauncher":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_released:
            self.request_stop()
            self._process.communicate()

    def hand_over(self, launch: Launch) -> None:
        """Give it the plan. A supervisor that died before is noticed by the end of its events."""
        assert self._process.stdin is not None, "stdin is a pipe"
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
        """What it tells, until it releases or ends."""
        assert self._process.stdout is not None, "stdout is a pipe"
        buffer = LineBuffer()
        while data := self._process.stdout.raw.read(65536):  # type: ignore[attr-defined]
            for line in buffer.feed(data):
                yield _EVENT_DECODER.decode(line)

    def release(self) -> None:
        """Leave it running: it has said that the cluster is ready."""
        self._is_released = True

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        return self._process.wait(_ABANDONED_SECONDS)
