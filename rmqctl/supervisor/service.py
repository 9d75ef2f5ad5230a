"""The policy of the supervisor: what runs when, on trio. Nodes are forked and reaped by the zygote.

`run` owns one nursery: the reports of the zygote, time (retries, kills), readiness probes, the control socket,
signals, the launcher; and the life of the cluster (bring up, wait for a stop, take down), whose end cancels the rest.
"""

import gc
import os
import random
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

import msgspec
import trio

from rmqctl.process_identity import ProcessIdentity
from rmqctl.supervisor.control.feed import EventFeed
from rmqctl.supervisor.control.server import Reply, serve_control
from rmqctl.supervisor.exit_status import refused_to_start
from rmqctl.supervisor.files.ledger import Ledger
from rmqctl.supervisor.files.record import SaveNodes
from rmqctl.supervisor.files.rotating_log import cut_if_full
from rmqctl.supervisor.health.report import Phase, status_report
from rmqctl.supervisor.health.watch import HealthWatch
from rmqctl.supervisor.image.spawner import Zygote, ZygoteLost
from rmqctl.supervisor.launch.pipe import LauncherPipe
from rmqctl.supervisor.messages import (
    ClusterReady,
    ControlRequest,
    Done,
    Forked,
    Launch,
    ModelReport,
    Notice,
    StartFailed,
    Stopped,
)
from rmqctl.supervisor.node_state import NodeStatus
from rmqctl.supervisor.nodes.adoption import wait_ended
from rmqctl.supervisor.nodes.draining import Drainer
from rmqctl.supervisor.nodes.operations import Operations
from rmqctl.supervisor.nodes.order import start_order, stop_order
from rmqctl.supervisor.nodes.plan import CurrentPlan
from rmqctl.supervisor.nodes.table import NodeTable
from rmqctl.supervisor.nodes.transitions import Exited, Spawned, Start, Stop
from rmqnode.net.client import RemotingClient
from rmqnode.service_manager import ServiceManager

_ORPHAN_POLL_SECONDS = 0.05
_FAREWELL_SECONDS = 1.0
_TIDY_SECONDS = 30.0


