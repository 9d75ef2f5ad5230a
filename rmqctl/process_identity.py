"""Which process a recorded pid means: pid and start time together, because the system uses pids again.

Uses `/proc` where there is one and psutil elsewhere, so that nothing heavy is loaded on Linux.
"""

import os
import time
from pathlib import Path

import msgspec

from rmqctl.proc_file import read_proc_file


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: str
    """When it started: boot id and clock ticks since boot on Linux, seconds since the epoch elsewhere."""

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return identify(self.pid) == self

    def age_seconds(self) -> float:
        """How long ago it was started."""
        if not _PROC.is_dir():
            return max(0.0, time.time() - float(self.started))
        ticks = int(self.started.partition(":")[2])
        uptime = float(read_proc_file("uptime").split()[0])
        return max(0.0, uptime - ticks / os.sysconf("SC_CLK_TCK"))


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a running process; None when there is no such process, or only its zombie."""
    started = _started_from_proc(pid) if _PROC.is_dir() else _started_from_psutil(pid)
    return None if started is None else ProcessIdentity(pid, started)


def identify_self() -> ProcessIdentity:
    """The identity of the calling process."""
    identity = identify(os.getpid())
    assert identity is not None, "the calling process runs"
    return identity


_PROC = Path("/proc/self")


def _started_from_proc(pid: int) -> str | None:
    try:
        stat = read_proc_file(f"{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses and may itself hold blanks and parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    # Ticks count from the boot, and pids start again with it: without the boot id they could agree by chance.
    boot_id = read_proc_file("sys/kernel/random/boot_id").partition(b"-")[0]
    return f"{boot_id.decode()}:{fields[19].decode()}"


def _started_from_psutil(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.6f}"
    except psutil.NoSuchProcess:
        return None
