"""How the nodes of a cluster are whose units systemd runs one by one, in the words of `rmqctl status`."""

import time
from collections.abc import Sequence

from rmqctl.process_usage import memory_bytes_of
from rmqctl.profile.model import ClusterModel, Node
from rmqctl.supervisor.exit_status import describe_exit
from rmqctl.supervisor.messages import NodeReport, StatusReport
from rmqctl.supervisor.node_state import NodeStatus
from rmqctl.systemd.record import Installation
from rmqctl.systemd.systemctl import systemctl
from rmqctl.systemd.units import unit_names

_PROPERTIES = (
    "ActiveState",
    "SubState",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "ActiveEnterTimestampMonotonic",
)

_EXITED = "1"
"""`ExecMainCode` of a process that ended by itself, CLD_EXITED: its status is an exit code, otherwise a signal."""

_TOLD_BY_STATUS = frozenset({"exit-code", "signal", "core-dump"})
"""Values of `Result` that say no more than code and status; others, as `watchdog`, say why."""

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
    found = _properties(installation, unit_names(model, per_node=True)[1:])
    reports = [_node_report(node, model, properties) for node, properties in zip(model.nodes, found, strict=True)]
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
        last_exit=_last_exit(node, properties),
    )


def _last_exit(node: Node, properties: dict[str, str]) -> str | None:
    """How the process of a unit ended that does not run again yet; systemd forgets it with the next start."""
    if properties["Result"] in {"", "success"}:
        return None
    if properties["ExecMainCode"] in {"", "0"}:
        return properties["Result"]
    status = int(properties["ExecMainStatus"])
    ended = describe_exit(status << 8 if properties["ExecMainCode"] == _EXITED else status, node.engine)
    return ended if properties["Result"] in _TOLD_BY_STATUS else f"{ended}: {properties['Result']}"


def _properties(installation: Installation, units: Sequence[str]) -> list[dict[str, str]]:
    """What systemd knows of each unit."""
    printed = systemctl(installation.scope, "show", "--property", ",".join(_PROPERTIES), *units)
    found = []
    for block in printed.strip().split("\n\n"):
        lines = [line.partition("=") for line in block.splitlines()]
        found.append(
            dict.fromkeys(_PROPERTIES, "")
            | {"MainPID": "0", "NRestarts": "0"}
            | {name: value for name, _, value in lines}
        )
    return found
