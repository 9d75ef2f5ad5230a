"""`rmqctl start`, `stop`, `restart`, `kill`: what people do to single nodes of a running cluster."""

import time
from typing import Annotated

import typer

from rmqctl.cli.nodes.choice import BrokerOption, NodesArgument, RoleOption, choose_nodes
from rmqctl.cli.options import AcceptLossOption, ClusterOption, HomeOption, JsonOption, NoDrainOption, YesOption
from rmqctl.cli.output import confirm_or_refuse, narrate, print_json
from rmqctl.cli.supervision.asker import asked_by
from rmqctl.cli.supervision.work import follow_work
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome
from rmqctl.profile.model import Node, Role
from rmqctl.profile.stored import load_cluster
from rmqctl.supervisor.control.client import ask_status, order_nodes
from rmqctl.supervisor.messages import NodeOrder, NodeVerb
from rmqctl.supervisor.node_state import NodeStatus
from rmqctl.supervisor.nodes.orphans import find_orphans
from rmqctl.target import choose_local_home

_READY_SECONDS = 30.0
_JAVA_READY_SECONDS = 120.0
_HAVE_STARTED = (NodeStatus.STARTING, NodeStatus.READY, NodeStatus.DRAINING, NodeStatus.LIMITED)
_DONE = {"start": "started", "stop": "stopped", "restart": "restarted", "kill": "killed"}

DrainSecondsOption = Annotated[
    float | None,
    typer.Option("--drain-seconds", metavar="SECONDS", min=0, help="How long clients get; default: as the profile."),
]
ReadyTimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.1, help="How long a node may take to serve; default 30, Java 120."
    ),
]


def start(
    nodes: NodesArgument = None,
    role: RoleOption = None,
    broker: BrokerOption = None,
    timeout: ReadyTimeoutOption = None,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Start brokers also without the messages that their stores lack, this once."
        ),
    ] = False,
    yes: YesOption = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Start nodes that were stopped, were given up, or wait for their next try; returns when they serve."""
    chosen, found = _choose(nodes, role, broker, cluster, home, "start")
    _check_messages(chosen, found, accept_loss)
    if accept_loss:
        _confirm_loss(chosen, found, yes=yes)
    return _carry_out(chosen, found, _order("start", found, timeout, accepts_loss=accept_loss), json_output)


def _confirm_loss(home: ClusterHome, nodes: list[Node], *, yes: bool) -> None:
    """Say which nodes may lose messages for good, and go on only with a yes.

    Raises:
        UsageError: There is nobody to ask; or nodes are chosen that cannot accept a loss.
        RmqctlError: The answer was no.
    """
    for node in nodes:
        if node.role is Role.NAMESERVER:
            raise UsageError(
                f"{node.name} cannot accept a loss", "it is a nameserver, which has no messages", "name brokers only"
            )
    states = {report.name: report.state for report in ask_status(home).nodes}
    for node in nodes:
        if states.get(node.name) in _HAVE_STARTED:
            narrate(f"{node.name} is {states[node.name]} already: --accept-loss changes nothing for it")
    names = ", ".join(node.name for node in nodes)
    confirm_or_refuse(
        f"Start {names} without the messages that their stores lack? What is gone is not looked for again;"
        " what a slave or a backup has can be copied only before this start.",
        yes=yes,
        refused=f"start --accept-loss would give up the messages that the stores of {names} lack",
        kept=f"{names}: not started",
    )
    narrate(f"starting {names}, for this one start without the messages that their stores lack")


def stop(
    nodes: NodesArgument = None,
    role: RoleOption = None,
    broker: BrokerOption = None,
    no_drain: NoDrainOption = False,
    drain_seconds: DrainSecondsOption = None,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Stop nodes; they stay stopped until rmqctl start, or the next rmqctl up after rmqctl down.

    Clients are told first that a master takes no more messages, and get the time to send elsewhere.
    """
    chosen, found = _choose(nodes, role, broker, cluster, home, "stop")
    order = _order("stop", found, None, drain=not no_drain, drain_seconds=drain_seconds)
    return _carry_out(chosen, found, order, json_output)


