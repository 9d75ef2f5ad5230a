"""Processes that this supervisor did not start: nodes whose supervisor, or whose zygote, is gone.

They are nobody's children but init's, so no wait status ever comes. Linux tells of their end through a descriptor of
the process (pidfd); elsewhere their pid and start time are looked at again and again.
"""

import os

import trio

from rmqctl.process_identity import ProcessIdentity

_POLL_SECONDS = 0.1


async def wait_ended(process: ProcessIdentity) -> None:
    """Return when this very process has ended."""
    descriptor = _open_pidfd(process.pid)
    if descriptor is None:
        await _poll(process)
        return
    try:
        # Only now: the descriptor could be that of a later process with the same pid.
        if process.is_alive():
            await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


async def _poll(process: ProcessIdentity) -> None:
    while True:
        if not process.is_alive():
            return
        await trio.sleep(_POLL_SECONDS)


def _open_pidfd(pid: int) -> int | None:
    """A descriptor of a process; None where the system has none, or the process is gone."""
    # Not on every system, and mypy looks at one of them only.
    pidfd_open = getattr(os, "pidfd_open", None)
    if pidfd_open is None:
        return None
    try:
        descriptor: int = pidfd_open(pid)
    except OSError:
        return None
    return descriptor
