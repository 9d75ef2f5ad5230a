"""How long puts took that could not simply be copied into mapped memory: they had to make a new file first.

Any other put is a copy without a system call. It counts as taking no time, and costs none to be measured.
Source: StoreStatsService#setPutMessageEntireTimeMax (RocketMQ 4.5.2), which times every put.
"""

from bisect import bisect_right
from typing import Final

SPANS: Final = (
    "<=0ms", "0~10ms", "10~50ms", "50~100ms", "100~200ms", "200~500ms", "500ms~1s", "1~2s", "2~3s", "3~4s",
    "4~5s", "5~10s", "10s~",
)  # fmt: skip
_BEGINS_MS: Final = (1, 10, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10_000)
"""First whole millisecond of each span but the first."""


class PutTimes:
    """Timed puts by span, and the longest of all."""

    def __init__(self) -> None:
        self.max_ms = 0
        self.counts = [0] * len(SPANS)
        """Since the last `restart`; the first span has only those that were timed."""

    def note(self, seconds: float) -> None:
        """Count one put."""
        milliseconds = int(seconds * 1000)
        self.counts[bisect_right(_BEGINS_MS, milliseconds)] += 1
        self.max_ms = max(self.max_ms, milliseconds)

    def restart(self) -> None:
        """Count by span from 0 again; the longest stays."""
        self.counts = [0] * len(SPANS)
