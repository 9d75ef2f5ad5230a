"""Memory and CPU time of running processes, as the kernel counts them. Linux only (`/proc`)."""

import os
from collections.abc import Iterable
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that the processes have used since their start, user and system, in seconds."""
    return sum(_cpu_seconds(pid) for pid in pids)


def _cpu_seconds(pid: int) -> float:
    # The name, in parentheses, may hold blanks; what follows it is state, ppid, …, utime (14th), stime (15th).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def cpu_seconds_of_threads(pids: Iterable[int]) -> float:
    """CPU time of the processes' living threads, in seconds, exact to the nanosecond.

    For idle processes: `cpu_seconds` counts whole ticks and misses work that always fits between two of them.
    """
    schedstats = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in schedstats) / 1e9


def pss_mib(pids: Iterable[int]) -> float:
    """Proportional set size of the processes together, in MiB: a page that n processes share counts 1/n in each."""
    return sum(_pss_kib(pid) for pid in pids) / 1024


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no Pss line")
