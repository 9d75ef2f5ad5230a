"""What happens to a supervised node: a pure state machine.

    (state, event, now) -> (state, actions)

             Start            Spawned+Ready          Drain
    STOPPED -------> STARTING --------------> READY <-------> DRAINING
      ^  ^              |  ^                    |                |
      |  |              |  | RetryDue           | Exited         |
      |  |              |  +------- BACKOFF <---+----------------+   from STARTING too, for a reason that may pass
      |  |              |              |        (EXITED: its restart policy leaves it so)
      |  |              +----> FAILED <+  Exited for the first time before it was ready, or too often, or for good
      |  +---------- STOPPING <----- Stop (from wherever it has a process)
      |                 | Exited, after Restart: STARTING
      +-----------------+

Times are seconds of one monotonic clock. The states are those of `node_state`; the loop in `table` performs the actions
and reports what happened.
"""

from typing import NamedTuple

import msgspec

from rmqctl.supervisor.node_state import KILLED_BY_HAND, RUNNING, SERVING, LastExit, NodeState, NodeStatus
from rmqctl.supervisor.nodes.policy import Policy


class Start(NamedTuple):
    """The node shall run; with `accepts_loss` this once also without messages that its store lacks."""

    accepts_loss: bool = False


class Restart(NamedTuple):
    """The node shall run in a new process."""


class Adopt(NamedTuple):
    """It runs already, started by a supervisor that is gone, `age` seconds ago."""

    pid: int
    age: float


class Spawned(NamedTuple):
    """Its process exists."""

    pid: int


class Ready(NamedTuple):
    """A probe found that it serves."""


class Drain(NamedTuple):
    """Clients are being told to send elsewhere."""


class Undrain(NamedTuple):
    """Clients may send to it again."""


class Hung(NamedTuple):
    """It runs, but does not answer any more."""

    cause: str


class KillByHand(NamedTuple):
    """Somebody wants it to be killed, and not to come back if `stays_down`."""

    stays_down: bool


class Exited(NamedTuple):
    """Its process ended; `chance` is a random number from 0 to 1 for the jitter.

    The wait status is None when nobody can know it; `said` is the node's own sentence, where it refused to start.
    """

    wait_status: int | None
    chance: float
    said: str | None = None


class Stop(NamedTuple):
    """The node shall not run."""


class Tick(NamedTuple):
    """Time has passed."""


NodeEvent = (
    Start | Restart | Adopt | Spawned | Ready | Drain | Undrain | Hung | KillByHand | Exited | Stop | Tick
)  # fmt: skip


class Spawn(NamedTuple):
    """Start its process; with `accepts_loss` as `Start` says."""

    accepts_loss: bool = False


class Terminate(NamedTuple):
    """Send SIGTERM."""

    pid: int


class Kill(NamedTuple):
    """Send SIGKILL."""

    pid: int
    reason: str | None = None
    """In words that follow the node's name: `did not stop within 10 s`; None for what nobody has to be told."""


Action = Spawn | Terminate | Kill


