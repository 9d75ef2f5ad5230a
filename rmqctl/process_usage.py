"""How much CPU and memory a process takes, from `/proc` where there is one and from psutil elsewhere."""

import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from rmqctl.proc_file import read_proc_file


class CpuSample(NamedTuple):
    """CPU that a process had taken at some moment, both in seconds."""

    at: float
    cpu_seconds: float


class CpuMeter:
    """CPU of processes since a moment a little while ago.

    `note` is to be called now and then; what is reported covers the time since the call before the last one.
    """

    def __init__(self) -> None:
        self._samples: dict[int, tuple[CpuSample, CpuSample]] = {}

    def note(self, pids: Iterable[int], now: float) -> None:
        """Remember how much CPU these processes have taken; all others are forgotten."""
        noted = {}
        for pid in pids:
            cpu_seconds = cpu_seconds_of(pid)
            if cpu_seconds is not None:
                sample = CpuSample(now, cpu_seconds)
                noted[pid] = (self._samples[pid][1] if pid in self._samples else sample, sample)
        self._samples = noted

    def percent(self, pid: int, now: float) -> float | None:
        """Share of one core, in percent; None when it is not known yet."""
        samples = self._samples.get(pid)
        cpu_seconds = cpu_seconds_of(pid)
        if samples is None or cpu_seconds is None or now - samples[0].at < _WINDOW_SECONDS_MIN:
            return None
        return 100 * (cpu_seconds - samples[0].cpu_seconds) / (now - samples[0].at)


def cpu_percents_of(pids: Collection[int]) -> dict[int, float]:
    """Share of one core that each process takes now, in percent; waits as long as it takes to tell."""
    meter = CpuMeter()
    meter.note(pids, time.monotonic())
    time.sleep(_WINDOW_SECONDS_MIN)
    percents = {pid: meter.percent(pid, time.monotonic()) for pid in pids}
    return {pid: percent for pid, percent in percents.items() if percent is not None}


_WINDOW_SECONDS_MIN = 0.5
"""The clock of CPU time ticks each 10 ms: a shorter window would show noise."""


def cpu_seconds_of(pid: int) -> float | None:
    """CPU that a process has taken, in user and system mode together; None when there is no such process."""
    if not _PROC.is_dir():
        return _cpu_seconds_from_psutil(pid)
    try:
        stat = read_proc_file(f"{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes_of(pid: int) -> int | None:
    """Memory of a process: with its share of what forked processes have in common, where the system tells (PSS)."""
    try:
        for line in read_proc_file(f"{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _memory_from_psutil(pid)


_PROC = Path("/proc/self")


def _cpu_seconds_from_psutil(pid: int) -> float | None:
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def _memory_from_psutil(pid: int) -> int | None:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
