"""What the wait status of a process means, in words."""

import os
import signal
from typing import Final

from rmqctl.supervisor.node_state import LastExit

EXIT_STORE_INCOMPLETE: Final = 65
"""Of our nodes: the store lacks what its other files speak of. As `rmqnode.run` has it, which imports every node."""

EXIT_TEMPORARY: Final = 75
"""Of our nodes: the start failed for a reason that may go away by itself. As `rmqnode.run` has it."""

_EXIT_MEANINGS = {
    "embedded": {
        1: "it refused to start, or failed",
        2: "its configuration is wrong",
        EXIT_STORE_INCOMPLETE: "its store lacks messages",
        EXIT_TEMPORARY: "something was missing that may come back, such as disk space",
        70: "it crashed, see its log",
    },
    "apache": {
        1: "Java could not start it",
        3: "it ran out of memory",
        70: "java could not be executed",
        134: "the JVM crashed, see hs_err in its logs folder",
        143: "stopped by SIGTERM",
        252: "its configuration contradicts itself",
        253: "it could not be initialized: its store could not be loaded, or its configuration is wrong",
        254: "it found no home folder",
        255: "it failed while starting: a port or the store is in use, or its configuration is wrong",
    },
}
"""Exit codes by engine.

embedded: of `rmqnode.run.run_node`, and that of a node that ended with an exception. apache: `BrokerStartup` and
`NamesrvStartup` (RocketMQ 4.5.2 to 5.3.3) exit with -1 to -4; the JVM with 1, with 3 at `-XX:+ExitOnOutOfMemoryError`,
and with 128 + n after the signals that it handles.
"""


_REFUSALS: Final = frozenset({1, 2, EXIT_STORE_INCOMPLETE, EXIT_TEMPORARY})


def refused_to_start(wait_status: int) -> bool:
    """Whether a node of ours ended so that its last error says why."""
    return os.waitstatus_to_exitcode(wait_status) in _REFUSALS


def describe_exit(wait_status: int, engine: str = "embedded") -> str:
    """How a process ended: `exit code 1 (…)` or `killed by SIGKILL`."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code < 0:
        return f"killed by {signal_name(-code)}"
    meaning = _EXIT_MEANINGS.get(engine, {}).get(code)
    return f"exit code {code} ({meaning})" if meaning else f"exit code {code}"


def describe_last_exit(last: LastExit, engine: str) -> str:
    """How a node's process ended last, and why if that is known."""
    if last.wait_status is None:
        ended = "exit code unknown" if last.cause else "exit code unknown (the process was adopted)"
    else:
        ended = describe_exit(last.wait_status, engine)
    return f"{ended}: it {last.cause}" if last.cause else ended


def signal_name(number: int) -> str:
    """`SIGKILL`, or `signal 99` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
