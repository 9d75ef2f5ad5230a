"""The state machine of a node: which state and which actions follow from a state and an event."""

import signal

import msgspec
import pytest

from rmqctl.profile.supervision import SupervisionSection
from rmqctl.supervisor.exit_status import EXIT_STORE_INCOMPLETE, EXIT_TEMPORARY
from rmqctl.supervisor.node_state import LastExit, NodeState, NodeStatus
from rmqctl.supervisor.nodes.policy import Policy, policy_of
from rmqctl.supervisor.nodes.transitions import (
    Action,
    Adopt,
    Drain,
    Exited,
    Hung,
    Kill,
    KillByHand,
    NodeEvent,
    Ready,
    Restart,
    Spawn,
    Spawned,
    Start,
    Stop,
    Terminate,
    Tick,
    Undrain,
    advance,
    next_deadline,
)
from rmqnode import run

POLICY = Policy()
KILLED = Exited(signal.SIGKILL, 0.5)
UNKNOWN = Exited(None, 0.5)
ENDED = Exited(0, 0.5)
PASSING = Exited(EXIT_TEMPORARY << 8, 0.5, "no space")
INCOMPLETE = Exited(EXIT_STORE_INCOMPLETE << 8, 0.5, "the commit log is gone")
HUNG = Hung("did not answer for 15 s")
NOW = 1000.0

STOPPED = NodeState()
UNBORN = NodeState(status=NodeStatus.STARTING)
STARTING = NodeState(status=NodeStatus.STARTING, pid=7, spawned_at=990.0)
STARTING_AGAIN = NodeState(status=NodeStatus.STARTING, pid=7, was_ready=True, failures=1, restarts=1)
STARTING_FOR_EVER = NodeState(status=NodeStatus.STARTING, pid=7, was_ready=True, kill_at=999.0)
READY = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, ready_at=995.0)
DRAINING = NodeState(status=NodeStatus.DRAINING, pid=7, was_ready=True, ready_at=995.0)
EXCUSED = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, ready_at=995.0, failures=4, is_excused=True)
LAST_TRY = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, ready_at=995.0, failures=4)
WAITING = NodeState(status=NodeStatus.BACKOFF, passing_failures=1, retry_at=1001.0)
BACKOFF = NodeState(status=NodeStatus.BACKOFF, was_ready=True, failures=2, retry_at=1001.0)
DUE = NodeState(status=NodeStatus.BACKOFF, was_ready=True, failures=2, retry_at=1000.0)
STOPPING = NodeState(status=NodeStatus.STOPPING, pid=7, kill_at=1005.0)
RESTARTING = NodeState(status=NodeStatus.STOPPING, pid=7, kill_at=1005.0, was_ready=True, start_again=True)
OVERDUE = NodeState(status=NodeStatus.STOPPING, pid=7, kill_at=999.0)
STOPPING_UNBORN = NodeState(status=NodeStatus.STOPPING)
EXITED = NodeState(status=NodeStatus.EXITED, was_ready=True, last_exit=LastExit(0))
FAILED = NodeState(status=NodeStatus.FAILED)

IDLE = (STOPPED, EXITED, FAILED)
EVERY = (
    STOPPED, UNBORN, STARTING, STARTING_AGAIN, READY, DRAINING, BACKOFF, WAITING, STOPPING, RESTARTING,
    STOPPING_UNBORN, EXITED, FAILED,
)  # fmt: skip

