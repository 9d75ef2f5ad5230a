"""What became of the messages of one `rmqctl send`: counts, latencies, and how they are told."""

import math
import time
from collections import Counter
from typing import Final

import msgspec

from rmqctl.errors import ExitCode, RmqctlError

_STEP: Final = math.log(1.02)
"""Latencies are kept in steps of two percent: enough for people, and bounded whatever is sent."""


class Latencies:
    """Durations, and the value that a share of them does not exceed."""

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Note a duration."""
        self._steps[round(math.log(max(seconds, 1e-6)) / _STEP)] += 1

    def percentile_ms(self, percent: float) -> float | None:
        """Return the duration in ms that so many percent do not exceed; None without any."""
        rank = math.ceil(self._steps.total() * percent / 100)
        for step in sorted(self._steps):
            rank -= self._steps[step]
            if rank <= 0:
                return round(1000 * math.exp(step * _STEP), 3)
        return None


class Summary(msgspec.Struct, frozen=True):
    """JSON of `rmqctl send --quiet --json`."""

    sent: int
    """Stored; with --oneway, handed to the network."""
    failed: int
    seconds: float
    per_second: float
    p50_ms: float | None
    """None with --oneway: nobody answers."""
    p99_ms: float | None
    statuses: dict[str, int]
    """Messages by send status."""


class SendReport:
    """Counts while messages are sent."""

    def __init__(self) -> None:
        self.sent_count = 0
        self.failed_count = 0
        self.failures_in_a_row = 0
        self.first_failure: RmqctlError | None = None
        self.statuses: Counter[str] = Counter()
        self.read_bytes = 0
        """Of the input, as far as its messages were begun."""
        self._latencies = Latencies()
        self._begun = time.perf_counter()
        self._ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken, up to now or to the end."""
        return (self._ended or time.perf_counter()) - self._begun

    @property
    def per_second(self) -> float:
        """Messages sent in a second."""
        return self.sent_count / max(self.seconds, 1e-9)

    def begin(self) -> None:
        """The connection stands, the first message goes out now."""
        self._begun = time.perf_counter()

    def end(self) -> None:
        """The last message has its answer."""
        self._ended = time.perf_counter()

    def sent(self, status: str, seconds: float) -> None:
        """Count a message that is stored."""
        self.statuses[status] += 1
        self._latencies.add(seconds)
        self.handed_over()

    def handed_over(self) -> None:
        """Count a message that nobody answers."""
        self.sent_count += 1
        self.failures_in_a_row = 0

    def failed(self, error: RmqctlError) -> None:
        """Count a message that was not stored, as far as we know."""
        self.failed_count += 1
        self.failures_in_a_row += 1
        self.first_failure = self.first_failure or error

    def summary(self) -> Summary:
        """Return the counts so far."""
        return Summary(
            sent=self.sent_count,
            failed=self.failed_count,
            seconds=round(self.seconds, 3),
            per_second=round(self.per_second, 1),
            p50_ms=self._latencies.percentile_ms(50),
            p99_ms=self._latencies.percentile_ms(99),
            statuses=dict(self.statuses),
        )

    def sentence(self) -> str:
        """Return the counts so far for people."""
        told = self.summary()
        text = f"sent {told.sent}, failed {told.failed}, in {told.seconds:.2f} s: {told.per_second:.0f} messages/s"
        if told.p50_ms is not None and told.p99_ms is not None:
            text += f", p50 {told.p50_ms:.2f} ms, p99 {told.p99_ms:.2f} ms"
        return text

    def failure(self) -> RmqctlError | None:
        """Return the error that the command ends with; None when every message was sent."""
        first = self.first_failure
        if first is None:
            return None
        total = self.sent_count + self.failed_count
        why = first.what if first.why is None else f"{first.what}: {first.why}"
        exit_code = ExitCode(first.exit_code)
        return RmqctlError(f"{self.failed_count} of {total} messages were not sent", why, first.cure, exit_code)
