"""SQL92 filters of the official Java client, on our nodes and on Apache's."""

from collections import Counter

from tests.interop.java_run import Run


def test_sql_filter_lets_only_what_matches_through_and_wakes_for_it(run: Run) -> None:
    saw = run.saw("sql_push")
    wanted = [f"before-{i}" for i in range(6, 21, 2) if i != 10]  # that one has no number
    assert Counter(saw["backlog"]) == Counter(wanted)
    assert Counter(saw["received"]) == Counter([*wanted, "woken"])
    assert saw["woken_after_seconds"] < 2


def test_sql_filter_can_be_changed_while_the_consumer_runs(run: Run) -> None:
    assert run.saw("sql_resubscribe")["received"] == ["first-1", "second-7"]


def test_message_that_failed_comes_back_to_a_consumer_with_a_sql_filter(run: Run) -> None:
    assert run.saw("sql_retry")["deliveries"] == ["retried-3 0", "retried-3 1"]


def test_pulls_with_a_sql_filter_get_what_matches(run: Run) -> None:
    saw = run.saw("sql_pull")
    everything = [f"m-{i}" for i in range(10)]
    found = {"status": "FOUND", "next": 10}
    assert saw["numbers"] == found | {"bodies": everything[3:8]}
    assert saw["missing"] == found | {"bodies": everything[1::2]}
    assert saw["texts"] == found | {"bodies": ["m-1", "m-9"]}
    assert saw["nothing"] == {"status": "NO_MATCHED_MSG", "next": 10, "bodies": []}
    if run.engine == "apache":
        assert saw["bad"] == found | {"bodies": everything}, "4.5.2 lets every message through"
    else:
        assert saw["bad"]["code"] == 23
        assert "at line 1, column 4: the expression ends too early" in saw["bad"]["message"]


def test_consumer_with_a_bad_sql_filter_does_not_start(run: Run) -> None:
    errors = run.saw("sql_bad_expression")["errors"]
    assert [error["code"] for error in errors] == [23] * 4
    assert "at line 1, column 5" in errors[0]["message"]
    if run.engine == "embedded":
        assert all("invalid SQL92 expression at line 1, column " in error["message"] for error in errors)