TABLE: list[tuple[NodeState, NodeEvent, NodeStatus, list[Action]]] = [
    *[(idle, Start(), NodeStatus.STARTING, [Spawn()]) for idle in IDLE],
    *[(idle, Restart(), NodeStatus.STARTING, [Spawn()]) for idle in IDLE],
    *[(idle, Stop(), NodeStatus.STOPPED, []) for idle in IDLE],
    *[(idle, event, idle.status, []) for idle in IDLE for event in (Spawned(8), Ready(), Tick(), Drain(), HUNG)],
    *[(idle, KillByHand(False), idle.status, []) for idle in IDLE],
    (STOPPED, Adopt(8, 60.0), NodeStatus.STARTING, []),
    (READY, Adopt(8, 60.0), NodeStatus.READY, []),
    (UNBORN, Start(), NodeStatus.STARTING, []),
    (UNBORN, Spawned(8), NodeStatus.STARTING, []),
    (UNBORN, Ready(), NodeStatus.STARTING, []),
    (UNBORN, Stop(), NodeStatus.STOPPING, []),
    (UNBORN, Restart(), NodeStatus.STOPPING, []),
    (UNBORN, Exited(256, 0.0), NodeStatus.FAILED, []),
    (UNBORN, KillByHand(False), NodeStatus.STARTING, []),
    (STARTING, Start(), NodeStatus.STARTING, []),
    (STARTING, Ready(), NodeStatus.READY, []),
    (STARTING, Drain(), NodeStatus.STARTING, []),
    (STARTING, KILLED, NodeStatus.FAILED, []),
    (STARTING, UNKNOWN, NodeStatus.FAILED, []),
    (STARTING, Stop(), NodeStatus.STOPPING, [Terminate(7)]),
    (STARTING, Restart(), NodeStatus.STOPPING, [Terminate(7)]),
    (STARTING, HUNG, NodeStatus.STARTING, []),
    (STARTING, KillByHand(False), NodeStatus.STARTING, [Kill(7)]),
    (STARTING, Tick(), NodeStatus.STARTING, []),
    (STARTING_FOR_EVER, Tick(), NodeStatus.STARTING, [Kill(7, "was not ready within 300 s")]),
    (STARTING_AGAIN, KILLED, NodeStatus.BACKOFF, []),
    # For the first time or not, often or not: what may come back is waited for, what cannot is not tried again.
    *[
        (state, PASSING, NodeStatus.BACKOFF, [])
        for state in (UNBORN, STARTING, STARTING_AGAIN, READY, LAST_TRY, EXCUSED)
    ],
    *[(state, INCOMPLETE, NodeStatus.FAILED, []) for state in (UNBORN, STARTING, STARTING_AGAIN, READY, EXCUSED)],
    *[(idle, Start(True), NodeStatus.STARTING, [Spawn(True)]) for idle in (*IDLE, BACKOFF, WAITING)],
    *[(state, Start(True), state.status, []) for state in (UNBORN, STARTING, READY, DRAINING, STOPPING)],
    (WAITING, Start(), NodeStatus.STARTING, [Spawn()]),
    (WAITING, Stop(), NodeStatus.STOPPED, []),
    (WAITING, Tick(), NodeStatus.BACKOFF, []),
    (STOPPING, PASSING, NodeStatus.STOPPED, []),
    (STOPPING, INCOMPLETE, NodeStatus.STOPPED, []),
    (RESTARTING, PASSING, NodeStatus.STARTING, [Spawn()]),
    (READY, Start(), NodeStatus.READY, []),
    (READY, Ready(), NodeStatus.READY, []),
    (READY, Drain(), NodeStatus.DRAINING, []),
    (READY, Undrain(), NodeStatus.READY, []),
    (READY, KILLED, NodeStatus.BACKOFF, []),
    (READY, UNKNOWN, NodeStatus.BACKOFF, []),
    (READY, ENDED, NodeStatus.BACKOFF, []),
    (READY, HUNG, NodeStatus.READY, [Kill(7, "did not answer for 15 s")]),
    (READY, KillByHand(False), NodeStatus.READY, [Kill(7)]),
    (READY, KillByHand(True), NodeStatus.STOPPING, [Kill(7)]),
    (READY, Stop(), NodeStatus.STOPPING, [Terminate(7)]),
    (READY, Restart(), NodeStatus.STOPPING, [Terminate(7)]),
    (READY, Tick(), NodeStatus.READY, []),
    (DRAINING, Undrain(), NodeStatus.READY, []),
    (DRAINING, Drain(), NodeStatus.DRAINING, []),
    (DRAINING, Stop(), NodeStatus.STOPPING, [Terminate(7)]),
    (DRAINING, KILLED, NodeStatus.BACKOFF, []),
    (DRAINING, HUNG, NodeStatus.DRAINING, [Kill(7, "did not answer for 15 s")]),
    (EXCUSED, KILLED, NodeStatus.BACKOFF, []),
    (LAST_TRY, KILLED, NodeStatus.FAILED, []),
    (BACKOFF, Start(), NodeStatus.STARTING, [Spawn()]),
    (BACKOFF, Restart(), NodeStatus.STARTING, [Spawn()]),
    (BACKOFF, Ready(), NodeStatus.BACKOFF, []),
    (BACKOFF, Stop(), NodeStatus.STOPPED, []),
    (BACKOFF, KillByHand(True), NodeStatus.BACKOFF, []),
    (BACKOFF, Tick(), NodeStatus.BACKOFF, []),
    (DUE, Tick(), NodeStatus.STARTING, [Spawn()]),
    (STOPPING, Start(), NodeStatus.STOPPING, []),
    (STOPPING, Restart(), NodeStatus.STOPPING, []),
    (STOPPING, Ready(), NodeStatus.STOPPING, []),
    (STOPPING, Stop(), NodeStatus.STOPPING, []),
    (STOPPING, HUNG, NodeStatus.STOPPING, []),
    (STOPPING, KillByHand(False), NodeStatus.STOPPING, [Kill(7)]),
    (STOPPING, Tick(), NodeStatus.STOPPING, []),
    (STOPPING, ENDED, NodeStatus.STOPPED, []),
    (STOPPING, UNKNOWN, NodeStatus.STOPPED, []),
    (RESTARTING, ENDED, NodeStatus.STARTING, [Spawn()]),
    (RESTARTING, KILLED, NodeStatus.STARTING, [Spawn()]),
    (OVERDUE, Tick(), NodeStatus.STOPPING, [Kill(7, "did not stop within 10 s")]),
    (STOPPING_UNBORN, Spawned(8), NodeStatus.STOPPING, [Terminate(8)]),
    (STOPPING_UNBORN, Tick(), NodeStatus.STOPPING, []),
]


