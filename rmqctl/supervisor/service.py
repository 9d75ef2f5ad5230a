"""The policy of the supervisor: what runs when, on trio. Nodes are forked and reaped by the zygote.

`run` owns one nursery: the reports of the zygote, time (retries, kills), readiness probes, the control socket,
signals, the launcher; and the life of the cluster (bring up, wait for a stop, take down), whose end cancels the rest.
"""

import random
import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial

import msgspec
import trio

from rmqctl.process_identity import ProcessIdentity
from rmqctl.profile.model import Node
from rmqctl.supervisor.control_server import serve_control
from rmqctl.supervisor.feed import EventFeed
from rmqctl.supervisor.launcher_pipe import LauncherPipe
from rmqctl.supervisor.messages import (
    ClusterReady,
    ControlRequest,
    Forked,
    Launch,
    NodeReport,
    Notice,
    StartFailed,
    StatusReport,
    Stopped,
)
from rmqctl.supervisor.nodes import NodeTable
from rmqctl.supervisor.order import start_order, stop_order
from rmqctl.supervisor.readiness import ReadinessProbe
from rmqctl.supervisor.spawner import Zygote, ZygoteLost
from rmqctl.supervisor.states import Exited, NodeStatus, Policy, Ready, Spawned, Start, Stop
from rmqnode.net.client import RemotingClient

_PROBE_SECONDS = 0.01
"""Between two rounds of probes while something starts: a small part of the promised start time."""
_PROBE_SECONDS_LATER = 0.1
_PROBE_EAGERLY_SECONDS = 5.0
_ORPHAN_POLL_SECONDS = 0.05
_FAREWELL_SECONDS = 1.0


