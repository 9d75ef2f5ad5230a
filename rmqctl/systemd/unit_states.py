"""How the nodes of a cluster are whose units systemd runs one by one, in the words of `rmqctl status`."""

import time

from rmqctl.process_usage import memory_bytes_of
from rmqctl.profile.model import ClusterModel, Node
from rmqctl.supervisor.messages import NodeReport, StatusReport
from rmqctl.supervisor.node_state import NodeStatus
from rmqctl.systemd.record import Installation
from rmqctl.systemd.systemctl import systemctl
from rmqctl.systemd.units import unit_names

_PROPERTIES = ("ActiveState", "SubState", "MainPID", "NRestarts", "Result", "ActiveEnterTimestampMonotonic")

_STATES = {
    "active": NodeStatus.READY,
    "activating": NodeStatus.STARTING,
    "deactivating": NodeStatus.STOPPING,
    "failed": NodeStatus.FAILED,
}


def units_report(installation: Installation, model: ClusterModel) -> StatusReport:
    """Ask systemd about every node.

    Raises:
        RmqctlError: systemd does not answer.
    """
    units = dict(zip((node.name for node in model.nodes), unit_names(model, per_node=True)[1:], strict=True))
    reports = [_node_report(node, model, _properties(installation, units[node.name])) for node in model.nodes]
    if all(report.state is NodeStatus.STOPPED for report in reports):
        return StatusReport(state="stopped", nodes=reports)
    problems = [f"{each.name} {each.problem}" for each in reports if each.problem is not None]
    return StatusReport(state="degraded" if problems else "running", problems=problems, nodes=reports)


def _node_report(node: Node, model: ClusterModel, properties: dict[str, str]) -> NodeReport:
    state = _STATES.get(properties["ActiveState"], NodeStatus.STOPPED)
    if (properties["ActiveState"], properties["SubState"]) == ("activating", "auto-restart"):
        state = NodeStatus.BACKOFF
    since = int(properties["ActiveEnterTimestampMonotonic"] or 0) / 1e6
    pid = int(properties["MainPID"]) or None
    return NodeReport(
        name=node.name,
        role=node.role,
        engine=node.engine,
        state=state,
        problem=None if state is NodeStatus.READY else f"is {state}",
        pid=pid,
        address=model.advertised_address(node),
        uptime_seconds=round(time.monotonic() - since, 3) if state is NodeStatus.READY else None,
        memory_bytes=None if pid is None else memory_bytes_of(pid),
        restarts=int(properties["NRestarts"]),
        last_exit=None if properties["Result"] in {"", "success"} else properties["Result"],
    )


def _properties(installation: Installation, unit: str) -> dict[str, str]:
    printed = systemctl(installation.scope, "show", "--property", ",".join(_PROPERTIES), unit)
    found = dict.fromkeys(_PROPERTIES, "") | {"MainPID": "0", "NRestarts": "0"}
    for line in printed.splitlines():
        name, _, value = line.partition("=")
        found[name] = value
    return found
