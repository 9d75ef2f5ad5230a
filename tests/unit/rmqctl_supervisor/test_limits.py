"""The state `limited`: what a broker says of itself, and the words that people get."""

import pytest

from rmqctl.node_limits import describe_limits, limits_in


def test_limits_of_a_broker_are_its_keys_in_order() -> None:
    info = {"limited.memory": "too much", "brokerVersionDesc": "V4_5_2", "limited.disk": "no space"}
    limits = limits_in(info)
    assert limits == {"disk": "no space", "memory": "too much"}
    assert describe_limits(limits) == "is limited by disk: no space; by memory: too much"


def test_a_broker_that_says_nothing_is_not_limited() -> None:
    assert limits_in({"haState": "following", "haProblem": ""}) == {}


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"haState": "refused", "haProblem": "the logs differ"}, "it does not replicate its master: the logs differ"),
        ({"haState": "refused"}, "it does not replicate its master"),
        ({"haState": "refused", "limited.replication": "a bad record"}, "a bad record"),
    ],
)
def test_a_slave_that_refuses_its_masters_log_is_limited_by_replication(info: dict[str, str], reason: str) -> None:
    assert limits_in(info) == {"replication": reason}


def test_what_a_broker_says_cannot_move_a_cursor() -> None:
    assert limits_in({"limited.disk": "a\x1b[31mb\nc"}) == {"disk": "a?[31mb?c"}
