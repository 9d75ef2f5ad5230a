"""What the wait status of a process means, in words."""

import os
import signal

_EXIT_MEANINGS = {
    1: "it refused to start, or failed",
    2: "its configuration is wrong",
    70: "it crashed, see its log",
}
"""Exit codes of `rmqnode.run.run_node`, and that of a node that ended with an exception."""


def describe_exit(wait_status: int) -> str:
    """How a process ended: `exit code 1 (…)` or `killed by SIGKILL`."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code < 0:
        return f"killed by {_signal_name(-code)}"
    meaning = _EXIT_MEANINGS.get(code)
    return f"exit code {code} ({meaning})" if meaning else f"exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
