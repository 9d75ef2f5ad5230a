"""What is known of a supervised node: its state, and how its process ended last. `nodes.transitions` changes it."""

from enum import StrEnum

import msgspec


class NodeStatus(StrEnum):
    """The states of a node: in `rmqctl status`, in `--json` and in `rmqctl events`."""

    STARTING = "starting"
    """The process runs and does not serve yet."""
    READY = "ready"
    """It serves: a protocol probe said so."""
    DRAINING = "draining"
    """It serves, and clients are being told to send elsewhere."""
    BACKOFF = "backoff"
    """It died; the next try waits for its time."""
    STOPPING = "stopping"
    """It was asked to stop."""
    STOPPED = "stopped"
    """It does not run because it was asked to stop, or was not started yet."""
    EXITED = "exited"
    """It ended by itself, and its restart policy leaves it so."""
    FAILED = "failed"
    """It was given up: it never got ready, or failed too often in a row."""
    UNSUPERVISED = "unsupervised"
    """It runs, but its supervisor is gone. Only commands that find it so say this."""
    LIMITED = "limited"
    """It is ready, and says itself that something keeps it from serving all. Only what is reported says this."""


KILLED_BY_HAND = "was killed by hand"
"""Cause of an exit that somebody wanted."""

RUNNING = (NodeStatus.STARTING, NodeStatus.READY, NodeStatus.DRAINING)
"""States with a process that shall run."""
SERVING = (NodeStatus.READY, NodeStatus.DRAINING)


class LastExit(msgspec.Struct, frozen=True):
    """How a node's process ended last."""

    wait_status: int | None
    """As `os.waitpid` gives it; None when nobody could know, for a process without a supervisor, or an adopted one."""
    cause: str | None = None
    """Why it was made to end, where the supervisor or a person did it."""
    said: str | None = None
    """The node's own sentence, where it refused to start."""


UNSEEN_EXIT = LastExit(None, "ended while no supervisor ran")


class NodeHistory(msgspec.Struct, frozen=True):
    """What a node went through since the cluster was brought up; a new supervisor goes on with it."""

    restarts: int = 0
    """How often it was started again because it ended by itself."""
    last_exit: LastExit | None = None


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what happens to a node next."""

    status: NodeStatus = NodeStatus.STOPPED
    pid: int | None = None
    spawned_at: float | None = None
    was_ready: bool = False
    """It was ready at least once since the supervisor began."""
    ready_at: float | None = None
    failures: int = 0
    """Failures in a row without a healthy period."""
    passing_failures: int = 0
    """Failures in a row that may go away by themselves: they make pauses longer and are never too many."""
    restarts: int = 0
    """As in its history."""
    retry_at: float | None = None
    kill_at: float | None = None
    last_exit: LastExit | None = None
    exit_cause: str | None = None
    """Why its process is about to end, where the wait status will not tell."""
    start_again: bool = False
    """While STOPPING: it was asked to restart."""
    accepts_loss: bool = False
    """While `start_again`: that start may go on without messages that the store lacks."""
    is_excused: bool = False
    """Its process is being killed by hand: the exit is no failure."""
