"""Our client beside the official one: both send to the same cluster, one after the other."""

import json
import subprocess
import sys

from scripts.benchmark.engines import RunningCluster
from scripts.benchmark.ground import TOPIC

SECONDS = 10
TIMEOUT_SECONDS = 120


def our_sends(cluster: RunningCluster) -> dict[str, float]:
    """Send asynchronously for `SECONDS` from one process.

    Returns:
        `rate` in messages a second, `cpu_us` of the client a message, `failed` sends.

    Raises:
        RuntimeError: The sender failed, or a tenth of its sends did.
    """
    command = [sys.executable, "-P", "-m", "scripts.benchmark.async_sender", cluster.nameserver, TOPIC, str(SECONDS)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"our sender: exit code {done.returncode}\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    if found["failed"] > found["rate"] * SECONDS / 10:
        raise RuntimeError(f"{found['failed']:.0f} sends of our client failed")
    return found
