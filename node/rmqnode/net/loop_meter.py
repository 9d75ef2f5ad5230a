"""How long the loop of a node was kept from its next turn, by what, and the counter that tells others it turns.

A stretch is what runs between two turns of trio's loop, in processor time of the loop's thread: that the machine had
no time for this process makes nothing longer. Reading that clock is a system call, so it is read only where a clock
that costs a tenth of it shows a turn of some length, and every few ms of work for something to compare with.
"""

import logging
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import perf_counter, thread_time
from typing import Final

import trio

logger = logging.getLogger(__name__)

PULSE_NAME: Final = "rmqnode-pulse"
"""Name of the anonymous file with the counter, by which a supervisor finds it among a node's descriptors."""

_WORTH_A_LOOK_SECONDS: Final = 0.005
"""Shorter turns are not looked at: a node that never has a longer one says 0."""

_TOO_LONG_SECONDS: Final = 0.05
"""No stretch should be longer; one that is, and longer than all before it, is in the log."""

_COMPARED_AT_LEAST_SECONDS: Final = 0.002
"""Age of the processor time that a turn is compared with: so much too long a stretch may seem."""


class Pulse:
    """The counter of a node, in memory that other processes of this account find by its name, where there is such."""

    def __init__(self) -> None:
        self._memory = _shared_memory()
        self.counter = memoryview(self._memory or bytearray(mmap.PAGESIZE))[:8].cast("Q")
        """One unsigned number of 64 bits."""

    def close(self) -> None:
        """Give the memory back; whoever still counts fails."""
        self.counter.release()
        if self._memory is not None:
            self._memory.close()


def _shared_memory() -> mmap.mmap | None:
    try:
        descriptor = os.memfd_create(PULSE_NAME, os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        return None
    try:
        os.ftruncate(descriptor, mmap.PAGESIZE)
        # It keeps a descriptor of its own, by which others get at the memory.
        return mmap.mmap(descriptor, mmap.PAGESIZE)
    except OSError:
        return None
    finally:
        os.close(descriptor)


class LoopMeter(trio.abc.Instrument):
    """Counts turns and keeps the longest stretch; an instrument of the loop of one node.

    Args:
        counter: One number that others read; raised with every turn.
    """

    def __init__(self, counter: memoryview | None = None) -> None:
        self.longest_seconds = 0.0
        """The longest stretch so far."""
        self.longest_request = ""
        """The request that made it, by code and name, or the service; empty when nobody knows."""
        self._counter = counter if counter is not None else memoryview(bytearray(8)).cast("Q")
        self._turns = 0
        self.turn_began = perf_counter()
        """When the turn of the loop began that is going on, by `perf_counter`."""
        self._compared_at = self.turn_began
        self._compared = thread_time()
        self._noted = ""
        self._noted_seconds = 0.0

    def start(self) -> None:
        """Measure the loop that runs."""
        self.turn_began = self._compared_at = perf_counter()
        self._compared = thread_time()
        trio.lowlevel.add_instrument(self)

    def stop(self) -> None:
        """Measure it no longer."""
        trio.lowlevel.remove_instrument(self)

    def note(self, request: str, seconds: float) -> None:
        """Say what took so long within this turn; the longest part gives the stretch its name."""
        if seconds > self._noted_seconds:
            self._noted, self._noted_seconds = request, seconds

    def after_io_wait(self, timeout: float) -> None:
        """A turn begins. The one before has ended here or, if there was nothing to do, some idle time ago."""
        now = perf_counter()
        self._turns += 1
        self._counter[0] = self._turns
        if now - self.turn_began > _WORTH_A_LOOK_SECONDS:
            self._look(now - self.turn_began)
        elif now - self._compared_at < _COMPARED_AT_LEAST_SECONDS:
            self.turn_began = now
            return
        self._compared = thread_time()
        self.turn_began = self._compared_at = perf_counter()
        self._noted_seconds = 0.0

    def table(self) -> dict[str, str]:
        """Return the figures as a node answers them."""
        return {
            "longestStretchMs": f"{self.longest_seconds * 1000:.1f}",
            "longestStretchRequest": self.longest_request,
        }

    def reset(self) -> None:
        """Forget the longest stretch, and what has begun."""
        self.turn_began = self._compared_at = perf_counter()
        self._compared = thread_time()
        self.longest_seconds, self.longest_request = 0.0, ""

    def _look(self, seconds: float) -> None:
        stretch = min(seconds, thread_time() - self._compared)
        if stretch > self.longest_seconds:
            self.longest_seconds = stretch
            self.longest_request = self._noted if self._noted_seconds > stretch / 2 else ""
            if stretch > _TOO_LONG_SECONDS:
                logger.warning("others waited for one stretch ms=%.1f request=%s", 1000 * stretch, self.longest_request)


@contextmanager
def measured_loop() -> Iterator[LoopMeter]:
    """Measure the loop that runs, with a counter that others find, until the block ends."""
    pulse = Pulse()
    meter = LoopMeter(pulse.counter)
    meter.start()
    try:
        yield meter
    finally:
        with suppress(KeyError):  # trio has taken it out itself
            meter.stop()
        pulse.close()
