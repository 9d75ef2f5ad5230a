"""How a node of the model becomes files and a process.

An engine is pure: it says which files a node needs and what to start; `rmqctl.engine.files` writes, and the
supervisor starts.
"""

from typing import Protocol

from rmqctl.engine.start import StartSpec
from rmqctl.home import ClusterHome
from rmqctl.profile.model import Node


class Engine(Protocol):
    """What a cluster runs on."""

    name: str
    """As in a profile: `engine = "embedded"`."""

    def conf_text(self, node: Node) -> str:
        """The content of the node's broker.conf or nameserver.conf."""

    def start_spec(self, node: Node, home: ClusterHome) -> StartSpec:
        """What the supervisor starts for the node."""
