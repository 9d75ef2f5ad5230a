"""The reasons why a broker is limited."""

import logging

import pytest

from rmqnode.broker.limitations import Limit, Limitations


def test_a_limit_is_told_until_it_is_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limitations = Limitations()
    limitations.report(Limit.DISK, "no space on /data")
    limitations.report(Limit.DISK, "no space on /data")
    assert limitations.table() == {"limited.disk": "no space on /data"}
    limitations.clear(Limit.DISK)
    limitations.clear(Limit.DISK)
    assert limitations.table() == {}
    assert [record.getMessage() for record in caplog.records] == [
        "limited by=disk reason=no space on /data",
        "no longer limited by=disk",
    ]
