"""`rmqctl status`: the nodes of a cluster and whether they serve; `--watch` goes on showing it."""

from typing import Annotated

import msgspec
import trio
import typer

from rmqctl.cli.cluster.status_text import StatusText, describe_status
from rmqctl.cli.nodes.drift_text import narrate_drift
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption
from rmqctl.cli.output import (
    Screen,
    narrate,
    pause,
    print_json,
    print_json_line,
    print_result,
    print_table,
    show_again_and_again,
)
from rmqctl.client.admin.limits import ask_limits
from rmqctl.client.admin.replication import PairMember, ReplicaStatus, ask_replication
from rmqctl.errors import ExitCode
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome
from rmqctl.node_limits import CONFIGURATION, describe_limits
from rmqctl.process_usage import cpu_percents_of, memory_bytes_of
from rmqctl.profile.drift import Drift, find_drift
from rmqctl.profile.model import ClusterModel, Node, Role
from rmqctl.profile.stored import StoredCluster, load_cluster_if_any
from rmqctl.supervisor.control.client import ask_status
from rmqctl.supervisor.exit_status import describe_last_exit
from rmqctl.supervisor.files.record import load_record
from rmqctl.supervisor.messages import NodeReport, StatusReport
from rmqctl.supervisor.node_state import NodeHistory, NodeStatus
from rmqctl.systemd.record import load_installation
from rmqctl.target import choose_local_home
from rmqnode.config_changes import refused_sentence

_WATCH_SECONDS = 1.0


class ClusterStatus(msgspec.Struct, frozen=True):
    """What `rmqctl status --json` prints; keys are stable."""

    cluster: str
    engine: str
    state: str
    problems: list[str]
    nodes: list[NodeReport]
    replication: list[ReplicaStatus] = []
    drift: list[Drift] = []


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again each second, until Ctrl-C.")] = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Show the nodes of a cluster. Exits 0 when all of them serve, 1 otherwise."""
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    if watch:
        return _watch(chosen, json_output)
    stored = load_cluster_if_any(chosen)
    if stored is None:
        return _report_unknown(chosen, json_output)
    report, replication = _look(chosen, stored)
    if json_output:
        print_json(_document(chosen, stored, report, replication))
    elif report.state == "stopped":
        narrate(_not_running(chosen))
    else:
        _print_status(describe_status(chosen, stored.model, report, replication))
        narrate_drift(find_drift(stored.model, chosen))
    return ExitCode.DONE if report.state == "running" else ExitCode.REFUSED


def _look(home: ClusterHome, stored: StoredCluster) -> tuple[StatusReport, list[ReplicaStatus]]:
    report = _report(home, stored.model)
    return report, _replication(stored.model) if report.state != "stopped" else []


def _report(home: ClusterHome, model: ClusterModel) -> StatusReport:
    if home.is_supervised():
        return ask_status(home)
    installation = load_installation(home)
    if installation is not None and installation.is_per_node:
        from rmqctl.systemd.unit_states import units_report

        return _with_cpu(_with_limits(units_report(installation, model), model, home))
    return _with_cpu(_unsupervised(home, model))


def _with_limits(report: StatusReport, model: ClusterModel, home: ClusterHome) -> StatusReport:
    """Ask brokers that systemd takes for well what keeps them from serving all, as a supervisor would."""
    serving = {node.name for node in report.nodes if node.state == NodeStatus.READY}
    refused = {
        node.name: {CONFIGURATION: sentence}
        for node in model.nodes
        if node.name in serving
        and (sentence := refused_sentence(home.node_folder(node.name) / node.conf_name)) is not None
    }
    ready = {node.name for node in report.nodes if node.state == NodeStatus.READY and node.engine != "apache"}
    asked = {node.name: node.local_address for node in model.brokers if node.name in ready}
    limits = {**refused, **(trio.run(ask_limits, asked) if asked else {})}
    if not limits:
        return report
    nodes = [
        node
        if node.name not in limits
        else msgspec.structs.replace(
            node, state=NodeStatus.LIMITED, limits=limits[node.name], problem=describe_limits(limits[node.name])
        )
        for node in report.nodes
    ]
    problems = [f"{node.name} {node.problem}" for node in nodes if node.problem is not None]
    return StatusReport(state="degraded", problems=problems, nodes=nodes)


