"""`[supervision]` and `[logs]`: what a profile says about restarts, health checks, draining, and sizes of logs.

Values only; `rmqctl.supervisor` acts by them.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

RESTART_POLICIES = ("always", "on-failure", "never")
"""What happens to a node that ends without being asked to."""

_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]


class SupervisionSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[supervision]`: how nodes are looked after."""

    restart: str = "always"
    """For every node that says nothing else: one of `RESTART_POLICIES`."""
    failures_max: Annotated[int, msgspec.Meta(ge=1)] = 5
    """So many failures in a row, without a healthy period between them, and a node is given up."""
    retry_seconds_max: _Seconds = 30.0
    """No wait before a new try is longer."""
    healthy_seconds: _Seconds = 10.0
    """A node that served for so long starts counting its failures anew."""
    health_interval_seconds: _PositiveSeconds = 5.0
    """Between two health checks of a node."""
    silence_seconds_max: _PositiveSeconds = 15.0
    """A node that runs, answers nothing and does nothing else either for so long is killed and started again.

    One that gets no processor time is given four times as long; an Apache node counts by its answers alone.
    """
    drain_seconds: _Seconds = 30.0
    """How long clients get to learn that a broker takes no more messages. Apache's ask for routes every 30 s."""


class LogsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[logs]`: how much a node may write."""

    size_mib: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 16
    """What a log may grow to before it is renamed."""
    files: Annotated[int, msgspec.Meta(ge=0, le=100)] = 4
    """How many renamed ones are kept."""


def unknown_restart_policies(policies: Mapping[str, str | None]) -> str | None:
    """The first wrong policy in words; None when all are right.

    Args:
        policies: Key path → what stands there.
    """
    for path, policy in policies.items():
        if policy is not None and policy not in RESTART_POLICIES:
            return f"{path}: expected one of {', '.join(RESTART_POLICIES)}, found {policy!r}"
    return None
