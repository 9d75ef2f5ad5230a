"""Starts the process of a supervisor before anything else is known: it imports while the command works out its plan.

Imports nothing of rmqctl, so that the very first lines of `rmqctl up` can use it.
"""

import subprocess
import sys
import time
from typing import NamedTuple


class EarlySupervisor(NamedTuple):
    """A supervisor process without a plan."""

    process: subprocess.Popen[bytes]
    begun: float
    """When it was started, on `time.monotonic`: from here on users wait for their cluster."""


def spawn_supervisor() -> EarlySupervisor:
    """Start a supervisor that waits for its plan on stdin; without one it ends when stdin closes."""
    begun = time.monotonic()
    # A session of its own: Ctrl-C in the terminal reaches the command alone, which then tells the supervisor.
    process = subprocess.Popen(
        # -P: a module of the same name in the current folder is none of ours.
        [sys.executable, "-P", "-m", "rmqctl.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    return EarlySupervisor(process, begun)