def _with_cpu(report: StatusReport) -> StatusReport:
    """Supply what a supervisor, which looks all the time, would know at once."""
    pids = [node.pid for node in report.nodes if node.pid is not None]
    if not pids:
        return report
    percents = cpu_percents_of(pids)
    nodes = [
        node if node.pid not in percents else msgspec.structs.replace(node, cpu_percent=round(percents[node.pid], 1))
        for node in report.nodes
    ]
    return msgspec.structs.replace(report, nodes=nodes)


def _document(
    home: ClusterHome, stored: StoredCluster, report: StatusReport, replication: list[ReplicaStatus]
) -> ClusterStatus:
    model = stored.model
    drift = find_drift(model, home)
    return ClusterStatus(home.name, model.engine, report.state, report.problems, report.nodes, replication, drift)


def _watch(home: ClusterHome, json_output: bool) -> int:
    """Show the status each second; ending is what a person asks for, so it is no error."""

    def draw() -> Screen:
        stored = load_cluster_if_any(home)
        report, replication = (None, []) if stored is None else _look(home, stored)
        if stored is None or report is None or report.state == "stopped":
            return Screen([_not_running(home)], [], [])
        text = describe_status(home, stored.model, report, replication)
        return Screen(text.heading, text.tables, [*text.problems, *text.hints])

    try:
        if json_output:
            _watch_as_json(home)
        else:
            show_again_and_again(draw, _WATCH_SECONDS)
    except KeyboardInterrupt:
        pass
    return ExitCode.DONE


def _watch_as_json(home: ClusterHome) -> None:
    while True:
        stored = load_cluster_if_any(home)
        if stored is None:
            print_json_line(_unknown(home))
        else:
            print_json_line(_document(home, stored, *_look(home, stored)))
        pause(_WATCH_SECONDS)


def _unknown(home: ClusterHome) -> ClusterStatus:
    return ClusterStatus(home.name, "embedded", "stopped", [], [])


def _report_unknown(home: ClusterHome, json_output: bool) -> int:
    if json_output:
        print_json(_unknown(home))
    else:
        narrate(f"nothing is running: cluster {home.name} was never brought up (home: {home.folder})")
    return ExitCode.REFUSED


def _not_running(home: ClusterHome) -> str:
    return f"cluster {home.name} is not running (home: {home.folder})"


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
    record = load_record(home.record_file)
    living = {} if record is None else record.living_nodes

    def report(node: Node) -> NodeReport:
        process = living.get(node.name)
        pid = None if process is None else process.pid
        history = NodeHistory() if record is None else record.history_of(node.name)
        return NodeReport(
            name=node.name,
            role=node.role,
            engine=node.engine,
            state=NodeStatus.STOPPED if pid is None else NodeStatus.UNSUPERVISED,
            pid=pid,
            address=model.advertised_address(node),
            ports=node.ports,
            uptime_seconds=None if process is None else round(process.age_seconds(), 3),
            restarts=history.restarts,
            last_exit=None if history.last_exit is None else describe_last_exit(history.last_exit, node.engine),
            memory_bytes=None if pid is None else memory_bytes_of(pid),
        )

    nodes = [report(node) for node in model.nodes]
    if not living:
        return StatusReport(state="stopped", nodes=nodes)
    return StatusReport(state=NodeStatus.UNSUPERVISED, problems=["the supervisor is gone"], nodes=nodes)


def _print_status(text: StatusText) -> None:
    for line in text.heading:
        print_result(line)
    for table in text.tables:
        print_table(table.columns, table.rows)
    for line in text.problems:
        print_result(line)
    for line in text.hints:
        narrate(line)