@pytest.mark.parametrize(("state", "event", "status", "actions"), TABLE)
def test_state_and_event_give_state_and_actions(
    state: NodeState, event: NodeEvent, status: NodeStatus, actions: list[Action]
) -> None:
    after, found = advance(state, event, NOW, POLICY)
    assert after.status is status
    assert found == actions
    assert (after.pid is None) <= (after.ready_at is None), "only a process can be ready"


@pytest.mark.parametrize("state", EVERY)
@pytest.mark.parametrize(
    "event",
    [
        *(Start(), Restart(), Adopt(8, 1.0), Spawned(8), Ready(), Drain(), Undrain()),
        *(HUNG, KillByHand(True), ENDED, PASSING, INCOMPLETE, Start(True), Stop(), Tick()),
    ],
)
def test_no_pair_of_state_and_event_is_unthinkable(state: NodeState, event: NodeEvent) -> None:
    after, actions = advance(state, event, NOW, POLICY)
    assert (after.status is NodeStatus.BACKOFF) == (after.retry_at is not None)
    assert len(actions) <= 1


def test_node_that_was_killed_once_comes_back_at_once() -> None:
    after, _ = advance(READY, KILLED, NOW, POLICY)
    assert after.retry_at == NOW
    again, actions = advance(after, Tick(), NOW, POLICY)
    assert actions == [Spawn()]
    assert again.restarts == 1
    assert again.last_exit == LastExit(signal.SIGKILL)


