"""Which brokers a producer leaves alone for a while, because they were slow or failed. No I/O.

Source: `MQFaultStrategy`, `LatencyFaultToleranceImpl` (RocketMQ 4.5.2, `sendLatencyFaultEnable`), differs: when all
are to be avoided, the one whose time is up first is taken.
"""

from collections.abc import Callable, Iterable
from typing import Final

_STEPS: Final = ((15.0, 600.0), (3.0, 180.0), (2.0, 120.0), (1.0, 60.0), (0.55, 30.0))
"""Latency from which on a broker is avoided, and for how long, both in seconds."""

_FAILURE_SECONDS: Final = 30.0
"""What a failure counts as."""


class FaultAvoidance:
    """Remembers until when each broker is better not used.

    Args:
        clock: Seconds; any monotonic clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._avoided_until: dict[str, float] = {}

    def note_latency(self, broker: str, seconds: float) -> None:
        """Note how long a send took."""
        duration = next((avoided for latency, avoided in _STEPS if seconds >= latency), 0.0)
        if duration:
            self._avoided_until[broker] = self._clock() + duration
        else:
            self._avoided_until.pop(broker, None)

    def note_failure(self, broker: str) -> None:
        """Note that a send failed."""
        self.note_latency(broker, _FAILURE_SECONDS)

    def is_avoided(self, broker: str) -> bool:
        """Whether a broker is better not used now."""
        return self._avoided_until.get(broker, 0.0) > self._clock()

    def soonest(self, brokers: Iterable[str]) -> str | None:
        """Return the broker whose time is up first; None when there is none."""
        return min(brokers, key=lambda broker: self._avoided_until.get(broker, 0.0), default=None)
