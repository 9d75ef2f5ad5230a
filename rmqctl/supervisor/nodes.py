"""The nodes of a supervised cluster: their states, and the actions that follow from events.

The thin loop around `states`: it knows processes and the clock, and decides nothing.
"""

import os
import signal
from collections.abc import Callable, Iterable

import msgspec
import trio

from rmqctl.engine.start import StartSpec
from rmqctl.process_identity import ProcessIdentity, identify
from rmqctl.supervisor.exit_status import describe_exit
from rmqctl.supervisor.messages import Event, NodeChanged, Notice
from rmqctl.supervisor.states import (
    Action,
    Kill,
    NodeEvent,
    NodeState,
    NodeStatus,
    Policy,
    Spawn,
    Terminate,
    Tick,
    advance,
    next_deadline,
)


class NodeTable:
    """State and process of every node.

    Args:
        specs: The nodes.
        policy: Patience, as far as a node's spec does not say otherwise.
        spawn: Asks for the process of a node; an event tells when it is there.
        publish: Hears of every change of a status.
        save_identities: Keeps which process each node is, for whoever comes after a killed supervisor.
    """

    def __init__(
        self,
        specs: Iterable[StartSpec],
        policy: Policy,
        spawn: Callable[[str], None],
        publish: Callable[[Event], None],
        save_identities: Callable[[dict[str, ProcessIdentity]], None],
    ) -> None:
        self._spawn = spawn
        self._publish = publish
        self._save_identities = save_identities
        self._specs = {spec.node: spec for spec in specs}
        self._policies = {name: _policy_of(spec, policy) for name, spec in self._specs.items()}
        self._states = {name: NodeState() for name in self._specs}
        self._identities: dict[str, ProcessIdentity] = {}
        self._changed = trio.Event()

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
        identity = self._identities.get(name)
        return identity is None or not identity.is_alive()

    def last_exit(self, name: str) -> str | None:
        """How a node's process ended last, in words."""
        wait_status = self._states[name].last_exit
        return None if wait_status is None else describe_exit(wait_status, self._specs[name].engine)

    def apply(self, name: str, event: NodeEvent) -> None:
        """Let an event happen to a node."""
        before = self._states[name]
        now = trio.current_time()
        after, actions = advance(before, event, now, self._policies[name])
        self._states[name] = after
        if after.pid != before.pid:
            self._record_process(name, after.pid)
        if after.status is not before.status:
            detail = self._detail(name, now)
            self._publish(NodeChanged(node=name, state=after.status, pid=after.pid, detail=detail))
        for action in actions:
            self._perform(name, action)
        self.wake()

    async def keep_time(self) -> None:
        """Let time happen to the nodes that wait for it, for ever."""
        while True:
            changed = self._changed
            deadlines = {name: due for name in self._states if (due := next_deadline(self._states[name])) is not None}
            with trio.move_on_at(min(deadlines.values(), default=float("inf"))):
                await changed.wait()
            now = trio.current_time()
            for name, due in deadlines.items():
                if due <= now:
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
            case Spawn():
                self._spawn(name)
            case Terminate(pid):
                _send_signal(pid, signal.SIGTERM)
            case Kill(pid):
                self._publish(Notice(f"{name} did not stop within {self._policies[name].grace:g} s: killed"))
                _send_signal(pid, signal.SIGKILL)

    def _record_process(self, name: str, pid: int | None) -> None:
        identity = None if pid is None else identify(pid)
        if identity is None:
            self._identities.pop(name, None)
        else:
            self._identities[name] = identity
        self._save_identities(dict(self._identities))

    def _detail(self, name: str, now: float) -> str | None:
        state = self._states[name]
        if state.status not in (NodeStatus.BACKOFF, NodeStatus.FAILED):
            return None
        ended = self.last_exit(name)
        if ended is None or state.retry_at is None:
            return ended
        return f"{ended}; next try in {max(0.0, state.retry_at - now):.1f} s"


def _policy_of(spec: StartSpec, policy: Policy) -> Policy:
    return policy if spec.grace_seconds is None else msgspec.structs.replace(policy, grace=spec.grace_seconds)


def _send_signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
