"""The state machine of a node: which state and which actions follow from a state and an event."""

import signal

import pytest

from rmqctl.supervisor.states import (
    Action,
    Exited,
    Kill,
    NodeEvent,
    NodeState,
    NodeStatus,
    Policy,
    Ready,
    Spawn,
    Spawned,
    Start,
    Stop,
    Terminate,
    Tick,
    advance,
    next_deadline,
)

POLICY = Policy()
KILLED = Exited(signal.SIGKILL, 0.5)
NOW = 1000.0

EXITED = NodeState()
UNBORN = NodeState(status=NodeStatus.STARTING)
STARTING = NodeState(status=NodeStatus.STARTING, pid=7, spawned_at=990.0)
STARTING_AGAIN = NodeState(status=NodeStatus.STARTING, pid=7, was_ready=True, failures=1, restarts=1)
READY = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, ready_at=995.0)
BACKOFF = NodeState(status=NodeStatus.BACKOFF, was_ready=True, failures=2, retry_at=1001.0)
DUE = NodeState(status=NodeStatus.BACKOFF, was_ready=True, failures=2, retry_at=1000.0)
STOPPING = NodeState(status=NodeStatus.STOPPING, pid=7, kill_at=1005.0)
OVERDUE = NodeState(status=NodeStatus.STOPPING, pid=7, kill_at=999.0)
STOPPING_UNBORN = NodeState(status=NodeStatus.STOPPING)
FAILED = NodeState(status=NodeStatus.FAILED)

TABLE: list[tuple[NodeState, NodeEvent, NodeStatus, list[Action]]] = [
    (EXITED, Start(), NodeStatus.STARTING, [Spawn()]),
    (EXITED, Spawned(8), NodeStatus.EXITED, []),
    (EXITED, Ready(), NodeStatus.EXITED, []),
    (EXITED, Stop(), NodeStatus.EXITED, []),
    (EXITED, Tick(), NodeStatus.EXITED, []),
    (UNBORN, Start(), NodeStatus.STARTING, []),
    (UNBORN, Spawned(8), NodeStatus.STARTING, []),
    (UNBORN, Ready(), NodeStatus.STARTING, []),
    (UNBORN, Stop(), NodeStatus.STOPPING, []),
    (UNBORN, Exited(256, 0.0), NodeStatus.FAILED, []),
    (STARTING, Start(), NodeStatus.STARTING, []),
    (STARTING, Ready(), NodeStatus.READY, []),
    (STARTING, KILLED, NodeStatus.FAILED, []),
    (STARTING, Stop(), NodeStatus.STOPPING, [Terminate(7)]),
    (STARTING, Tick(), NodeStatus.STARTING, []),
    (STARTING_AGAIN, KILLED, NodeStatus.BACKOFF, []),
    (READY, Start(), NodeStatus.READY, []),
    (READY, Ready(), NodeStatus.READY, []),
    (READY, KILLED, NodeStatus.BACKOFF, []),
    (READY, Stop(), NodeStatus.STOPPING, [Terminate(7)]),
    (READY, Tick(), NodeStatus.READY, []),
    (BACKOFF, Start(), NodeStatus.BACKOFF, []),
    (BACKOFF, Ready(), NodeStatus.BACKOFF, []),
    (BACKOFF, Stop(), NodeStatus.EXITED, []),
    (BACKOFF, Tick(), NodeStatus.BACKOFF, []),
    (DUE, Tick(), NodeStatus.STARTING, [Spawn()]),
    (STOPPING, Start(), NodeStatus.STOPPING, []),
    (STOPPING, Ready(), NodeStatus.STOPPING, []),
    (STOPPING, Stop(), NodeStatus.STOPPING, []),
    (STOPPING, Tick(), NodeStatus.STOPPING, []),
    (STOPPING, Exited(0, 0.0), NodeStatus.EXITED, []),
    (OVERDUE, Tick(), NodeStatus.STOPPING, [Kill(7)]),
    (STOPPING_UNBORN, Spawned(8), NodeStatus.STOPPING, [Terminate(8)]),
    (STOPPING_UNBORN, Tick(), NodeStatus.STOPPING, []),
    (FAILED, Start(), NodeStatus.STARTING, [Spawn()]),
    (FAILED, Ready(), NodeStatus.FAILED, []),
    (FAILED, Stop(), NodeStatus.FAILED, []),
    (FAILED, Tick(), NodeStatus.FAILED, []),
]


@pytest.mark.parametrize(("state", "event", "status", "actions"), TABLE)
def test_state_and_event_give_state_and_actions(
    state: NodeState, event: NodeEvent, status: NodeStatus, actions: list[Action]
) -> None:
    after, found = advance(state, event, NOW, POLICY)
    assert after.status is status
    assert found == actions
    assert (after.pid is None) <= (after.ready_at is None), "only a process can be ready"


def test_node_that_was_killed_once_comes_back_at_once() -> None:
    after, _ = advance(READY, KILLED, NOW, POLICY)
    assert after.retry_at == NOW
    again, actions = advance(after, Tick(), NOW, POLICY)
    assert actions == [Spawn()]
    assert again.restarts == 1
    assert again.last_exit == signal.SIGKILL


def test_delays_double_up_to_the_maximum() -> None:
    delays = [POLICY.delay(failures, chance=0.0) for failures in range(1, 12)]
    assert delays == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert POLICY.delay(10_000, chance=0.0) == 30.0


def test_jitter_only_shortens_a_delay() -> None:
    assert POLICY.delay(5, chance=1.0) == pytest.approx(2.0 * 0.75)


def test_node_that_dies_while_it_starts_again_waits_longer_each_time() -> None:
    state, waits = READY, []
    for _ in range(5):
        state, _ = advance(state, Exited(256, 0.0), NOW, POLICY)
        assert state.retry_at is not None
        waits.append(state.retry_at - NOW)
        state, _ = advance(state, Tick(), state.retry_at, POLICY)
        state, _ = advance(state, Spawned(9), NOW, POLICY)
    assert waits == [0.0, 0.25, 0.5, 1.0, 2.0]


def test_healthy_period_forgets_former_failures() -> None:
    healthy = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, failures=6, ready_at=NOW - 11)
    after, _ = advance(healthy, KILLED, NOW, POLICY)
    assert after.failures == 1
    flapping = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, failures=6, ready_at=NOW - 9)
    after, _ = advance(flapping, KILLED, NOW, POLICY)
    assert after.failures == 7


def test_kill_is_sent_once() -> None:
    after, _ = advance(OVERDUE, Tick(), NOW, POLICY)
    assert next_deadline(after) is None
    assert advance(after, Tick(), NOW + 100, POLICY) == (after, [])


def test_deliberate_stop_is_no_failure() -> None:
    stopping, _ = advance(READY, Stop(), NOW, POLICY)
    exited, _ = advance(stopping, Exited(256, 0.0), NOW, POLICY)
    assert exited.status is NodeStatus.EXITED
    assert exited.failures == 0
    assert next_deadline(exited) is None
