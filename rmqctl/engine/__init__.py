"""How a node of the model becomes files and a process.

    embedded   our own nodes, forked
    apache/    Apache's nodes, executed with java
    prepare    which engine each node gets; brings what the engine needs
    files      writes what the engines say
    start      what the supervisor is told

An engine says which files a node needs and what to start; `rmqctl.engine.files` writes, and the supervisor starts.
"""

from collections.abc import Mapping
from typing import Protocol

from rmqctl.engine.start import StartSpec
from rmqctl.home import ClusterHome
from rmqctl.profile.model import Node


class Engine(Protocol):
    """What a cluster runs on."""

    name: str
    """As in a profile: `engine = "embedded"`."""

    def files(self, node: Node, home: ClusterHome) -> Mapping[str, str]:
        """Path below the node's folder → content: its broker.conf or nameserver.conf, and what else it reads."""

    def start_spec(self, node: Node, home: ClusterHome) -> StartSpec:
        """What the supervisor starts for the node."""
