"""What people do to single nodes: start, stop, restart, kill. Whoever hangs up ends the wait, not what was begun.

A node stopped by hand stays stopped and never counts as a crash. Before a master stops, clients are told to send
elsewhere, if there is an elsewhere; a command that hangs up meanwhile takes that back.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import trio

from rmqctl.engine.start import StartSpec
from rmqctl.profile.model import Node, Role
from rmqctl.supervisor.control.server import Reply
from rmqctl.supervisor.messages import ClusterChange, Done, NodeOrder, Notice
from rmqctl.supervisor.node_state import SERVING, NodeStatus
from rmqctl.supervisor.nodes.draining import Drainer, takes_messages_elsewhere
from rmqctl.supervisor.nodes.order import start_order, stop_order
from rmqctl.supervisor.nodes.plan import CurrentPlan
from rmqctl.supervisor.nodes.table import NodeTable
from rmqctl.supervisor.nodes.transitions import Drain, KillByHand, Restart, Start, Stop, Undrain

_RESTORE_SECONDS = 10.0
_GIVEN_UP = (NodeStatus.FAILED, NodeStatus.EXITED, NodeStatus.STOPPED, NodeStatus.STOPPING)


class _NotDone(Exception):
    """Ends an operation with its last message."""

    def __init__(self, done: Done) -> None:
        super().__init__(done.problem)
        self.done = done


class Operations:
    """Carries out orders, one after the other.

    Args:
        plan: The cluster.
        nodes: Its nodes.
        drainer: For masters that stop.
        missing: What a node that starts was found to lack.
        is_ending: Whether the whole cluster is being taken down.
    """

    def __init__(
        self,
        plan: CurrentPlan,
        nodes: NodeTable,
        drainer: Drainer,
        missing: Callable[[str], str],
        is_ending: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._nodes = nodes
        self._drainer = drainer
        self._missing = missing
        self._is_ending = is_ending
        self._lock = trio.Lock()
        self._at_work = ""

    async def carry_out(self, order: NodeOrder, asked_by: str, reply: Reply) -> None:
        """Do what the order says; tells what happens, the last message is `Done`."""
        unknown = [name for name in order.nodes if name not in self._plan.specs]
        if unknown:
            await reply(Done(problem=f"there is no node {unknown[0]}", node=unknown[0]))
            return
        if order.verb == "kill":
            await self._kill(order, asked_by)
            await reply(Done())
            return
        if self._lock.locked():
            await reply(Notice(f"waiting for the end of: {self._at_work}"))
        async with self._lock:
            self._at_work = asked_by
            try:
                await self._one_at_a_time(order, asked_by, reply)
            except _NotDone as end:
                await reply(end.done)
            else:
                await reply(Done())

    async def change(self, change: ClusterChange, asked_by: str, reply: Reply) -> None:
        """Make another cluster of this one: add nodes, restart changed ones, remove others; the last message is `Done`.

        Nodes that are the same in both are not touched. An added node that does not come up is taken away again.
        """
        if self._lock.locked():
            await reply(Notice(f"waiting for the end of: {self._at_work}"))
        async with self._lock:
            self._at_work = asked_by
            try:
                await self._change(change, asked_by, reply)
            except _NotDone as end:
                await reply(end.done)
            else:
                await reply(Done())

    async def _change(self, change: ClusterChange, asked_by: str, reply: Reply) -> None:
        specs = {spec.node: spec for spec in change.specs}
        wanted = {node.name: node for node in change.model.nodes}
        before = self._plan.model
        self._plan.adjust(change.model)
        order = NodeOrder(
            verb="restart",
            nodes=[],
            drain=change.drain,
            drain_seconds=change.drain_seconds,
            timeout_seconds=change.timeout_seconds,
        )
        for name in change.add:
            self._plan.put(wanted[name], specs[name])
            self._nodes.add(name)
        try:
            await self._start(msgspec.structs.replace(order, verb="start", nodes=change.add), asked_by, reply)
        except _NotDone:
            await self._remove(msgspec.structs.replace(order, nodes=change.add, drain=False), asked_by, reply)
            self._plan.adjust(before)
            raise
        for group in start_order([wanted[name] for name in change.restart]):
            for name in group:
                await self._restart_as(name, wanted[name], specs[name], order, asked_by, reply)
        await self._remove(msgspec.structs.replace(order, nodes=change.remove), asked_by, reply)
        self._plan.settle(change.model)

    async def _restart_as(
        self, name: str, node: Node, spec: StartSpec, order: NodeOrder, asked_by: str, reply: Reply
    ) -> None:
        was_drained = await self._drain_first(name, order, asked_by, reply)
        self._nodes.apply(name, Stop(), asked_by)
        await self._wait_stopped(name)
        self._plan.put(node, spec)
        await self._start(msgspec.structs.replace(order, nodes=[name]), asked_by, reply)
        if was_drained:
            await self._restore(node, reply)

    async def _remove(self, order: NodeOrder, asked_by: str, reply: Reply) -> None:
        for group in stop_order(self._chosen(order)):
            for name in group:
                await self._drain_first(name, order, asked_by, reply)
                self._nodes.apply(name, Stop(), asked_by)
            for name in group:
                await self._wait_stopped(name)
                self._plan.drop(name)
                self._nodes.forget(name)

    async def _one_at_a_time(self, order: NodeOrder, asked_by: str, reply: Reply) -> None:
        match order.verb:
            case "start":
                await self._start(order, asked_by, reply)
            case "stop":
                await self._stop(order, asked_by, reply)
            case "restart":
                await self._restart(order, asked_by, reply)

    async def _start(self, order: NodeOrder, asked_by: str, reply: Reply) -> None:
        for group in start_order(self._chosen(order)):
            for name in group:
                self._nodes.apply(name, Start(order.accepts_loss), asked_by)
            for name in group:
                await self._wait_ready(name, order.timeout_seconds)
                if self._plan.node(name).role is Role.MASTER:
                    await self._restore(self._plan.node(name), reply)

    async def _stop(self, order: NodeOrder, asked_by: str, reply: Reply) -> None:
        for group in stop_order(self._chosen(order)):
            for name in group:
                await self._drain_first(name, order, asked_by, reply)
                self._nodes.keep_down(name)
                self._nodes.apply(name, Stop(), asked_by)
            for name in group:
                await self._wait_stopped(name)

    async def _restart(self, order: NodeOrder, asked_by: str, reply: Reply) -> None:
        """One node after the other, so that the rest serves; a node that does not come back ends it."""
        for group in start_order(self._chosen(order)):
            for name in group:
                was_drained = await self._drain_first(name, order, asked_by, reply)
                self._nodes.apply(name, Restart(), asked_by)
                await self._nodes.wait_until(partial(self._is_not_stopping, name))
                await self._wait_ready(name, order.timeout_seconds)
                if was_drained:
                    await self._restore(self._plan.node(name), reply)

    async def _kill(self, order: NodeOrder, asked_by: str) -> None:
        pids = {name: self._nodes[name].pid for name in order.nodes}
        for name in order.nodes:
            if order.stays_down:
                self._nodes.keep_down(name)
            self._nodes.apply(name, KillByHand(order.stays_down), asked_by)
        await self._nodes.wait_until(
            lambda: all(self._nodes[name].pid != pid or pid is None for name, pid in pids.items())
        )

    def _chosen(self, order: NodeOrder) -> list[Node]:
        return [node for node in self._plan.model.nodes if node.name in order.nodes]

    # --- draining

    async def _drain_first(self, name: str, order: NodeOrder, asked_by: str, reply: Reply) -> bool:
        """Drain a node that has to be; returns whether it was."""
        node = self._plan.node(name)
        if not order.drain or node.role is not Role.MASTER or self._nodes[name].status is not NodeStatus.READY:
            return False
        if not takes_messages_elsewhere(self._plan.model, node, lambda other: self._nodes[other].status in SERVING):
            await reply(Notice(f"{name} is not drained: no other broker would take messages"))
            return False
        pid = self._nodes[name].pid
        self._nodes.apply(name, Drain(), asked_by)
        seconds = self._plan.model.supervision.drain_seconds if order.drain_seconds is None else order.drain_seconds
        is_drained = False
        try:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._end_drain_early, name, pid, scope)
                    await self._drainer.drain(node, seconds, reply)
                    nursery.cancel_scope.cancel()
            is_drained = True
        finally:
            if not is_drained:
                # The command hung up: the node goes on, and so do its clients.
                self._nodes.apply(name, Undrain())
                with trio.move_on_after(_RESTORE_SECONDS, shield=True):
                    await self._drainer.restore(node)
        if self._is_ending():
            raise _NotDone(Done(problem="the cluster is being taken down", node=name))
        return True

    async def _end_drain_early(self, name: str, pid: int | None, scope: trio.CancelScope) -> None:
        """A node that dies, or whose cluster is taken down, needs no draining any more."""
        await self._nodes.wait_until(lambda: self._nodes[name].pid != pid or self._is_ending())
        scope.cancel()

    async def _restore(self, node: Node, reply: Reply) -> None:
        for nameserver in await self._drainer.restore(node):
            await reply(
                Notice(
                    f"{nameserver} still keeps clients from sending to {node.broker_name};"
                    f" restart it (rmqctl restart {nameserver}), or change a topic of {node.broker_name}"
                )
            )

    # --- waiting

    async def _wait_ready(self, name: str, timeout_seconds: float) -> None:
        def is_over() -> bool:
            status = self._nodes[name].status
            return status in SERVING or status in _GIVEN_UP or self._is_ending()

        with trio.move_on_after(timeout_seconds) as scope:
            await self._nodes.wait_until(is_over)
        if scope.cancelled_caught:
            lack = self._missing(name)
            problem = f"{name} is not ready after {timeout_seconds:g} s: {lack}"
            raise _NotDone(Done(problem=problem, node=name, is_late=True))
        if self._is_ending():
            raise _NotDone(Done(problem="the cluster is being taken down", node=name))
        if self._nodes[name].status in SERVING:
            return
        status, ended = self._nodes[name].status, self._nodes.last_refusal(name)
        problem = f"{name} is {status}" + (f": {ended}" if status is not NodeStatus.STOPPED and ended else "")
        raise _NotDone(Done(problem=problem, node=name))

    def _is_not_stopping(self, name: str) -> bool:
        return self._nodes[name].status is not NodeStatus.STOPPING

    async def _wait_stopped(self, name: str) -> None:
        await self._nodes.wait_until(partial(self._is_not_stopping, name))
        if self._nodes[name].status is not NodeStatus.STOPPED:
            raise _NotDone(Done(problem=f"{name} was started again by somebody else", node=name))
