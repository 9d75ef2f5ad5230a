"""What the supervisor is told to start for a node. Travels as JSON between processes, so it holds plain values only."""

from typing import Literal

import msgspec


class StartSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One node as a process: forked from the preloaded image, it calls `rmqnode.run.run_node`."""

    node: str
    kind: Literal["nameserver", "broker"]
    config_path: str
    log_path: str
    """stdout and stderr of the process are appended to it."""
