"""How patient a supervisor is with a node: when it is tried again, when it is given up, when it is killed."""

import os

import msgspec

from rmqctl.profile.supervision import SupervisionSection
from rmqctl.supervisor.exit_status import EXIT_STORE_INCOMPLETE, EXIT_TEMPORARY

_DELAY_FACTOR = 4.0


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The patience with one node. Durations in seconds."""

    restart: str = "always"
    """Whether it is started again after it ended by itself: `always`, `on-failure` or `never`."""
    failures_max: int = 5
    """After so many failures in a row it is given up."""
    first_delay: float = 0.0
    """Before the first new try: a node that ran well and was killed comes back at once."""
    base_delay: float = 1.0
    """Before the second try; each further one waits four times as long."""
    delay_max: float = 30.0
    jitter: float = 0.25
    """Share of a delay that is left to chance, so that nodes which died together do not come back in step."""
    healthy_period: float = 10.0
    """A node that was ready for so long starts counting its failures anew."""
    grace: float = 10.0
    """Between SIGTERM and SIGKILL."""
    passing_exits: frozenset[int] = frozenset({EXIT_TEMPORARY})
    """Exit codes of failures that may go away by themselves: tried again without end, and never counted."""
    final_exits: frozenset[int] = frozenset({EXIT_STORE_INCOMPLETE})
    """Exit codes of failures that another try would meet again: the node is given up at once."""
    start_limit: float = 300.0
    """A node that was started again and is not ready after so long hangs: reading a large store takes far less."""

    def delay(self, failures: int, chance: float) -> float:
        """Seconds until the next try.

        Args:
            failures: Failures in a row, this one included: at least 1.
            chance: A random number from 0 to 1.
        """
        if failures <= 1:
            return self.first_delay
        full = min(self.delay_max, self.base_delay * _DELAY_FACTOR ** min(failures - 2, 20))
        return full * (1 - self.jitter * chance)

    def passes(self, wait_status: int | None) -> bool:
        """Whether a node that ended so is worth trying again and again.

        Args:
            wait_status: As `os.waitpid` gives it; None when nobody knows.
        """
        return self.restart != "never" and _exit_code(wait_status) in self.passing_exits

    def is_final(self, wait_status: int | None) -> bool:
        """Whether a node that ended so would end so again; the argument as for `passes`."""
        return _exit_code(wait_status) in self.final_exits

    def wants_restart(self, wait_status: int | None) -> bool:
        """Whether a node that ended so, without being asked to, is started again.

        Args:
            wait_status: As `os.waitpid` gives it; None when nobody knows, which counts as a failure.
        """
        if self.restart == "on-failure":
            return wait_status is None or os.waitstatus_to_exitcode(wait_status) != 0
        return self.restart == "always"


def _exit_code(wait_status: int | None) -> int | None:
    return None if wait_status is None else os.waitstatus_to_exitcode(wait_status)


def policy_of(
    section: SupervisionSection, restart: str, grace_seconds: float | None, engine: str = "embedded"
) -> Policy:
    """The patience that a profile asks for.

    Args:
        section: The profile's `[supervision]`.
        restart: The node's own restart policy.
        grace_seconds: The grace that the node's engine needs; None for the usual one.
        engine: Exit codes mean nothing but failure where it is not our own.
    """
    policy = Policy(
        restart=restart,
        failures_max=section.failures_max,
        delay_max=section.retry_seconds_max,
        healthy_period=section.healthy_seconds,
    )
    if engine != "embedded":
        policy = msgspec.structs.replace(policy, passing_exits=frozenset(), final_exits=frozenset())
    return policy if grace_seconds is None else msgspec.structs.replace(policy, grace=grace_seconds)
