"""The nodes of a supervised cluster: their states, and the actions that follow from events.

The thin loop around `transitions`: it knows processes and the clock, and decides nothing.
"""

import os
import signal
from collections.abc import Callable, Mapping

import msgspec
import trio

from rmqctl.process_identity import ProcessIdentity, identify
from rmqctl.supervisor.exit_status import describe_last_exit
from rmqctl.supervisor.files.ledger import Ledger, NodeStarted, configuration_hash, exited
from rmqctl.supervisor.files.record import SaveNodes
from rmqctl.supervisor.messages import Event, NodeChanged, Notice
from rmqctl.supervisor.node_state import KILLED_BY_HAND, UNSEEN_EXIT, NodeHistory, NodeState, NodeStatus
from rmqctl.supervisor.nodes.plan import CurrentPlan
from rmqctl.supervisor.nodes.transitions import (
    Action,
    Adopt,
    Kill,
    NodeEvent,
    Restart,
    Spawn,
    Start,
    Terminate,
    Tick,
    advance,
    next_deadline,
)

_BY_ITSELF = (NodeStatus.BACKOFF, NodeStatus.EXITED, NodeStatus.FAILED)
"""States that nobody asked for."""


class NodeTable:
    """State and process of every node.

    Args:
        plan: The nodes and the patience with each.
        spawn: Asks for the process of a node, which may start without messages that its store lacks; an event tells
            when it is there.
        publish: Hears of every change of a status.
        ledger: Keeps every start and exit.
        save: Keeps which process each node is, which nodes were stopped by hand and what they went through, for
            whoever comes after a killed supervisor.
        histories: What nodes went through before.
    """

    def __init__(
        self,
        plan: CurrentPlan,
        spawn: Callable[[str, bool], None],
        publish: Callable[[Event], None],
        ledger: Ledger,
        save: SaveNodes,
        histories: Mapping[str, NodeHistory],
    ) -> None:
        self._plan = plan
        self._spawn = spawn
        self._publish = publish
        self._ledger = ledger
        self._save_nodes = save
        self._states = {name: _state_after(histories.get(name, NodeHistory())) for name in plan.specs}
        self.identities: dict[str, ProcessIdentity] = {}
        """Which process each node is, as far as it has one."""
        self.kept_down: set[str] = set()
        """Nodes that were stopped by hand."""
        self._asked_by: dict[str, str] = {}
        """Who wanted a node to be as it is about to become."""
        self._is_saved = True
        self._changed = trio.Event()

    def __contains__(self, name: str) -> bool:
        return name in self._states

    def __getitem__(self, name: str) -> NodeState:
        return self._states[name]

    def names_with(self, *statuses: NodeStatus) -> list[str]:
        """Nodes in one of these states, in start order."""
        return [name for name, state in self._states.items() if state.status in statuses]

    def name_of(self, pid: int) -> str | None:
        """Which node a process is."""
        return next((name for name, state in self._states.items() if state.pid == pid), None)

    def is_gone(self, name: str) -> bool:
        """Whether a node that should have a process has none; for when nobody reaps it any more."""
        state = self._states[name]
        if state.pid is None:
            return state.status in (NodeStatus.STARTING, NodeStatus.STOPPING)
        identity = self.identities.get(name)
        return identity is None or not identity.is_alive()

    def last_exit(self, name: str) -> str | None:
        """How a node's process ended last, in words."""
        last = self._states[name].last_exit
        return None if last is None else describe_last_exit(last, self._plan.specs[name].engine)

    def last_refusal(self, name: str) -> str | None:
        """How a node's process ended last, in words, with the node's own sentence where it refused to start."""
        last, ended = self._states[name].last_exit, self.last_exit(name)
        return ended if last is None or last.said is None else f"{ended}: {last.said}"

    def add(self, name: str) -> None:
        """Know a node that the plan has got; it does not run yet."""
        self._states.setdefault(name, NodeState())

    def forget(self, name: str) -> None:
        """Know a node no more; it has no process."""
        assert self._states[name].pid is None, f"{name} was stopped"
        del self._states[name]
        self._asked_by.pop(name, None)
        self.kept_down.discard(name)
        self._save()
        self.wake()

    def histories(self) -> dict[str, NodeHistory]:
        """What each node went through."""
        return {name: NodeHistory(state.restarts, state.last_exit) for name, state in self._states.items()}

    def note_lost(self, lost: Mapping[str, ProcessIdentity]) -> None:
        """Know of processes which no supervisor saw end."""
        for name, process in lost.items():
            self._states[name] = msgspec.structs.replace(self._states[name], last_exit=UNSEEN_EXIT)
            engine, cause = self._plan.specs[name].engine, UNSEEN_EXIT.cause
            self._ledger.write(
                exited(name, process.pid, None, engine=engine, asked_by=None, cause=cause, uptime_seconds=None)
            )

    def adopt(self, name: str, process: ProcessIdentity, asked_by: str) -> None:
        """Take over a node that runs already."""
        self.apply(name, Adopt(process.pid, process.age_seconds()), asked_by)

    def keep_down(self, name: str) -> None:
        """Remember that a node was stopped by hand, until it is started."""
        self.kept_down.add(name)
        self._save()

    def apply(self, name: str, event: NodeEvent, asked_by: str | None = None) -> None:
        """Let an event happen to a node.

        Args:
            name: The node.
            event: What happens.
            asked_by: Who wants it, in words; None for what happens by itself.
        """
        before = self._states[name]
        now = trio.current_time()
        after, actions = advance(before, event, now, self._plan.policy(name))
        self._states[name] = after
        if asked_by is not None:
            self._asked_by[name] = asked_by
        if isinstance(event, Start | Restart):
            self.kept_down.discard(name)
        if asked_by is None and before.status is NodeStatus.BACKOFF and after.status is NodeStatus.STARTING:
            self._asked_by.setdefault(name, "its restart policy")
        if after.pid != before.pid:
            self._record_process(name, after.pid)
            self._enter_in_ledger(name, before, after, now, is_adopted=isinstance(event, Adopt))
        if after.status is not before.status:
            self._publish_change(name, now)
        for action in actions:
            self._perform(name, action)
        self.wake()

    def tell(self, text: str) -> None:
        """Let whoever hears of events know something about a node that is no change of its state."""
        self._publish(Notice(text))

    async def keep_time(self) -> None:
        """Let time happen to the nodes that wait for it, for ever."""
        while True:
            changed = self._changed
            deadlines = {name: due for name in self._states if (due := next_deadline(self._states[name])) is not None}
            with trio.move_on_at(min(deadlines.values(), default=float("inf"))):
                await changed.wait()
            now = trio.current_time()
            for name, due in deadlines.items():
                if due <= now and name in self._states:
                    self.apply(name, Tick())

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Return once the condition holds; it is asked after every change and every `wake`."""
        while True:
            changed = self._changed
            if condition():
                return
            await changed.wait()

    def wake(self) -> None:
        """Let everybody in `wait_until` look again."""
        self._changed.set()
        self._changed = trio.Event()

    def _perform(self, name: str, action: Action) -> None:
        match action:
            case Spawn(accepts_loss):
                self._spawn(name, accepts_loss)
            case Terminate():
                self._send_signal(name, signal.SIGTERM)
            case Kill(_, reason):
                if reason is not None:
                    self._publish(Notice(f"{name} {reason}: killed"))
                self._send_signal(name, signal.SIGKILL)

    def _send_signal(self, name: str, number: signal.Signals) -> None:
        identity = self.identities.get(name)
        # The exit of an adopted process is noticed a little late: its pid may be somebody else's already.
        if identity is None or not identity.is_alive():
            return
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return

    def _record_process(self, name: str, pid: int | None) -> None:
        identity = None if pid is None else identify(pid)
        if identity is None:
            self.identities.pop(name, None)
        else:
            self.identities[name] = identity
        self._save()

    def save_if_lost(self) -> None:
        """Keep again what could not be kept the last time, for a disk that has room again."""
        if not self._is_saved:
            self._save()

    def _save(self) -> None:
        self._is_saved = self._save_nodes(self.identities, sorted(self.kept_down), self.histories())

    def _enter_in_ledger(self, name: str, before: NodeState, after: NodeState, now: float, *, is_adopted: bool) -> None:
        spec, asked_by = self._plan.specs[name], self._asked_by.get(name)
        if after.pid is not None:
            config = configuration_hash(spec.config_path)
            self._ledger.write(
                NodeStarted(node=name, pid=after.pid, asked_by=asked_by, config=config, adopted=is_adopted)
            )
        elif before.pid is not None and after.last_exit is not None:
            self._ledger.write(
                exited(
                    name,
                    before.pid,
                    after.last_exit.wait_status,
                    engine=spec.engine,
                    asked_by=asked_by,
                    cause=after.last_exit.cause,
                    uptime_seconds=None if before.spawned_at is None else now - before.spawned_at,
                )
            )

    def _publish_change(self, name: str, now: float) -> None:
        state = self._states[name]
        if state.status in _BY_ITSELF and (state.last_exit is None or state.last_exit.cause != KILLED_BY_HAND):
            self._asked_by.pop(name, None)
        self._publish(
            NodeChanged(
                node=name,
                state=state.status,
                pid=state.pid,
                detail=self._detail(name, now),
                asked_by=self._asked_by.get(name),
            )
        )
        if state.status not in (NodeStatus.STOPPING, NodeStatus.STARTING, NodeStatus.STOPPED):
            # Whoever asked for this start has got what they wanted.
            self._asked_by.pop(name, None)

    def _detail(self, name: str, now: float) -> str | None:
        state = self._states[name]
        if state.status not in _BY_ITSELF:
            return None
        ended = self.last_refusal(name)
        if state.status is NodeStatus.FAILED and state.failures > 1:
            return f"{ended}; given up after {state.failures} failures in a row"
        if ended is None or state.retry_at is None:
            return ended
        wait = state.retry_at - now
        return f"{ended}; " + (f"next try in {wait:.1f} s" if wait > 0 else "next try at once")


def _state_after(history: NodeHistory) -> NodeState:
    return NodeState(restarts=history.restarts, last_exit=history.last_exit)
