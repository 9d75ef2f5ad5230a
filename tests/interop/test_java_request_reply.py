"""Request-reply of the official Java client (since 4.6), on our nodes and on Apache's."""

from tests.interop.java_run import REQUEST_REPLY, Run


def test_each_request_gets_its_own_answer(run: Run) -> None:
    saw = run.saw(REQUEST_REPLY)
    # The 5.3.3 client stops waiting as soon as its request is sent: only its callbacks get answers.
    assert len(saw["answers"]) == (10 if run.client.version == "4.9.7" else 0)
    assert len(saw["called"]) == 10
    for body, answer in {**saw["answers"], **saw["called"]}.items():
        assert answer == f"re: {body}"


def test_a_request_that_nobody_answers_times_out(run: Run) -> None:
    assert "RequestTimeoutException" in run.saw(REQUEST_REPLY)["unanswered"]


def test_the_replier_learns_the_cluster_and_its_answers_are_kept(run: Run) -> None:
    saw = run.saw(REQUEST_REPLY)
    assert saw["clusters"] == ["DefaultCluster"]
    assert sorted(saw["stored"]) == sorted(f"re: {body}" for body in (*saw["answers"], *saw["called"]))