def test_delays_grow_up_to_the_maximum() -> None:
    assert [POLICY.delay(failures, chance=0.0) for failures in range(1, 7)] == [0.0, 1.0, 4.0, 16.0, 30.0, 30.0]
    assert POLICY.delay(10_000, chance=0.0) == 30.0


def test_jitter_only_shortens_a_delay() -> None:
    assert POLICY.delay(4, chance=1.0) == pytest.approx(16.0 * 0.75)


def test_node_that_dies_five_times_in_a_row_waits_longer_each_time_and_is_given_up() -> None:
    state, waits = READY, []
    for _ in range(4):
        state, _ = advance(state, Exited(256, 0.0), NOW, POLICY)
        assert state.retry_at is not None
        waits.append(state.retry_at - NOW)
        state, _ = advance(state, Tick(), state.retry_at, POLICY)
        state, _ = advance(state, Spawned(9), NOW, POLICY)
    state, _ = advance(state, Exited(256, 0.0), NOW, POLICY)
    assert waits == [0.0, 1.0, 4.0, 16.0]
    assert (state.status, state.failures) == (NodeStatus.FAILED, 5)
    assert next_deadline(state) is None
    again, actions = advance(state, Start(), NOW, POLICY)
    assert (again.failures, actions) == (0, [Spawn()]), "whoever starts it by hand gives it all its tries back"


def test_what_may_come_back_is_waited_for_without_end_with_pauses_that_grow() -> None:
    state, waits = STARTING, []
    for _ in range(40):
        state, _ = advance(state, Exited(EXIT_TEMPORARY << 8, 0.0, "no space"), NOW, POLICY)
        assert state.status is NodeStatus.BACKOFF
        assert state.last_exit == LastExit(EXIT_TEMPORARY << 8, None, "no space")
        assert state.retry_at is not None
        waits.append(state.retry_at - NOW)
        state, _ = advance(state, Tick(), state.retry_at, POLICY)
        state, _ = advance(state, Spawned(9), NOW, POLICY)
    assert waits == [1.0, 4.0, 16.0] + [30.0] * 37
    assert (state.failures, state.restarts) == (0, 40), "it is no failure that could be one too many"
    ready = msgspec.structs.replace(state, status=NodeStatus.READY, was_ready=True, ready_at=NOW - 11)
    state, _ = advance(ready, PASSING, NOW, POLICY)
    assert state.passing_failures == 1, "a node that served begins anew"


def test_start_that_accepts_loss_is_the_only_one_that_does() -> None:
    state, actions = advance(FAILED, Start(True), NOW, POLICY)
    assert actions == [Spawn(True)]
    state, _ = advance(state, Spawned(9), NOW, POLICY)
    state, _ = advance(state, Ready(), NOW, POLICY)
    state, _ = advance(state, KILLED, NOW, POLICY)
    assert advance(state, Tick(), NOW, POLICY)[1] == [Spawn()]


def test_start_that_accepts_loss_waits_for_the_end_of_a_stop_and_a_stop_takes_it_back() -> None:
    waiting, _ = advance(STOPPING, Start(True), NOW, POLICY)
    assert advance(waiting, ENDED, NOW, POLICY)[1] == [Spawn(True)]
    stopped, _ = advance(waiting, Stop(), NOW, POLICY)
    assert not stopped.accepts_loss
    assert advance(stopped, ENDED, NOW, POLICY)[1] == []


def test_exit_codes_of_another_engine_mean_no_more_than_failure() -> None:
    policy = policy_of(SupervisionSection(), "always", None, "apache")
    assert advance(READY, INCOMPLETE, NOW, policy)[0].status is NodeStatus.BACKOFF
    assert advance(STARTING, PASSING, NOW, policy)[0].status is NodeStatus.FAILED


def test_exit_codes_are_those_of_the_node() -> None:
    assert (run.EXIT_STORE_INCOMPLETE, run.EXIT_TEMPORARY) == (EXIT_STORE_INCOMPLETE, EXIT_TEMPORARY)


