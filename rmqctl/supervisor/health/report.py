"""What `rmqctl status` is told: every node, and why the cluster is not as it should be."""

from enum import Enum

import trio

from rmqctl.node_limits import describe_limits
from rmqctl.process_usage import memory_bytes_of
from rmqctl.profile.model import Node
from rmqctl.supervisor.health.watch import HealthWatch
from rmqctl.supervisor.messages import NodeReport, StatusReport
from rmqctl.supervisor.node_state import NodeStatus
from rmqctl.supervisor.nodes.plan import CurrentPlan
from rmqctl.supervisor.nodes.table import NodeTable


class Phase(Enum):
    """Where a supervised cluster is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


def status_report(plan: CurrentPlan, nodes: NodeTable, health: HealthWatch, phase: Phase) -> StatusReport:
    """The state of a cluster and of its nodes."""
    reports = [_node_report(node, plan, nodes, health) for node in plan.model.nodes]
    problems = [f"{each.name} {each.problem}" for each in reports if each.problem is not None]
    if phase is not Phase.SERVING:
        return StatusReport(state=phase.value, problems=problems, nodes=reports)
    return StatusReport(state="degraded" if problems else "running", problems=problems, nodes=reports)


def _node_report(node: Node, plan: CurrentPlan, nodes: NodeTable, health: HealthWatch) -> NodeReport:
    state = nodes[node.name]
    now = trio.current_time()
    cpu_percent = None if state.pid is None else health.cpu.percent(state.pid, now)
    limits = health.limits(node.name) if state.status is NodeStatus.READY else {}
    return NodeReport(
        name=node.name,
        role=node.role,
        engine=node.engine,
        state=NodeStatus.LIMITED if limits else state.status,
        limits=limits,
        problem=_problem(node.name, nodes, health),
        pid=state.pid,
        address=plan.model.advertised_address(node),
        ports=node.ports,
        uptime_seconds=None if state.spawned_at is None else round(now - state.spawned_at, 3),
        restarts=state.restarts,
        retry_in_seconds=None if state.retry_at is None else round(max(0.0, state.retry_at - now), 3),
        last_exit=nodes.last_exit(node.name),
        cpu_percent=None if cpu_percent is None else round(cpu_percent, 1),
        memory_bytes=None if state.pid is None else memory_bytes_of(state.pid),
    )


def _problem(name: str, nodes: NodeTable, health: HealthWatch) -> str | None:
    """Why a node does not serve as it should, in words that follow its name; None when it does."""
    state, ended = nodes[name], nodes.last_refusal(name)
    match state.status:
        case NodeStatus.READY:
            return _problem_of_serving(health.problem(name), health.limits(name))
        case NodeStatus.DRAINING:
            return "is being drained: clients are told to send elsewhere"
        case NodeStatus.STARTING:
            return f"is starting: {health.missing(name)}"
        case NodeStatus.STOPPED:
            return "was stopped by hand"
        case NodeStatus.EXITED:
            return f"ended, and its restart policy leaves it so: {ended}"
        case NodeStatus.FAILED if state.failures > 1:
            return f"failed {state.failures} times in a row and was given up: {ended}"
        case NodeStatus.FAILED:
            return f"failed: {ended}"
        case NodeStatus.BACKOFF:
            return f"ended and is about to be tried again: {ended}"
        case _:
            return f"is {state.status}"


def _problem_of_serving(problem: str | None, limits: dict[str, str]) -> str | None:
    said = [describe_limits(limits)] if limits else []
    if problem is not None:
        said.append(f"has a problem: {problem}")
    return "; and ".join(said) or None
