"""Transactional messages of the official Java client, on our nodes and on Apache's."""

from collections import Counter

from tests.interop.java_run import Run

CHECK_MAX = 8
"""`transactionCheckMax` of the clusters that the cases run on."""


def test_what_was_committed_is_delivered_once_and_nothing_else(run: Run) -> None:
    saw = run.saw("transactions")
    assert {sent["status"] for sent in saw["sent"]} == {"SEND_OK"}
    delivered = ("commit ", "throw ", "later-commit ")
    assert Counter(saw["received"]) == Counter(s["body"] for s in saw["sent"] if s["body"].startswith(delivered))


def test_only_undecided_messages_are_asked_about_and_each_question_is_counted(run: Run) -> None:
    saw = run.saw("transactions")
    undecided = {sent["body"] for sent in saw["sent"] if not sent["body"].startswith(("commit ", "rollback "))}
    assert set(saw["checks"]) == undecided
    for body, times in saw["checks"].items():
        asked = CHECK_MAX if body.startswith("never ") else 1
        assert times == [str(number) for number in range(1, asked + 1)], body
    assert len(set(saw["topics_in_checks"])) == 1


def test_what_nobody_decides_is_given_up_and_kept(run: Run) -> None:
    saw = run.saw("transactions")
    assert Counter(saw["given_up"]) == Counter(s["body"] for s in saw["sent"] if s["body"].startswith("never "))


def test_a_message_is_not_asked_about_before_its_immunity_is_over(run: Run) -> None:
    saw = run.saw("transaction_immunity")
    assert [body for bodies in saw["stored"].values() for body in bodies] == ["later-commit patient"]
    assert saw["first_check_after_ms"] >= 5000  # the others are asked about after 3 s