def advance(state: NodeState, event: NodeEvent, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    """Say what an event means for a node. Events that mean nothing in a state change nothing."""
    match event:
        case Start(accepts_loss):
            return _start(state, accepts_loss)
        case Restart():
            return _restart(state, now, policy)
        case Adopt(pid, age):
            return _adopt(state, pid, now, age, policy), []
        case Spawned(pid):
            return _spawned(state, pid, now, policy)
        case Ready() | Drain() | Undrain():
            return _serve(state, event, now), []
        case Hung(cause):
            return _hung(state, cause, policy)
        case KillByHand(stays_down):
            return _kill_by_hand(state, stays_down)
        case Exited():
            return _exited(state, event, now, policy)
        case Stop():
            return _stop(state, now, policy)
        case Tick():
            return _tick(state, now, policy)


def next_deadline(state: NodeState) -> float | None:
    """When the node needs a `Tick`."""
    return state.retry_at if state.status is NodeStatus.BACKOFF else state.kill_at


def _start(state: NodeState, accepts_loss: bool = False) -> tuple[NodeState, list[Action]]:
    match state.status:
        case NodeStatus.STOPPED | NodeStatus.EXITED | NodeStatus.FAILED | NodeStatus.BACKOFF:
            # Whoever starts a node by hand wants to see it tried as often as a fresh one.
            fresh = NodeState(
                status=NodeStatus.STARTING,
                was_ready=state.was_ready,
                restarts=state.restarts,
                last_exit=state.last_exit,
            )
            return fresh, [Spawn(accepts_loss)]
        case NodeStatus.STOPPING:
            return msgspec.structs.replace(state, start_again=True, accepts_loss=accepts_loss), []
        case _:
            return state, []


def _restart(state: NodeState, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    if state.status not in RUNNING:
        return _start(state)
    stopping, actions = _stop(state, now, policy)
    return msgspec.structs.replace(stopping, start_again=True), actions


def _adopt(state: NodeState, pid: int, now: float, age: float, policy: Policy) -> NodeState:
    if state.status is not NodeStatus.STOPPED:
        return state
    return NodeState(
        status=NodeStatus.STARTING,
        pid=pid,
        spawned_at=now - age,
        was_ready=True,
        restarts=state.restarts,
        kill_at=now + policy.start_limit,
        last_exit=state.last_exit,
    )


def _spawned(state: NodeState, pid: int, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    spawned = msgspec.structs.replace(state, pid=pid, spawned_at=now)
    if state.status is NodeStatus.STOPPING:
        # The wish to stop came while the process was being made.
        return msgspec.structs.replace(spawned, kill_at=now + policy.grace), [Terminate(pid)]
    # The very first start has a limit of its own, that of `up`.
    return msgspec.structs.replace(spawned, kill_at=now + policy.start_limit if state.was_ready else None), []


def _serve(state: NodeState, event: Ready | Drain | Undrain, now: float) -> NodeState:
    match event, state.status:
        case Ready(), NodeStatus.STARTING if state.pid is not None:
            return msgspec.structs.replace(state, status=NodeStatus.READY, was_ready=True, ready_at=now, kill_at=None)
        case Drain(), NodeStatus.READY:
            return msgspec.structs.replace(state, status=NodeStatus.DRAINING)
        case Undrain(), NodeStatus.DRAINING:
            return msgspec.structs.replace(state, status=NodeStatus.READY)
        case _:
            return state


def _hung(state: NodeState, cause: str, policy: Policy) -> tuple[NodeState, list[Action]]:
    if state.status not in SERVING or state.pid is None or policy.restart == "never":
        return state, []
    return msgspec.structs.replace(state, exit_cause=cause), [Kill(state.pid, cause)]


def _kill_by_hand(state: NodeState, stays_down: bool) -> tuple[NodeState, list[Action]]:
    pid = state.pid
    if pid is None:
        return state, []
    state = msgspec.structs.replace(state, exit_cause=KILLED_BY_HAND)
    if state.status is NodeStatus.STOPPING or stays_down:
        killed = msgspec.structs.replace(state, status=NodeStatus.STOPPING, kill_at=None, start_again=False)
        return killed, [Kill(pid)]
    return msgspec.structs.replace(state, is_excused=True), [Kill(pid)]


def _exited(state: NodeState, exited: Exited, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    gone = msgspec.structs.replace(
        state, pid=None, spawned_at=None, ready_at=None, retry_at=None, kill_at=None, start_again=False,
        accepts_loss=False, is_excused=False, last_exit=LastExit(exited.wait_status, state.exit_cause, exited.said),
        exit_cause=None,
    )  # fmt: skip
    if state.status is NodeStatus.STOPPING:
        stopped = msgspec.structs.replace(gone, status=NodeStatus.STOPPED, failures=0, passing_failures=0)
        return _start(stopped, state.accepts_loss) if state.start_again else (stopped, [])
    return _ended_by_itself(state, gone, now, policy, exited.chance), []


def _ended_by_itself(state: NodeState, gone: NodeState, now: float, policy: Policy, chance: float) -> NodeState:
    """What becomes of a node that was not asked to stop: `state` before its process ended, `gone` without it."""
    assert gone.last_exit is not None, "its process ended"
    if policy.is_final(gone.last_exit.wait_status):
        return msgspec.structs.replace(gone, status=NodeStatus.FAILED, failures=1)
    if policy.passes(gone.last_exit.wait_status):
        count = 1 if _was_healthy(state, now, policy) else state.passing_failures + 1
        # Never at once: what is missing does not come back in that moment.
        retry_at = now + policy.delay(count + 1, chance)
        return msgspec.structs.replace(gone, status=NodeStatus.BACKOFF, passing_failures=count, retry_at=retry_at)
    if not state.was_ready:
        return msgspec.structs.replace(gone, status=NodeStatus.FAILED, failures=1)
    if not policy.wants_restart(gone.last_exit.wait_status):
        return msgspec.structs.replace(gone, status=NodeStatus.EXITED)
    if state.is_excused:
        return msgspec.structs.replace(gone, status=NodeStatus.BACKOFF, retry_at=now)
    failures = 1 if _was_healthy(state, now, policy) else state.failures + 1
    if failures >= policy.failures_max:
        return msgspec.structs.replace(gone, status=NodeStatus.FAILED, failures=failures)
    retry_at = now + policy.delay(failures, chance)
    return msgspec.structs.replace(gone, status=NodeStatus.BACKOFF, failures=failures, retry_at=retry_at)


def _was_healthy(state: NodeState, now: float, policy: Policy) -> bool:
    return state.ready_at is not None and now - state.ready_at >= policy.healthy_period


def _stop(state: NodeState, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    if state.status in RUNNING:
        if state.pid is None:
            return msgspec.structs.replace(state, status=NodeStatus.STOPPING), []
        stopping = msgspec.structs.replace(state, status=NodeStatus.STOPPING, kill_at=now + policy.grace)
        return stopping, [Terminate(state.pid)]
    if state.status is NodeStatus.STOPPING:
        return msgspec.structs.replace(state, start_again=False, accepts_loss=False), []
    return msgspec.structs.replace(state, status=NodeStatus.STOPPED, retry_at=None, failures=0, passing_failures=0), []


def _tick(state: NodeState, now: float, policy: Policy) -> tuple[NodeState, list[Action]]:
    if state.status is NodeStatus.BACKOFF and state.retry_at is not None and now >= state.retry_at:
        retried = msgspec.structs.replace(state, status=NodeStatus.STARTING, retry_at=None, restarts=state.restarts + 1)
        return retried, [Spawn()]
    if state.kill_at is not None and now >= state.kill_at and state.pid is not None:
        if state.status is NodeStatus.STOPPING:
            reason = f"did not stop within {policy.grace:g} s"
        else:
            reason = f"was not ready within {policy.start_limit:g} s"
        return msgspec.structs.replace(state, kill_at=None, exit_cause=reason), [Kill(state.pid, reason)]
    return state, []
