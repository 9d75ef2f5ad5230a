"""Figures of a running consumer by topic, for administrators who ask it (GET_CONSUMER_RUNNING_INFO).

Rates are those since the sample before last, samples being taken every 30 s: about the last minute. Source:
`ConsumerStatsManager` (RocketMQ 4.5.2), whose minute has samples every 10 s.
"""

import msgspec
import trio

from rmqnode.protocol.bodies import ConsumeStatus

_SAMPLE_SECONDS = 30.0
_FAILURES_SECONDS = 3600.0


class _Totals(msgspec.Struct):
    taken_at: float
    pulls: int = 0
    pull_seconds: float = 0.0
    pulled: int = 0
    consumed: int = 0
    failed: int = 0
    consume_seconds: float = 0.0


class _Topic:
    """Running totals, and the two samples that rates count from."""

    def __init__(self) -> None:
        now = trio.current_time()
        self.totals = _Totals(now)
        self.samples = (_Totals(now), _Totals(now))
        self.hour_start = now
        self.failed_before_hour = 0

    def sample(self) -> None:
        now = trio.current_time()
        self.totals.taken_at = now
        if now - self.samples[1].taken_at >= _SAMPLE_SECONDS:
            self.samples = (self.samples[1], msgspec.structs.replace(self.totals))
        if now - self.hour_start >= _FAILURES_SECONDS:
            self.hour_start = now
            self.failed_before_hour = self.totals.failed


class ConsumerStatistics:
    """Counts what is pulled and consumed."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}

    def pulled(self, topic: str, count: int, seconds: float) -> None:
        """Note an answer to a pull with messages."""
        entry = self._topic(topic)
        entry.totals.pulls += 1
        entry.totals.pulled += count
        entry.totals.pull_seconds += seconds
        entry.sample()

    def consumed(self, topic: str, seconds: float, *, failed: bool) -> None:
        """Note that a handler ended."""
        entry = self._topic(topic)
        entry.totals.consume_seconds += seconds
        if failed:
            entry.totals.failed += 1
        else:
            entry.totals.consumed += 1

    def status(self, topic: str) -> ConsumeStatus:
        """Return the rates of a topic."""
        entry = self._topic(topic)
        entry.sample()
        now, before = entry.totals, entry.samples[0]
        seconds = max(1.0, now.taken_at - before.taken_at)
        handled = now.consumed + now.failed - before.consumed - before.failed
        pulls = now.pulls - before.pulls
        return ConsumeStatus(
            pull_rt=1000 * (now.pull_seconds - before.pull_seconds) / max(1, pulls),
            pull_tps=(now.pulled - before.pulled) / seconds,
            consume_rt=1000 * (now.consume_seconds - before.consume_seconds) / max(1, handled),
            consume_ok_tps=(now.consumed - before.consumed) / seconds,
            consume_failed_tps=(now.failed - before.failed) / seconds,
            consume_failed_msgs=now.failed - entry.failed_before_hour,
        )

    def _topic(self, topic: str) -> _Topic:
        entry = self._topics.get(topic)
        if entry is None:
            entry = self._topics[topic] = _Topic()
        return entry
