"""What has to happen to a running cluster for it to become another one: nodes added, restarted, removed.

Pure. Nodes that are the same in both are not touched.
"""

from collections.abc import Sequence

import msgspec

from rmqctl.profile.changes import describe_node_changes
from rmqctl.profile.model import ClusterModel, Node


class NodeRestart(msgspec.Struct, frozen=True):
    """A node that has to start anew, and why."""

    node: str
    because: list[str]
    """What differs: `fileReservedTime 48 → 24`."""


class ChangePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The steps, in the order in which they are done."""

    add: list[str]
    restart: list[NodeRestart]
    remove: list[str]
    untouched: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.add or self.restart or self.remove)


def plan_change(running: ClusterModel, wanted: ClusterModel) -> ChangePlan:
    """Compare what runs with what is wanted."""
    before = {node.name: node for node in running.nodes}
    after = {node.name: node for node in wanted.nodes}
    restarts = [
        NodeRestart(name, describe_node_changes(before[name], node))
        for name, node in after.items()
        if name in before and _process_differs(before[name], node)
    ]
    changed = {restart.node for restart in restarts}
    return ChangePlan(
        add=[name for name in after if name not in before],
        restart=restarts,
        remove=[name for name in before if name not in after],
        untouched=[name for name in after if name in before and name not in changed],
    )


def describe_plan(plan: ChangePlan, wanted: ClusterModel) -> list[str]:
    """One line a step, in words."""
    lines = [f"add      {name}: {_what(wanted, name)}" for name in plan.add]
    lines += [f"restart  {step.node}: {'; '.join(step.because)}" for step in plan.restart]
    lines += [f"remove   {name}: it stops, its store is kept" for name in plan.remove]
    if plan.untouched:
        lines.append(f"as it is {', '.join(plan.untouched)}")
    return lines


def _what(model: ClusterModel, name: str) -> str:
    node = model.node(name)
    assert node is not None, "an added node is in the wanted model"
    ports: Sequence[str] = [f"{use} {port}" for use, port in node.ports.items()]
    return f"{node.role} on {', '.join(ports)}"


def _process_differs(before: Node, after: Node) -> bool:
    """Whether the process would run with something else; restart policy and sizes of logs need no new one."""
    return (before.properties, before.java, before.engine) != (after.properties, after.java, after.engine)
