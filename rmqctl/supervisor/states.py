"""What happens to a supervised node: a pure state machine.

    (state, event, now) -> (state, actions)

            Start            Spawned+Ready                Exited
    EXITED -------> STARTING --------------> READY ------------------> BACKOFF
      ^                |   Exited, first time  |                          | RetryDue
      |                +--------> FAILED       | Stop                     v
      +----------- STOPPING <------------------+----------------------- STARTING
         Exited

Times are seconds of one monotonic clock. The loop in `service` performs the actions and reports what happened.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec


class NodeStatus(StrEnum):
    """The states of a node, as `rmqctl status` shows them."""

    STARTING = "starting"
    """The process runs and does not serve yet."""
    READY = "ready"
    """It serves: a protocol probe said so."""
    BACKOFF = "backoff"
    """It died; the next try waits for its time."""
    STOPPING = "stopping"
    """It was asked to stop."""
    EXITED = "exited"
    """It does not run, as intended."""
    FAILED = "failed"
    """It died before it was ready for the first time; it is not tried again."""


class Policy(msgspec.Struct, frozen=True):
    """How patient a supervisor is. Durations in seconds."""

    first_delay: float = 0.0
    """Before the first new try: a node that ran well and was killed comes back at once."""
    base_delay: float = 0.25
    """Before the second try; each further one waits twice as long."""
    delay_max: float = 30.0
    jitter: float = 0.25
    """Share of a delay that is left to chance, so that nodes which died together do not come back in step."""
    healthy_period: float = 10.0
    """A node that was ready for so long starts counting its failures anew."""
    grace: float = 10.0
    """Between SIGTERM and SIGKILL."""

    def delay(self, failures: int, chance: float) -> float:
        """Seconds until the next try.

        Args:
            failures: Failures in a row, this one included: at least 1.
            chance: A random number from 0 to 1.
        """
        if failures <= 1:
            return self.first_delay
        full = min(self.delay_max, self.base_delay * 2.0 ** min(failures - 2, 20))
        return full * (1 - self.jitter * chance)


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what happens to a node next."""

    status: NodeStatus = NodeStatus.EXITED
    pid: int | None = None
    spawned_at: float | None = None
    was_ready: bool = False
    """It was ready at least once since the supervisor began."""
    ready_at: float | None = None
    failures: int = 0
    """Failures in a row without a healthy period."""
    restarts: int = 0
    """Starts after the first one."""
    retry_at: float | None = None
    kill_at: float | None = None
    last_exit: int | None = None
    """Wait status of its last exit, as `os.waitpid` gives it."""


class Start(NamedTuple):
    """The node shall run."""


class Spawned(NamedTuple):
    """Its process exists."""

    pid: int


class Ready(NamedTuple):
    """A probe found that it serves."""


class Exited(NamedTuple):
    """Its process ended; `chance` is a random number from 0 to 1 for the jitter."""

    wait_status: int
    chance: float


class Stop(NamedTuple):
    """The node shall not run."""


class Tick(NamedTuple):
    """Time has passed."""


NodeEvent = Start | Spawned | Ready | Exited | Stop | Tick


class Spawn(NamedTuple):
    """Start its process."""


class Terminate(NamedTuple):
    """Send SIGTERM."""

    pid: int


class Kill(NamedTuple):
    """Send SIGKILL."""

    pid: int


Action = Spawn | Terminate | Kill


def advance(state: NodeState, event: NodeEvent, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    """Say what an event means for a node. Events that mean nothing in a state change nothing."""
    match event:
        case Start():
            return _start(state)
        case Spawned(pid):
            return _spawned(state, pid, now, policy)
        case Ready():
            return _ready(state, now)
        case Exited(wait_status, chance):
            return _exited(state, wait_status, now, policy, chance), []
        case Stop():
            return _stop(state, now, policy)
        case Tick():
            return _tick(state, now)


def next_deadline(state: NodeState) -> float | None:
    """When the node needs a `Tick`."""
    return state.retry_at if state.status is NodeStatus.BACKOFF else state.kill_at


def _start(state: NodeState) -> tuple[NodeState, list[Action]]:
    if state.status not in (NodeStatus.EXITED, NodeStatus.FAILED):
        return state, []
    return NodeState(status=NodeStatus.STARTING, last_exit=state.last_exit), [Spawn()]


def _spawned(state: NodeState, pid: int, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    spawned = msgspec.structs.replace(state, pid=pid, spawned_at=now)
    if state.status is NodeStatus.STOPPING:
        # The wish to stop came while the process was being made.
        return msgspec.structs.replace(spawned, kill_at=now + policy.grace), [Terminate(pid)]
    return spawned, []


def _ready(state: NodeState, now: float) -> tuple[NodeState, list[Action]]:
    if state.status is not NodeStatus.STARTING or state.pid is None:
        return state, []
    return msgspec.structs.replace(state, status=NodeStatus.READY, was_ready=True, ready_at=now), []


def _exited(state: NodeState, wait_status: int, now: float, policy: Policy, chance: float) -> NodeState:
    gone = msgspec.structs.replace(state, pid=None, spawned_at=None, ready_at=None, kill_at=None, last_exit=wait_status)
    if state.status is NodeStatus.STOPPING:
        return msgspec.structs.replace(gone, status=NodeStatus.EXITED)
    if not state.was_ready:
        return msgspec.structs.replace(gone, status=NodeStatus.FAILED)
    healthy = state.ready_at is not None and now - state.ready_at >= policy.healthy_period
    failures = 1 if healthy else state.failures + 1
    return msgspec.structs.replace(
        gone,
        status=NodeStatus.BACKOFF,
        failures=failures,
        retry_at=now + policy.delay(failures, chance),
    )


def _stop(state: NodeState, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    match state.status:
        case NodeStatus.BACKOFF:
            return msgspec.structs.replace(state, status=NodeStatus.EXITED, retry_at=None), []
        case NodeStatus.STARTING | NodeStatus.READY if state.pid is not None:
            stopping = msgspec.structs.replace(state, status=NodeStatus.STOPPING, kill_at=now + policy.grace)
            return stopping, [Terminate(state.pid)]
        case NodeStatus.STARTING:
            return msgspec.structs.replace(state, status=NodeStatus.STOPPING), []
        case _:
            return state, []


def _tick(state: NodeState, now: float) -> tuple[NodeState, list[Action]]:
    if state.status is NodeStatus.BACKOFF and state.retry_at is not None and now >= state.retry_at:
        retried = msgspec.structs.replace(state, status=NodeStatus.STARTING, retry_at=None, restarts=state.restarts + 1)
        return retried, [Spawn()]
    if state.status is NodeStatus.STOPPING and state.kill_at is not None and now >= state.kill_at:
        assert state.pid is not None, "a node without a process has no deadline"
        return msgspec.structs.replace(state, kill_at=None), [Kill(state.pid)]
    return state, []