class Supervisor:
    """Keeps the nodes of one cluster running.

    Args:
        launch: The plan.
        zygote: Forks and reaps.
        launcher: The command that began all this.
        save_identities: Writes down which process each node is.
        policy: Patience.
    """

    def __init__(
        self,
        launch: Launch,
        zygote: Zygote,
        launcher: LauncherPipe,
        save_identities: Callable[[dict[str, ProcessIdentity]], None],
        policy: Policy,
    ) -> None:
        self._launch = launch
        self._model = launch.model
        self._zygote = zygote
        self._launcher = launcher
        self._specs = {spec.node: spec for spec in launch.specs}
        self._feed = EventFeed(launcher, on_unsubscribed=self._wake)
        self._nodes = NodeTable(launch.specs, policy, self._spawn, self._feed.publish, save_identities)
        self._stop_requested = False
        self._is_up = False
        self._probe: ReadinessProbe | None = None

    async def run(self, listener: socket.socket) -> int:
        """Bring the cluster up, keep it, take it down; returns the exit code of the process."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_zygote)
            nursery.start_soon(self._nodes.keep_time)
            nursery.start_soon(self._watch_readiness)
            nursery.start_soon(serve_control, listener, self._answer)
            nursery.start_soon(self._watch_signals)
            nursery.start_soon(self._watch_launcher)
            code = await self._live()
            nursery.cancel_scope.cancel()
        return code

    # --- the life of the cluster

    async def _live(self) -> int:
        failure = await self._bring_up()
        if failure is not None:
            self._feed.publish(failure)
        elif not self._stop_requested:
            self._is_up = True
            self._feed.publish(ClusterReady())
            if not self._launch.foreground:
                self._launcher.detach()
            await self._nodes.wait_until(lambda: self._stop_requested)
        await self._take_down()
        self._feed.publish(Stopped())
        with trio.move_on_after(_FAREWELL_SECONDS):
            await self._nodes.wait_until(lambda: not self._feed.has_subscribers)
        return 0 if failure is None else 1

    async def _bring_up(self) -> StartFailed | None:
        """Start group after group; why it ended early, or None when all are ready or a stop was asked for."""
        with trio.move_on_after(self._launch.timeout_seconds):
            for group in start_order(self._model.nodes):
                for name in group:
                    self._nodes.apply(name, Start())
                await self._nodes.wait_until(partial(self._is_start_over, group))
                for name in self._nodes.names_with(NodeStatus.FAILED):
                    return self._failure_of(name)
                if self._stop_requested:
                    break
            return None
        late = self._nodes.names_with(NodeStatus.STARTING)[0]
        lack = self._probe.missing(late) if self._probe else "its process did not come up"
        problem = f"did not become ready within {self._launch.timeout_seconds:g} s"
        return StartFailed(node=late, problem=problem, lack=lack)

    def _is_start_over(self, group: list[str]) -> bool:
        if self._stop_requested or self._nodes.names_with(NodeStatus.FAILED):
            return True
        return all(self._nodes[name].status is NodeStatus.READY for name in group)

    def _failure_of(self, name: str) -> StartFailed:
        return StartFailed(node=name, problem=f"ended at start: {self._nodes.last_exit(name)}")

    async def _take_down(self) -> None:
        self._request_stop()
        for group in stop_order(self._model.nodes):
            for name in group:
                self._nodes.apply(name, Stop())
            await self._nodes.wait_until(partial(self._are_stopped, group))

    def _are_stopped(self, group: list[str]) -> bool:
        return all(self._nodes[name].status is not NodeStatus.STOPPING for name in group)

    def _request_stop(self) -> None:
        self._stop_requested = True
        self._wake()

    def _wake(self) -> None:
        self._nodes.wake()

    # --- tasks

    def _spawn(self, name: str) -> None:
        try:
            self._zygote.request_start(self._specs[name])
        except ZygoteLost:
            # Its reports end at the same moment; `_follow_zygote` knows what to do.
            return

    async def _follow_zygote(self) -> None:
        async with aclosing(self._zygote.reports()) as reports:
            async for report in reports:
                if isinstance(report, Forked):
                    self._nodes.apply(report.node, Spawned(report.pid))
                elif (name := self._nodes.name_of(report.pid)) is not None:
                    self._nodes.apply(name, Exited(report.wait_status, random.random()))
        self._feed.publish(Notice("the process that starts nodes is gone: the cluster is taken down"))
        self._request_stop()
        # Nobody reaps any more: the nodes belong to init now, and only their pids tell when they end.
        while True:
            for name in self._specs:
                if self._nodes.is_gone(name):
                    self._nodes.apply(name, Exited(0, 0.0))
            await trio.sleep(_ORPHAN_POLL_SECONDS)

    async def _watch_readiness(self) -> None:
        while True:
            await self._nodes.wait_until(self._names_to_probe)
            begun = trio.current_time()
            async with RemotingClient() as client:
                self._probe = ReadinessProbe(client, self._model)
                while names := self._names_to_probe():
                    for name in await self._probe.find_ready(names):
                        self._nodes.apply(name, Ready())
                    eager = trio.current_time() - begun < _PROBE_EAGERLY_SECONDS
                    await trio.sleep(_PROBE_SECONDS if eager else _PROBE_SECONDS_LATER)

    def _names_to_probe(self) -> list[str]:
        starting = self._nodes.names_with(NodeStatus.STARTING)
        return [name for name in starting if self._nodes[name].pid is not None]

    async def _watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self._request_stop()

    async def _watch_launcher(self) -> None:
        await self._launcher.wait_gone()
        if self._launcher.is_attached:
            self._request_stop()

    # --- answers to commands

    async def _answer(self, request: ControlRequest) -> AsyncGenerator[msgspec.Struct, None]:
        if request.request == "status":
            yield StatusReport(state=self._cluster_state(), nodes=[self._report(node) for node in self._model.nodes])
            return
        self._request_stop()
        async with aclosing(self._feed.subscribe()) as events:
            async for event in events:
                yield event

    def _cluster_state(self) -> str:
        if self._stop_requested:
            return "stopping"
        if not self._is_up:
            return "starting"
        not_ready = [name for name in self._specs if self._nodes[name].status is not NodeStatus.READY]
        return "degraded" if not_ready else "running"

    def _report(self, node: Node) -> NodeReport:
        state = self._nodes[node.name]
        now = trio.current_time()
        return NodeReport(
            name=node.name,
            role=node.role,
            engine=node.engine,
            state=state.status,
            pid=state.pid,
            address=self._model.advertised_address(node),
            uptime_seconds=None if state.spawned_at is None else round(now - state.spawned_at, 3),
            restarts=state.restarts,
            retry_in_seconds=None if state.retry_at is None else round(max(0.0, state.retry_at - now), 3),
            last_exit=self._nodes.last_exit(node.name),
        )
