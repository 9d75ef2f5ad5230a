"""Counts and latencies of `rmqctl send`."""

import pytest

from rmqctl.cli.messages.send.report import Latencies, SendReport
from rmqctl.errors import ExitCode, RmqctlError, UnreachableError


def test_percentiles_are_right_within_two_percent() -> None:
    latencies = Latencies()
    for number in range(1, 1001):
        latencies.add(number / 1000)
    assert latencies.percentile_ms(50) == pytest.approx(500, rel=0.02)
    assert latencies.percentile_ms(99) == pytest.approx(990, rel=0.02)
    assert latencies.percentile_ms(100) == pytest.approx(1000, rel=0.02)


def test_nothing_measured_has_no_percentile_and_zero_is_no_trouble() -> None:
    latencies = Latencies()
    assert latencies.percentile_ms(50) is None
    latencies.add(0.0)
    assert latencies.percentile_ms(99) == pytest.approx(0.001, rel=0.02)


def test_a_report_counts_and_ends_with_the_first_failure() -> None:
    report = SendReport()
    report.begin()
    report.sent("SEND_OK", 0.001)
    report.failed(UnreachableError("broker-a is away", "refused", "start it"))
    report.failed(RmqctlError("later"))
    assert report.failures_in_a_row == 2
    report.sent("FLUSH_DISK_TIMEOUT", 0.002)
    assert report.failures_in_a_row == 0
    report.end()
    summary = report.summary()
    assert (summary.sent, summary.failed) == (2, 2)
    assert summary.statuses == {"SEND_OK": 1, "FLUSH_DISK_TIMEOUT": 1}
    assert report.sentence().startswith("sent 2, failed 2, in ")
    failure = report.failure()
    assert failure is not None
    assert failure.exit_code is ExitCode.UNREACHABLE
    assert (failure.what, failure.why, failure.cure) == (
        "2 of 4 messages were not sent",
        "broker-a is away: refused",
        "start it",
    )


def test_what_nobody_answers_has_no_latency() -> None:
    report = SendReport()
    report.handed_over()
    assert "p50" not in report.sentence()
    assert report.failure() is None