def restart(
    nodes: NodesArgument = None,
    role: RoleOption = None,
    broker: BrokerOption = None,
    no_drain: NoDrainOption = False,
    drain_seconds: DrainSecondsOption = None,
    timeout: ReadyTimeoutOption = None,
    accept_loss: AcceptLossOption = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Restart nodes one after the other; each one serves again before the next one stops.

    Clients are told first that a master takes no more messages, and get the time to send elsewhere.
    """
    chosen, found = _choose(nodes, role, broker, cluster, home, "restart")
    _check_messages(chosen, found, accept_loss)
    order = _order("restart", found, timeout, drain=not no_drain, drain_seconds=drain_seconds)
    return _carry_out(chosen, found, order, json_output)


def kill(
    nodes: NodesArgument = None,
    role: RoleOption = None,
    broker: BrokerOption = None,
    stay_down: Annotated[bool, typer.Option("--stay-down", help="Do not let them come back by themselves.")] = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Kill nodes (SIGKILL), as a crash would; their restart policy brings them back, and no failure is counted."""
    chosen, found = _choose(nodes, role, broker, cluster, home, "kill")
    return _carry_out(chosen, found, _order("kill", found, None, stays_down=stay_down), json_output)


def _choose(
    names: NodesArgument, role: str | None, broker: str | None, cluster: str | None, home: HomeOption, verb: str
) -> tuple[ClusterHome, list[Node]]:
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    found = choose_nodes(load_cluster(chosen).model, names, role, broker, verb)
    if not chosen.is_supervised():
        raise _not_supervised(chosen)
    return chosen, found


def _check_messages(home: ClusterHome, nodes: list[Node], accept_loss: bool) -> None:
    """Refuse to start brokers of Apache's that would cut messages behind damage."""
    if any(node.java is not None for node in nodes):
        from rmqctl.engine.apache.messages_cut import check_no_messages_cut

        check_no_messages_cut(nodes, accept_loss=accept_loss, cluster=home.name)


def _not_supervised(home: ClusterHome) -> RmqctlError:
    named = "" if home.name == DEFAULT_CLUSTER else f" --cluster {home.name}"
    if find_orphans(home):
        what, why = f"cluster {home.name} has no supervisor", "it was killed; its nodes go on serving"
    else:
        what, why = f"cluster {home.name} is not running", f"its home is {home.folder}"
    return RmqctlError(what, why, f"rmqctl up{named}", ExitCode.UNREACHABLE)


def _order(
    verb: NodeVerb,
    nodes: list[Node],
    timeout: float | None,
    *,
    drain: bool = False,
    drain_seconds: float | None = None,
    stays_down: bool = False,
    accepts_loss: bool = False,
) -> NodeOrder:
    patience = _JAVA_READY_SECONDS if any(node.java is not None for node in nodes) else _READY_SECONDS
    return NodeOrder(
        verb=verb,
        nodes=[node.name for node in nodes],
        drain=drain,
        drain_seconds=drain_seconds,
        stays_down=stays_down,
        accepts_loss=accepts_loss,
        timeout_seconds=timeout or patience,
    )


def _carry_out(home: ClusterHome, nodes: list[Node], order: NodeOrder, json_output: bool) -> int:
    begun = time.monotonic()
    follow_work(order_nodes(home, order, asked_by()))
    if json_output:
        reports = [each for each in ask_status(home).nodes if each.name in order.nodes]
        seconds = round(time.monotonic() - begun, 3)
        print_json({"cluster": home.name, "done": order.verb, "seconds": seconds, "nodes": reports})
    else:
        names = ", ".join(node.name for node in nodes)
        narrate(f"{_DONE[order.verb]}: {names}, in {time.monotonic() - begun:.2f} s")
    return ExitCode.DONE
