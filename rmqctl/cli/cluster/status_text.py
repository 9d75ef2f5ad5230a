"""The words and columns of `rmqctl status`, for a pipe, a terminal and a screen that is drawn again and again."""

from collections.abc import Sequence
from typing import NamedTuple

from rmqctl.cli.output import TextTable
from rmqctl.client.admin.replication import ReplicaStatus
from rmqctl.home import ClusterHome
from rmqctl.profile.model import ClusterModel
from rmqctl.supervisor.health.diagnosis import tail_of_log
from rmqctl.supervisor.messages import NodeReport, StatusReport
from rmqctl.supervisor.node_state import NodeStatus

_STARTED_BY_HAND = (NodeStatus.STOPPED, NodeStatus.EXITED, NodeStatus.FAILED)
_LOG_LINES = 5
"""The end of the log of a node that was given up."""


class StatusText(NamedTuple):
    """Everything that a person is told about a cluster, from top to bottom."""

    heading: list[str]
    tables: list[TextTable]
    problems: list[str]
    hints: list[str]
    """Not part of the result: what to do, what to look at."""


def describe_status(
    home: ClusterHome, model: ClusterModel, report: StatusReport, replication: list[ReplicaStatus]
) -> StatusText:
    """Put a status into words."""
    heading = [
        f"cluster {home.name}  {report.state}  profile {model.profile}  engine {model.engine}",
        f"nameserver  {';'.join(model.nameserver_addresses)}",
    ]
    tables = [_node_table(report.nodes, with_engine=model.engine == "mixed")]
    if replication:
        tables.append(_replication_table(replication))
    return StatusText(heading, tables, _problems(home, report), _hints(report, replication))


def _problems(home: ClusterHome, report: StatusReport) -> list[str]:
    lines = []
    for node in report.nodes:
        if node.problem is not None:
            lines.append(f"{node.name} {node.problem}")
        if node.state == NodeStatus.FAILED:
            lines += [f"  {line}" for line in tail_of_log(home.node_log(node.name), 0, _LOG_LINES)]
    return lines


def _hints(report: StatusReport, replication: list[ReplicaStatus]) -> list[str]:
    hints = [
        f"warning: {pair.slave} does not replicate {pair.master}: {pair.problem}"
        for pair in replication
        if pair.sync_state == "refused"
    ]
    idle = [node.name for node in report.nodes if node.state in _STARTED_BY_HAND]
    if idle and report.state != NodeStatus.UNSUPERVISED:
        hints.append(f"to start what does not run: rmqctl start {' '.join(idle)}")
    if report.state == NodeStatus.UNSUPERVISED:
        hints.append("the supervisor is gone, but nodes run: rmqctl up adopts them as they are, rmqctl down stops them")
    return hints


def _node_table(nodes: Sequence[NodeReport], *, with_engine: bool) -> TextTable:
    columns = ["node", "role", "engine", "state", "pid", "address", "uptime", "restarts", "cpu", "memory", "last exit"]
    rows = [_row(node) for node in nodes]
    if not with_engine:
        # The heading says it.
        columns, rows = _without(columns, 2), [_without(row, 2) for row in rows]
    return TextTable(columns, rows)


def _without(cells: list[str], index: int) -> list[str]:
    return cells[:index] + cells[index + 1 :]


def _row(node: NodeReport) -> list[str]:
    state = node.state
    if node.retry_in_seconds is not None:
        state += f", next try in {node.retry_in_seconds:.0f} s"
    return [
        node.name,
        node.role,
        node.engine,
        state,
        _shown(node.pid),
        node.address,
        "-" if node.uptime_seconds is None else describe_duration(node.uptime_seconds),
        _shown(node.restarts),
        "-" if node.cpu_percent is None else f"{node.cpu_percent:.1f} %",
        "-" if node.memory_bytes is None else f"{node.memory_bytes / (1 << 20):.0f} MiB",
        node.last_exit or "-",
    ]


def _replication_table(replication: Sequence[ReplicaStatus]) -> TextTable:
    columns = ["slave", "of", "master's role", "sync state", "synchronized offset", "bytes behind", "seconds behind"]
    return TextTable(columns, [_replica_row(pair) for pair in replication])


def _replica_row(pair: ReplicaStatus) -> list[str]:
    return [
        pair.slave,
        pair.master,
        pair.master_role or "-",
        pair.sync_state,
        _shown(pair.synchronized_offset),
        _shown(pair.bytes_behind),
        "-" if pair.seconds_behind is None else f"{pair.seconds_behind:.1f}",
    ]


def describe_duration(seconds: float) -> str:
    """A duration as people say it: `42 s`, `3 min`, `5 h 2 min`, `2 d 3 h`."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"


def _shown(value: int | None) -> str:
    return "-" if value is None else str(value)
