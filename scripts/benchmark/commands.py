"""How long a user waits for a command: `rmqctl` as a whole process, through the script of the checkout."""

import statistics
import subprocess
import time
from pathlib import Path

from scripts.benchmark.engines import COMMAND_TIMEOUT_SECONDS, RunningCluster
from scripts.benchmark.ground import TOPIC

TIMES = 10

_RMQCTL = Path(__file__).parents[1] / "rmqctl"


def command_times(cluster: RunningCluster) -> dict[str, float]:
    """Median of several runs of each command, in seconds; the topic of the benchmark is there."""
    send = ("send", TOPIC, "a message", "--nameserver", cluster.nameserver)
    commands = {"--version": ("--version",), "--help": ("--help",), "send of one message": send}
    return {f"rmqctl {name}, median of {TIMES} (s)": _median_seconds(command) for name, command in commands.items()}


def _median_seconds(arguments: tuple[str, ...]) -> float:
    # The first start makes or mends the environment.
    return statistics.median([_seconds(arguments) for _ in range(TIMES + 1)][1:])


def _seconds(arguments: tuple[str, ...]) -> float:
    started = time.monotonic()
    result = subprocess.run(
        [_RMQCTL, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"rmqctl {' '.join(arguments)}: exit code {result.returncode}\n{result.stderr}")
    return time.monotonic() - started
