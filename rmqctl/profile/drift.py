"""Drift: what tools changed in running nodes, which keep it although the profile says otherwise.

A node writes such changes beside its configuration file (`rmqnode.config.overlay`); `rmqctl up` leaves them there. Keys
that a start could not take are set aside in a file of their own.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from rmqctl.home import ClusterHome
from rmqctl.profile.model import ClusterModel, Node
from rmqnode.config import masked, overlay_path, read_overlay
from rmqnode.config.check import Entry, SetAside, entries_of
from rmqnode.config.overlay import divide_overlay


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
    """Key → value that counts in a node's overlay and is other than the model's; empty when it cannot be read."""
    taken, _ = _divided(node, home)
    return {each.key: each.value for each in taken}


def set_aside_refused(node: Node, home: ClusterHome) -> list[str]:
    """Set aside what a start of this node cannot take from its overlay; our own nodes do it themselves.

    Returns:
        What a person should read: each key with its reason.
    """
    from rmqnode.config_changes import log_set_aside

    conf = _conf_of(node, home)
    _, refused = _divided(node, home)
    if refused:
        log_set_aside(conf, refused)
    return [f"{node.name}: set aside, without effect: {each.reason}" for each in refused]


def _divided(node: Node, home: ClusterHome) -> tuple[Sequence[Entry], Sequence[SetAside]]:
    conf = _conf_of(node, home)
    try:
        overlay = read_overlay(conf)
    except OSError:
        return [], []
    beneath = entries_of(node.properties, node.conf_name)
    return divide_overlay(node.kind, beneath, entries_of(overlay, overlay_path(conf).name))


def _conf_of(node: Node, home: ClusterHome) -> Path:
    return home.node_folder(node.name) / node.conf_name


def find_drift(model: ClusterModel, home: ClusterHome) -> list[Drift]:
    """Every difference, node by node."""
    return [
        Drift(node=node.name, key=key, value=masked(key, value), profile_value=_profile_value(node, key))
        for node in model.nodes
        for key, value in changed_properties(node, home).items()
    ]


def _profile_value(node: Node, key: str) -> str | None:
    value = node.properties.get(key)
    return None if value is None else masked(key, value)
