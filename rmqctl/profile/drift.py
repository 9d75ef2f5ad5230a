"""Drift: what tools changed in running brokers, which keep it although the profile says otherwise.

A node writes such changes beside its configuration file (`rmqnode.config.overlay`); `rmqctl up` leaves them there.
"""

import msgspec

from rmqctl.home import ClusterHome
from rmqctl.profile.model import ClusterModel, Node
from rmqnode.config import read_overlay


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one node; keys are in `rmqctl status --json`."""

    node: str
    key: str
    value: str
    """What the node uses, at the latest from its next start on."""
    profile_value: str | None
    """What its configuration file says; None where that leaves the default."""

    def __str__(self) -> str:
        said = "the default" if self.profile_value is None else self.profile_value
        return f"{self.node}: {self.key}={self.value} (profile: {said})"


def changed_properties(node: Node, home: ClusterHome) -> dict[str, str]:
    """Key → value that a node's overlay says other than the model; empty when it cannot be read."""
    try:
        overlay = read_overlay(home.node_folder(node.name) / node.conf_name)
    except OSError:
        return {}
    return {key: value for key, value in overlay.items() if node.properties.get(key) != value}


def find_drift(model: ClusterModel, home: ClusterHome) -> list[Drift]:
    """Every difference, node by node."""
    return [
        Drift(node=node.name, key=key, value=value, profile_value=node.properties.get(key))
        for node in model.brokers
        for key, value in changed_properties(node, home).items()
    ]
