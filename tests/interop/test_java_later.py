"""Messages of the official Java client that come later, or again: delayed, retried, dead."""

from itertools import pairwise
from typing import Any

import pytest

from tests.interop.java_run import Run

LATENESS_MS_MAX = 10_000
"""What a busy machine may add; how late the broker itself is, is measured elsewhere."""


def test_failed_message_comes_back_until_it_succeeds(run: Run) -> None:
    saw = run.saw("failing_listener")
    deliveries: dict[str, list[dict[str, Any]]] = {}
    for delivery in saw["deliveries"]:
        deliveries.setdefault(delivery["body"], []).append(delivery)
    assert sorted(deliveries) == sorted(saw["sent"])
    for attempts in deliveries.values():
        assert [attempt["reconsume_times"] for attempt in attempts] == [0, 1, 2]
        assert {attempt["topic"] for attempt in attempts} == {saw["topic"]}
        assert len({attempt["msg_id"] for attempt in attempts}) == 1
        times = [attempt["at_ms"] for attempt in attempts]
        assert all(later - earlier >= 900 for earlier, later in pairwise(times))


def test_message_that_comes_back_says_where_it_came_from(run: Run) -> None:
    saw = run.saw("configured_group")
    first, again = saw["deliveries"]
    assert "ORIGIN_MESSAGE_ID" not in first["properties"]
    assert again["properties"]["ORIGIN_MESSAGE_ID"] == saw["sent"]["offset_msg_id"]
    assert again["properties"]["RETRY_TOPIC"] == again["topic"] == saw["topic"]
    assert again["msg_id"] == first["msg_id"] == saw["sent"]["msg_id"]


@pytest.mark.parametrize("case", ["dead_letter", "configured_group"])
def test_message_that_fails_too_often_becomes_a_dead_letter(run: Run, case: str) -> None:
    saw = run.saw(case)
    # The consumer allows one retry; that the group of the second case allows seven does not count for this client.
    assert [delivery["reconsume_times"] for delivery in saw["deliveries"]] == [0, 1]
    assert saw["dead_letters"] == 1
    assert saw["routes"][0] == saw["routes"][1]
    # 4.5.2 lets nobody read dead letters.
    perm = 6 if run.engine == "embedded" else 2
    assert list(saw["routes"][0].values()) == [{"read": 1, "write": 1, "perm": perm}]


def test_retry_topic_has_as_many_queues_as_its_group_says(run: Run) -> None:
    saw = run.saw("configured_group")
    for routes in saw["retry_routes"]:
        assert list(routes.values()) == [{"read": 2, "write": 2, "perm": 6}] * 2


def test_delayed_message_comes_after_its_delay(run: Run) -> None:
    saw = run.saw("delayed_message")
    assert [delivery["body"] for delivery in saw["deliveries"]] == ["later"]
    assert 5000 <= saw["deliveries"][0]["at_ms"] - saw["sent_at_ms"] < 5000 + LATENESS_MS_MAX
    assert saw["deliveries"][0]["msg_id"] == saw["sent"]["msg_id"]


def test_each_level_has_its_own_delay_and_keeps_its_order(run: Run) -> None:
    saw = run.saw("delay_levels")
    deliveries = sorted(saw["deliveries"], key=lambda delivery: delivery["queue_offset"])
    for level, delay_ms in ((0, 0), (1, 1000), (2, 5000)):
        of_level = [delivery for delivery in deliveries if delivery["body"].startswith(f"level {level} ")]
        assert [delivery["body"] for delivery in of_level] == [f"level {level} #{index}" for index in range(10)]
        for delivery in of_level:
            waited_ms = delivery["at_ms"] - saw["sent_at_ms"][delivery["body"]]
            assert delay_ms <= waited_ms < delay_ms + LATENESS_MS_MAX
    assert len(deliveries) == 30


def test_delayed_message_keeps_what_it_carried(run: Run) -> None:
    saw = run.saw("delay_levels")
    for delivery in saw["deliveries"]:
        index = delivery["body"].partition("#")[2]
        carried = {"TAGS": "tag", "KEYS": f"key-{index}", "own": f"property {index}"}
        assert carried.items() <= delivery["properties"].items()
        assert delivery["topic"] == saw["topic"]


def test_delivery_time_of_a_5_x_client_is_refused_where_older_brokers_ignore_it(run: Run) -> None:
    saw = run.saw("delivery_time")
    if run.engine == "apache":
        assert [delivery["body"] for delivery in saw["deliveries"]] == ["at a time"]
        return
    assert (saw["code"], saw["deliveries"]) == (13, [])
    assert "this broker keeps no delivery times (TIMER_DELAY_MS), only delay levels" in saw["remark"]


def test_namespaces_keep_topics_groups_and_their_retries_apart(run: Run) -> None:
    saw = run.saw("namespaces")
    assert [(each["body"], each["topic"], each["reconsume_times"]) for each in saw["one"]] == [
        ("for one", saw["topic"], 0),
        ("for one", saw["topic"], 1),
    ]
    assert saw["two"] == []
    assert saw["retry_routes"] == 2