class Supervisor:
    """Keeps the nodes of one cluster running.

    Args:
        launch: The plan.
        zygote: Forks and reaps.
        launcher: The command that began all this.
        save: Writes down which process each node is, which nodes were stopped by hand, what they went through.
        ledger: Keeps what happens.
        manager: Told when the cluster is ready, alive and stopping.
    """

    def __init__(
        self,
        launch: Launch,
        zygote: Zygote,
        launcher: LauncherPipe,
        save: SaveNodes,
        ledger: Ledger,
        manager: ServiceManager,
    ) -> None:
        self._launch = launch
        self._manager = manager
        self._plan = CurrentPlan(launch.model, launch.specs)
        self._zygote = zygote
        self._launcher = launcher
        self._feed = EventFeed(ledger, launcher, on_unsubscribed=self._wake)
        self._nodes = NodeTable(self._plan, self._spawn, self._feed.publish, ledger, save, launch.histories)
        client = RemotingClient()
        self._client = client
        self._health = HealthWatch(client, self._plan, self._nodes)
        self._operations = Operations(
            self._plan, self._nodes, Drainer(client, self._plan), self._health.missing, lambda: self._stop_requested
        )
        self._stop_requested = False
        self._stop_asked_by = ""
        self._is_up = False
        self._zygote_is_lost = False

    async def run(self, listener: socket.socket) -> int | Launch:
        """Bring the cluster up, keep it, take it down.

        Returns:
            The exit code of the process; or, when nobody forks nodes any more, what a fresh image has to go on with.
        """
        async with self._client, trio.open_nursery() as nursery:
            self._nodes.note_lost(self._launch.lost)
            for name, process in self._launch.adopted.items():
                self._nodes.adopt(name, process, self._launch.asked_by)
                nursery.start_soon(self._follow_adopted, name, process)
            nursery.start_soon(self._follow_zygote)
            nursery.start_soon(self._nodes.keep_time)
            nursery.start_soon(self._health.watch_starting)
            nursery.start_soon(self._health.watch_serving)
            nursery.start_soon(serve_control, listener, self._answer)
            nursery.start_soon(self._keep_small)
            nursery.start_soon(self._watch_signals)
            nursery.start_soon(self._watch_launcher)
            nursery.start_soon(self._manager.keep_watchdog_calm)
            outcome = await self._live()
            nursery.cancel_scope.cancel()
        return outcome

    # --- the life of the cluster

    async def _live(self) -> int | Launch:
        self._nodes.kept_down.update(self._launch.kept_down)
        failure = await self._bring_up()
        if failure is not None and self._launch.adopted:
            # What serves goes on serving, whatever else is wrong.
            lack = f": {failure.lack}" if failure.lack else ""
            self._feed.publish(Notice(f"{failure.node} {failure.problem}{lack}"))
            failure = None
        if failure is not None:
            self._feed.publish(failure)
        elif not self._stop_requested:
            self._is_up = True
            # Before the command that started all this hears of it and ends: from here on this process is the unit.
            self._manager.tell(MAINPID=os.getpid(), READY=1)
            self._feed.publish(ClusterReady())
            if not self._launch.foreground:
                self._launcher.detach()
            await self._nodes.wait_until(lambda: self._stop_requested or self._zygote_is_lost)
            if not self._stop_requested:
                return self._next_launch()
        await self._take_down()
        self._feed.publish(Stopped())
        with trio.move_on_after(_FAREWELL_SECONDS):
            await self._nodes.wait_until(lambda: not self._feed.has_subscribers)
        return 0 if failure is None else 1

    def _next_launch(self) -> Launch:
        """What a fresh image of this process needs in order to go on with the nodes as they are."""
        self._feed.publish(Notice("the process that starts nodes is gone: another one takes its place"))
        return msgspec.structs.replace(
            self._launch,
            model=self._plan.model,
            specs=list(self._plan.specs.values()),
            asked_by="the supervisor",
            adopted=self._nodes.identities,
            kept_down=sorted(self._nodes.kept_down),
            lost={},
            histories=self._nodes.histories(),
        )

    async def _bring_up(self) -> StartFailed | None:
        """Start group after group; why it ended early, or None when all are ready or a stop was asked for."""
        with trio.move_on_after(self._launch.timeout_seconds):
            for planned in start_order(self._plan.model.nodes):
                group = [name for name in planned if name not in self._launch.kept_down]
                for name in group:
                    self._nodes.apply(name, Start(), self._launch.asked_by)
                await self._nodes.wait_until(partial(self._is_start_over, group))
                for name in self._failed():
                    return self._failure_of(name)
                if self._stop_requested:
                    break
            return None
        late = self._nodes.names_with(NodeStatus.STARTING, NodeStatus.BACKOFF)[0]
        lack = self._health.missing(late)
        problem = f"did not become ready within {self._launch.timeout_seconds:g} s"
        return StartFailed(node=late, problem=problem, lack=lack)

    def _is_start_over(self, group: list[str]) -> bool:
        if self._stop_requested or self._failed():
            return True
        return all(self._nodes[name].status in (NodeStatus.READY, NodeStatus.FAILED) for name in group)

    def _failed(self) -> list[str]:
        """Nodes for whose sake the cluster is not brought up.

        Not those that refused their store: the others can serve, and what to do about it takes a running cluster.
        """
        return [name for name in self._nodes.names_with(NodeStatus.FAILED) if not self._lacks_messages(name)]

    def _lacks_messages(self, name: str) -> bool:
        last = self._nodes[name].last_exit
        return last is not None and self._plan.policy(name).is_final(last.wait_status)

    def _failure_of(self, name: str) -> StartFailed:
        last = self._nodes[name].last_exit
        return StartFailed(
            node=name,
            problem=f"ended at start: {self._nodes.last_exit(name)}",
            said=None if last is None else last.said,
        )

    async def _take_down(self) -> None:
        self._request_stop("the supervisor")
        for group in stop_order(self._plan.model.nodes):
            for name in group:
                self._nodes.apply(name, Stop(), self._stop_asked_by)
            await self._nodes.wait_until(partial(self._are_stopped, group))

    def _are_stopped(self, group: list[str]) -> bool:
        return all(self._nodes[name].status is not NodeStatus.STOPPING for name in group)

    def _request_stop(self, asked_by: str) -> None:
        if not self._stop_requested:
            self._stop_asked_by = asked_by
            self._manager.tell(STOPPING=1)
        self._stop_requested = True
        self._wake()

    def _wake(self) -> None:
        self._nodes.wake()

    # --- tasks

    def _spawn(self, name: str, accepts_loss: bool) -> None:
        try:
            self._zygote.request_start(self._plan.specs[name], accepts_loss)
        except ZygoteLost:
            # Its reports end at the same moment; `_follow_zygote` knows what to do.
            return

    async def _follow_zygote(self) -> None:
        async with aclosing(self._zygote.reports()) as reports:
            async for report in reports:
                if isinstance(report, Forked):
                    self._nodes.apply(report.node, Spawned(report.pid))
                    self._zygote.let_go(report.pid)
                elif (name := self._nodes.name_of(report.pid)) is not None:
                    said = report.said if refused_to_start(report.wait_status) else None
                    self._nodes.apply(name, Exited(report.wait_status, random.random(), said))
        self._zygote_is_lost = True
        self._wake()
        if not self._is_up:
            self._feed.publish(Notice("the process that starts nodes is gone: the cluster is taken down"))
            self._request_stop("the supervisor: nobody starts nodes any more")
        # Nobody reaps any more: the nodes belong to init now, and only their pids tell when they end.
        while True:
            for name in list(self._plan.specs):
                if self._nodes.is_gone(name):
                    self._nodes.apply(name, Exited(0, 0.0))
            await trio.sleep(_ORPHAN_POLL_SECONDS)

    async def _follow_adopted(self, name: str, process: ProcessIdentity) -> None:
        await wait_ended(process)
        if self._nodes[name].pid == process.pid:
            self._nodes.apply(name, Exited(None, random.random()))

    async def _keep_small(self) -> None:
        """Collect garbage, and cut what programs of other engines print; our nodes look after their own logs."""
        while True:
            await trio.sleep(_TIDY_SECONDS)
            # Everything imported is frozen, so this looks at a few thousand objects; by itself the oldest
            # generation, which the connections to nodes that were killed end in, would be looked at almost never.
            gc.collect()
            self._nodes.save_if_lost()
            for spec in list(self._plan.specs.values()):
                if spec.argv is not None:
                    cut_if_full(Path(spec.log_path), spec.log_size_max, spec.log_files)

    async def _watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                self._request_stop(f"{signal.Signals(number).name} to the supervisor")

    async def _watch_launcher(self) -> None:
        await self._launcher.wait_gone()
        if not self._launcher.is_attached:
            return
        if self._launch.adopted and not self._launch.foreground:
            # What it adopts served before and shall go on.
            self._launcher.detach()
        else:
            self._request_stop("rmqctl up, which ended")

    # --- answers to commands

    async def _answer(self, request: ControlRequest, reply: Reply) -> None:
        match request.request:
            case "status":
                await reply(status_report(self._plan, self._nodes, self._health, self._phase()))
            case "stop":
                self._request_stop(request.asked_by)
                async with aclosing(self._feed.until_stopped()) as events:
                    async for event in events:
                        await reply(event)
            case "nodes" if request.order is not None:
                order = request.order
                await self._work(partial(self._operations.carry_out, order, request.asked_by), order.nodes, reply)
            case "change" if request.change is not None:
                change = request.change
                nodes = [*change.add, *change.restart, *change.remove]
                await self._work(partial(self._operations.change, change, request.asked_by), nodes, reply)
            case "model":
                await reply(ModelReport(model=self._plan.model))

    async def _work(self, work: Callable[[Reply], Awaitable[None]], nodes: list[str], reply: Reply) -> None:
        """Do something to nodes; whoever asked hears of it."""
        if self._is_up:
            await self._feed.accompany(work, nodes, reply)
        else:
            await reply(Done(problem="the cluster is still being brought up, or is being taken down"))

    def _phase(self) -> Phase:
        if self._stop_requested:
            return Phase.STOPPING
        return Phase.SERVING if self._is_up else Phase.STARTING