def test_healthy_period_forgets_former_failures() -> None:
    healthy = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, failures=3, ready_at=NOW - 11)
    after, _ = advance(healthy, KILLED, NOW, POLICY)
    assert after.failures == 1
    flapping = NodeState(status=NodeStatus.READY, pid=7, was_ready=True, failures=3, ready_at=NOW - 9)
    after, _ = advance(flapping, KILLED, NOW, POLICY)
    assert after.failures == 4


def test_kill_is_sent_once() -> None:
    after, _ = advance(OVERDUE, Tick(), NOW, POLICY)
    assert next_deadline(after) is None
    assert advance(after, Tick(), NOW + 100, POLICY) == (after, [])


def test_deliberate_stop_is_no_failure() -> None:
    stopping, _ = advance(READY, Stop(), NOW, POLICY)
    stopped, _ = advance(stopping, Exited(256, 0.0), NOW, POLICY)
    assert stopped.status is NodeStatus.STOPPED
    assert stopped.failures == 0
    assert next_deadline(stopped) is None


def test_kill_by_hand_counts_no_failure_and_the_node_comes_back_at_once() -> None:
    killed, _ = advance(LAST_TRY, KillByHand(False), NOW, POLICY)
    gone, _ = advance(killed, KILLED, NOW, POLICY)
    assert (gone.status, gone.retry_at, gone.failures) == (NodeStatus.BACKOFF, NOW, 4)
    assert gone.last_exit == LastExit(signal.SIGKILL, "was killed by hand")


def test_stop_during_a_restart_wins_and_start_during_a_stop_too() -> None:
    stopping, _ = advance(RESTARTING, Stop(), NOW, POLICY)
    assert advance(stopping, ENDED, NOW, POLICY)[0].status is NodeStatus.STOPPED
    starting, _ = advance(msgspec.structs.replace(STOPPING, was_ready=True), Start(), NOW, POLICY)
    assert advance(starting, ENDED, NOW, POLICY)[0].status is NodeStatus.STARTING


@pytest.mark.parametrize(
    ("restart", "exit_event", "status"),
    [
        ("always", ENDED, NodeStatus.BACKOFF),
        ("always", KILLED, NodeStatus.BACKOFF),
        ("on-failure", ENDED, NodeStatus.EXITED),
        ("on-failure", KILLED, NodeStatus.BACKOFF),
        ("on-failure", UNKNOWN, NodeStatus.BACKOFF),
        ("never", ENDED, NodeStatus.EXITED),
        ("never", KILLED, NodeStatus.EXITED),
        ("never", PASSING, NodeStatus.EXITED),
        ("on-failure", PASSING, NodeStatus.BACKOFF),
        ("never", INCOMPLETE, NodeStatus.FAILED),
    ],
)
def test_restart_policy_decides_about_a_node_that_ends_by_itself(
    restart: str, exit_event: Exited, status: NodeStatus
) -> None:
    assert advance(READY, exit_event, NOW, Policy(restart=restart))[0].status is status


def test_node_that_is_never_restarted_is_not_killed_when_it_hangs() -> None:
    assert advance(READY, HUNG, NOW, Policy(restart="never")) == (READY, [])


def test_hung_node_is_a_failure_and_its_cause_is_kept() -> None:
    killed, _ = advance(READY, HUNG, NOW, POLICY)
    gone, _ = advance(killed, KILLED, NOW, POLICY)
    assert gone.failures == 1
    assert gone.last_exit == LastExit(signal.SIGKILL, "did not answer for 15 s")


def test_policy_follows_the_profile() -> None:
    section = SupervisionSection(failures_max=2, retry_seconds_max=1.5, healthy_seconds=0.5)
    policy = policy_of(section, "on-failure", 60.0)
    assert (policy.restart, policy.failures_max, policy.healthy_period, policy.grace) == ("on-failure", 2, 0.5, 60.0)
    assert policy.delay(9, chance=0.0) == 1.5
