"""Whether a node that does not answer still works: the counter that its loop raises, and when it counts as hung.

A node of ours raises a counter in shared memory with each turn of its loop (`rmqnode.net.loop_meter`). One that is busy
raises it and is let be, however long its answers take. One whose counter stands still hangs: soon, if it was given
processor time all the same; later, if it was not, for then the machine had none or somebody has stopped it.
Apache's nodes have no such counter: their silence alone counts.
"""

import os
import struct
from typing import Final, NamedTuple

from rmqctl.process_usage import cpu_seconds_of
from rmqnode.net.loop_meter import PULSE_NAME

_COUNTER: Final = struct.Struct("@Q")

_WORKED_SECONDS_MIN: Final = 1.0
"""So much processor time without a turn of the loop is no want of it."""

_PATIENCE_FACTOR: Final = 4
"""A node without processor time is given so many times longer: 60 s instead of 15."""


class _Turn(NamedTuple):
    """The last look that found the counter raised."""

    turns: int
    at: float
    cpu_seconds: float


class Pulses:
    """The counters of the nodes, as they were looked at."""

    def __init__(self) -> None:
        self._descriptors: dict[int, int | None] = {}
        self._turns: dict[int, _Turn] = {}

    def note(self, pids: list[int], now: float) -> None:
        """Look at these processes; all others are forgotten."""
        self._descriptors = {pid: descriptor for pid, descriptor in self._descriptors.items() if pid in pids}
        self._turns = {pid: turn for pid, turn in self._turns.items() if pid in pids}
        for pid in pids:
            self._look(pid, now)

    def silence_is_hang(self, pid: int, silence_seconds: float, silence_seconds_max: float, now: float) -> bool:
        """Whether a node hangs that has not answered for so long."""
        if not self._look(pid, now):
            return silence_seconds >= silence_seconds_max
        turn = self._turns[pid]
        stalled_seconds = min(silence_seconds, now - turn.at)
        worked_seconds = (cpu_seconds_of(pid) or 0.0) - turn.cpu_seconds
        return stalled_seconds >= silence_seconds_max * (
            1 if worked_seconds >= _WORKED_SECONDS_MIN else _PATIENCE_FACTOR
        )

    def is_busy(self, pid: int | None, now: float) -> bool:
        """Whether the loop of a node has turned since the last look, or just now."""
        if pid is None or not self._look(pid, now):
            return False
        return now - self._turns[pid].at < 1.0

    def _look(self, pid: int, now: float) -> bool:
        """Take notice of the counter; False when the process has none."""
        turns = self._read(pid)
        if turns is None:
            self._turns.pop(pid, None)
            return False
        turn = self._turns.get(pid)
        if turn is None or turn.turns != turns:
            self._turns[pid] = _Turn(turns, now, cpu_seconds_of(pid) or 0.0)
        return True

    def _read(self, pid: int) -> int | None:
        if pid not in self._descriptors:
            self._descriptors[pid] = _descriptor_of(pid)
        descriptor = self._descriptors[pid]
        if descriptor is None:
            return None
        try:
            file = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return int(_COUNTER.unpack(os.pread(file, _COUNTER.size, 0))[0])
        except (OSError, struct.error):
            return None
        finally:
            os.close(file)


def _descriptor_of(pid: int) -> int | None:
    """Find the anonymous file with the counter among the descriptors of a process; it is one of the first."""
    folder = f"/proc/{pid}/fd"
    try:
        descriptors = sorted(map(int, os.listdir(folder)))
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            if os.readlink(f"{folder}/{descriptor}").startswith(f"/memfd:{PULSE_NAME}"):
                return descriptor
        except OSError:
            continue
    return None
