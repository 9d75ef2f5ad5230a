"""`rmqctl status`: the nodes of a cluster and whether they serve."""

import msgspec
import trio

from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption
from rmqctl.cli.output import narrate, print_json, print_result, print_table
from rmqctl.client.replication import PairMember, ReplicaStatus, ask_replication
from rmqctl.errors import ExitCode
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome
from rmqctl.profile.drift import Drift, find_drift
from rmqctl.profile.model import ClusterModel, Role
from rmqctl.profile.stored import load_cluster_if_any
from rmqctl.supervisor.control_client import ask_status
from rmqctl.supervisor.diagnosis import tail_of_log
from rmqctl.supervisor.messages import NodeReport, StatusReport
from rmqctl.supervisor.orphans import find_orphans
from rmqctl.supervisor.states import NodeStatus
from rmqctl.systemd.record import load_installation
from rmqctl.target import choose_local_home

_LOG_LINES = 5
"""The end of the log of a node that was given up."""


class ClusterStatus(msgspec.Struct, frozen=True):
    """What `rmqctl status --json` prints; keys are stable."""

    cluster: str
    engine: str
    state: str
    problems: list[str]
    nodes: list[NodeReport]
    replication: list[ReplicaStatus] = []
    drift: list[Drift] = []


def status(cluster: ClusterOption = None, home: HomeOption = None, json_output: JsonOption = False) -> int:
    """Show the nodes of a cluster. Exits 0 when all of them serve, 1 otherwise."""
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    stored = load_cluster_if_any(chosen)
    if stored is None:
        return _report_unknown(chosen, json_output)
    model = stored.model
    report = _report(chosen, model)
    replication = _replication(model) if report.state != "stopped" else []
    drift = find_drift(model, chosen)
    if json_output:
        print_json(
            ClusterStatus(chosen.name, model.engine, report.state, report.problems, report.nodes, replication, drift)
        )
    else:
        _print_status(chosen, model, report, replication)
        narrate_drift(drift)
    return ExitCode.DONE if report.state == "running" else ExitCode.REFUSED


def _report(home: ClusterHome, model: ClusterModel) -> StatusReport:
    if home.is_supervised():
        return ask_status(home)
    installation = load_installation(home)
    if installation is not None and installation.is_per_node:
        from rmqctl.systemd.unit_states import units_report

        return units_report(installation, model)
    return _unsupervised(home, model)


def _report_unknown(home: ClusterHome, json_output: bool) -> int:
    if json_output:
        print_json(ClusterStatus(home.name, "embedded", "stopped", [], []))
    else:
        narrate(f"nothing is running: cluster {home.name} was never brought up (home: {home.folder})")
    return ExitCode.REFUSED


def _replication(model: ClusterModel) -> list[ReplicaStatus]:
    """Ask the brokers how far slaves are, if there are slaves."""
    if not any(node.role is Role.SLAVE for node in model.nodes):
        return []
    members = [
        PairMember(node.name, node.broker_name, node.broker_id, node.local_address)
        for node in model.brokers
        if node.broker_name is not None and node.broker_id is not None
    ]
    return trio.run(ask_replication, members)


def _unsupervised(home: ClusterHome, model: ClusterModel) -> StatusReport:
    orphans = find_orphans(home)
    nodes = [
        NodeReport(
            name=node.name,
            role=node.role,
            engine=node.engine,
            state="unsupervised" if node.name in orphans else "stopped",
            pid=orphans[node.name].pid if node.name in orphans else None,
            address=model.advertised_address(node),
        )
        for node in model.nodes
    ]
    return StatusReport(state="unsupervised" if orphans else "stopped", nodes=nodes)


def _print_status(
    home: ClusterHome, model: ClusterModel, report: StatusReport, replication: list[ReplicaStatus]
) -> None:
    if report.state == "stopped":
        narrate(f"cluster {home.name} is not running (home: {home.folder})")
        return
    print_result(f"cluster {home.name}  {report.state}  profile {model.profile}  engine {model.engine}")
    print_result(f"nameserver  {';'.join(model.nameserver_addresses)}")
    print_table(
        ["node", "role", "engine", "state", "pid", "address", "uptime", "restarts", "last exit"],
        [_row(node) for node in report.nodes],
    )
    if replication:
        print_table(
            ["slave", "of", "master's role", "sync state", "synchronized offset", "bytes behind", "seconds behind"],
            [_replica_row(pair) for pair in replication],
        )
    for pair in replication:
        if pair.sync_state == "refused":
            narrate(f"warning: {pair.slave} does not replicate {pair.master}: {pair.problem}")
    for node in report.nodes:
        if node.problem is not None:
            print_result(f"{node.name} {node.problem}")
        if node.state == NodeStatus.FAILED:
            for line in tail_of_log(home.node_log(node.name), 0, _LOG_LINES):
                print_result(f"  {line}")
    if report.state == "unsupervised":
        narrate("the supervisor is gone, but nodes run: rmqctl up starts them anew, rmqctl down stops them")


def narrate_drift(drift: list[Drift]) -> None:
    """Say which brokers keep a configuration that is not the profile's."""
    if drift:
        narrate("changed while brokers ran (updateBrokerConfig), and kept in broker.overlay.conf beside broker.conf:")
    for each in drift:
        narrate(f"  {each}")


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
        node.last_exit or "-",
    ]


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
