"""What the supervisor is told to start for a node. Travels as JSON between processes, so it holds plain values only."""

from typing import Literal

import msgspec


class StartSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One node as a process: forked from the preloaded image, it calls `rmqnode.run.run_node`, or becomes `argv`."""

    node: str
    kind: Literal["nameserver", "broker"]
    config_path: str
    log_path: str
    """stdout and stderr of the process are appended to it."""
    log_size_max: int = 16 << 20
    """In bytes, before it is renamed."""
    log_files: int = 4
    """How many renamed ones are kept."""
    engine: str = "embedded"
    """Says what exit codes mean."""
    argv: list[str] | None = None
    """The program to execute, its absolute path first; None runs the node in the image itself."""
    folder: str = "/"
    """Working directory of an executed program."""
    grace_seconds: float | None = None
    """Between SIGTERM and SIGKILL; None leaves it to the supervisor's policy."""
