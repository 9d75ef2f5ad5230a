"""Looks at the nodes: often at those that start, until they serve; now and then at those that serve.

A node that runs, answers nothing for too long and does not work either (`pulse`) is reported as hung;
`nodes.transitions` says what follows.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import trio

from rmqctl.node_limits import CONFIGURATION, describe_limits
from rmqctl.process_usage import CpuMeter
from rmqctl.supervisor.health.pulse import Pulses
from rmqctl.supervisor.health.readiness import Finding, ReadinessProbe
from rmqctl.supervisor.node_state import RUNNING, SERVING, NodeStatus
from rmqctl.supervisor.nodes.plan import CurrentPlan
from rmqctl.supervisor.nodes.table import NodeTable
from rmqctl.supervisor.nodes.transitions import Hung, Ready
from rmqnode.config_changes import refused_sentence
from rmqnode.net.client import RemotingClient

_PROBE_SECONDS = 0.01
"""Between two looks while something starts: a small part of the promised start time."""
_PROBE_SECONDS_LATER = 0.1
_PROBE_EAGERLY_SECONDS = 5.0
_ANSWER_SECONDS = 1.0
"""A node that starts and takes longer is asked again in the next round."""

_UNANSWERED_MIN = 2
_LOOK_AGAIN_SECONDS = 0.5
"""Most problems pass: brokers register with a restarted nameserver within a second."""

_NOT_TO_RUN = (NodeStatus.STOPPED, NodeStatus.EXITED, NodeStatus.FAILED, NodeStatus.STOPPING)


class HealthWatch:
    """Readiness and health of every node.

    Args:
        client: Its owner opens it.
        plan: The cluster.
        nodes: Who hears of what was found.
    """

    def __init__(self, client: RemotingClient, plan: CurrentPlan, nodes: NodeTable) -> None:
        self._plan = plan
        self._nodes = nodes
        self._probe = ReadinessProbe(
            client,
            plan,
            runs=lambda name: name in nodes and nodes[name].status not in _NOT_TO_RUN,
            is_up=lambda name: name in nodes and nodes[name].status in RUNNING,
        )
        self.cpu = CpuMeter()
        self._pulses = Pulses()
        self._lacks: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        self._limits: dict[str, dict[str, str]] = {}
        self._silent: dict[str, tuple[float, int]] = {}
        """Node → when it was asked for the first time without an answer, and how often since."""

    def missing(self, name: str) -> str:
        """What the last look found missing at a node that is not ready; of one that waits for a next try, why."""
        if name in self._nodes and self._nodes[name].status is NodeStatus.BACKOFF:
            return f"it is tried again, after {self._nodes.last_refusal(name)}"
        return self._lacks.get(name, "it has not answered yet")

    def problem(self, name: str) -> str | None:
        """What is wrong with a node that serves, in words."""
        silent = self._silent.get(name)
        if silent is not None:
            now = trio.current_time()
            state = "is busy and" if self._pulses.is_busy(self._nodes[name].pid, now) else ""
            return f"it {state} has not answered for {max(1.0, now - silent[0]):.0f} s".replace("  ", " ")
        return self._problems.get(name)

    def limits(self, name: str) -> dict[str, str]:
        """What keeps a node that serves from serving all, and why, in words; empty for nothing."""
        return self._limits.get(name, {})

    async def watch_starting(self) -> None:
        """Look at the nodes that start until they are ready, for ever."""
        while True:
            await self._nodes.wait_until(self._starting)
            begun = trio.current_time()
            while names := self._starting():
                await self._look_at_starting(names)
                eager = trio.current_time() - begun < _PROBE_EAGERLY_SECONDS
                await trio.sleep(_PROBE_SECONDS if eager else _PROBE_SECONDS_LATER)

    async def _look_at_starting(self, names: list[str]) -> None:
        pids = {name: self._nodes[name].pid for name in names}

        def found(name: str, finding: Finding) -> None:
            if name not in self._nodes or self._nodes[name].pid != pids[name]:
                # It was another process that answered.
                return
            if finding.lack is not None:
                self._lacks[name] = finding.lack
                return
            self._note(name, finding)
            self._silent.pop(name, None)
            self._nodes.apply(name, Ready())

        await self._probe.examine(names, _ANSWER_SECONDS, found)

    def _starting(self) -> list[str]:
        return [name for name in self._nodes.names_with(NodeStatus.STARTING) if self._nodes[name].pid is not None]

    async def watch_serving(self) -> None:
        """Look at the nodes that serve, for ever; those that hang are reported to their state machine."""
        while True:
            interval = self._plan.model.supervision.health_interval_seconds
            is_wrong = bool(self._problems or self._limits)
            await trio.sleep(min(interval, _LOOK_AGAIN_SECONDS) if is_wrong else interval)
            pids = {name: self._nodes[name].pid for name in self._nodes.names_with(*SERVING)}
            self._problems = {name: problem for name, problem in self._problems.items() if name in pids}
            self._limits = {name: limits for name, limits in self._limits.items() if name in pids}
            begun = trio.current_time()
            running = [pid for pid in pids.values() if pid is not None]
            self.cpu.note(running, begun)
            self._pulses.note(running, begun)
            answer_seconds = min(interval, self._plan.model.supervision.silence_seconds_max)
            await self._probe.examine(pids, answer_seconds, partial(self._found_serving, pids, begun))

    def _found_serving(self, pids: Mapping[str, int | None], begun: float, name: str, finding: Finding) -> None:
        if name in self._nodes and self._nodes[name].pid == pids[name]:
            self._note(name, finding)
            self._judge(name, finding, begun)

    def _note(self, name: str, finding: Finding) -> None:
        if finding.problem is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = finding.problem
        if finding.answers:
            # Nameservers and Java nodes have no way to say it.
            refused = refused_sentence(Path(self._plan.specs[name].config_path))
            own = {} if refused is None else {CONFIGURATION: refused}
            self._note_limits(name, {**own, **finding.limits})

    def _note_limits(self, name: str, limits: Mapping[str, str]) -> None:
        """Keep what limits a node; say once that something does, and once that it does no more."""
        before = self._limits.pop(name, {})
        if limits:
            self._limits[name] = dict(limits)
        for limit in limits.keys() - before.keys():
            self._nodes.tell(f"{name} {describe_limits({limit: limits[limit]})}")
        for limit in before.keys() - limits.keys():
            self._nodes.tell(f"{name} is no longer limited by {limit}")

    def _judge(self, name: str, finding: Finding, begun: float) -> None:
        if finding.answers:
            self._silent.pop(name, None)
            return
        since, count = self._silent.get(name, (begun, 0))
        self._silent[name] = since, count + 1
        supervision = self._plan.model.supervision
        silence_seconds = trio.current_time() - since
        pid = self._nodes[name].pid
        # Time alone is no proof: the supervisor itself may have been stopped for a while.
        if count + 1 >= _UNANSWERED_MIN and (
            pid is None
            or self._pulses.silence_is_hang(pid, silence_seconds, supervision.silence_seconds_max, trio.current_time())
        ):
            self._silent.pop(name)
            self._nodes.apply(name, Hung(f"did not answer for {silence_seconds:.0f} s"))
