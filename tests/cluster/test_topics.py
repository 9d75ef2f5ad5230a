"""`rmqctl topic …` on a running cluster."""

import json
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def cluster(cli: Any) -> Iterator[Any]:
    """Two masters, two nameservers."""
    cli.up("--profile", "2m-2s")
    yield cli
    cli.run("down")


def result(done: Any) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def nameservers(cluster: Any) -> list[str]:
    return [node["address"] for node in cluster.status()["nodes"] if node["role"] == "nameserver"]


def test_a_created_topic_is_routed_by_every_nameserver_with_the_asked_counts(cluster: Any) -> None:
    done = cluster.run("topic", "create", "orders", "--read-queues", "4", "--write-queues", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "topic orders: 4 read and 2 write queues on each of 2 masters (broker-a, broker-b),"
        " 4 to write and 8 to read in all\n"
    )
    for nameserver in nameservers(cluster):
        route = result(cluster.run("topic", "route", "orders", "--json", "--nameserver", nameserver))
        assert [
            (part["broker"], part["read_queues"], part["write_queues"], part["permission"]) for part in route["brokers"]
        ] == [("broker-a", 4, 2, 6), ("broker-b", 4, 2, 6)]
    queues = result(cluster.run("topic", "describe", "orders", "--json"))["queues"]
    assert [(queue["broker"], queue["queue_id"]) for queue in queues] == [
        (broker, queue_id) for broker in ("broker-a", "broker-b") for queue_id in range(4)
    ]


def test_create_is_safe_to_repeat_and_changes_counts_and_permission(cluster: Any) -> None:
    for queues, permission in (("1", "rw"), ("1", "rw"), ("3", "r")):
        done = cluster.run("topic", "create", "orders", "--queues", queues, "--perm", permission)
        assert done.returncode == 0, done.stderr
    (part, _) = result(cluster.run("topic", "route", "orders", "--json"))["brokers"]
    assert (part["read_queues"], part["write_queues"], part["permission"]) == (3, 3, 4)
    refused = cluster.run("send", "orders", "x")
    assert refused.returncode == 1
    assert "no broker takes messages for topic orders" in refused.stderr


def test_a_topic_on_one_broker_is_routed_there_only(cluster: Any) -> None:
    created = result(cluster.run("topic", "create", "one", "--queues", "1", "--broker", "broker-b", "--json"))
    assert list(created["masters"]) == ["broker-b"]
    (part,) = result(cluster.run("topic", "route", "one", "--json"))["brokers"]
    assert part["broker"] == "broker-b"


def test_an_ordered_topic_survives_in_the_order_configuration(cluster: Any) -> None:
    assert cluster.run("topic", "create", "ordered", "--queues", "2", "--order").returncode == 0
    stored = [
        path.read_text()
        for path in cluster.home.rglob("kvConfig.json")
        if "ordered" in path.read_text(errors="replace")
    ]
    assert len(stored) == 2, "each nameserver keeps it"
    assert all("broker-a:2;broker-b:2" in text for text in stored)


def test_list_shows_what_users_made_and_everything_with_all(cluster: Any) -> None:
    cluster.run("topic", "create", "b-topic", "--queues", "1")
    cluster.run("topic", "create", "a-topic", "--queues", "1")
    listed = cluster.run("topic", "list")
    assert listed.stdout.splitlines() == ["a-topic", "b-topic"]
    assert "--all shows them" in listed.stderr
    kinds = {
        topic["name"]: topic["kind"] for topic in result(cluster.run("topic", "list", "--all", "--json"))["topics"]
    }
    assert kinds["a-topic"] == "user"
    assert kinds["TBW102"] == kinds["broker-a"] == kinds["DefaultCluster"] == "system"


def test_a_deleted_topic_is_gone_from_brokers_and_nameservers(cluster: Any) -> None:
    cluster.run("topic", "create", "orders", "--queues", "1")
    cluster.run("send", "orders", "x")
    unanswered = cluster.run("topic", "delete", "orders")
    assert unanswered.returncode == 2
    assert "--yes" in unanswered.stderr
    done = cluster.run("topic", "delete", "orders", "--yes")
    assert done.returncode == 0, done.stderr
    assert "cluster rmqctl" in done.stderr, "the target is named"
    for nameserver in nameservers(cluster):
        assert cluster.run("topic", "route", "orders", "--nameserver", nameserver).returncode == 1
    assert cluster.run("topic", "delete", "orders", "--yes").returncode == 1
    assert cluster.run("send", "orders", "x").returncode == 1
    assert cluster.run("topic", "create", "orders", "--queues", "1").returncode == 0
    assert cluster.run("send", "orders", "again").stdout.split()[-4:] == ["0", "offset", "0", "SEND_OK"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["topic", "create", "a b", "--queues", "1"], 2, "illegal character"),
        (["topic", "create", "x" * 128, "--queues", "1"], 2, "128 characters"),
        (["topic", "create", "TBW102", "--queues", "1"], 2, "system topic"),
        (["topic", "create", "orders", "--queues", "0"], 2, "can't have 0 read queues"),
        (["topic", "create", "orders", "--queues", "-1"], 2, "can't have -1 read queues"),
        (["topic", "create", "orders"], 2, "how many queues"),
        (["topic", "create", "orders", "--queues", "1", "--read-queues", "1"], 2, "--queues was given together"),
        (["topic", "create", "orders", "--queues", "1", "--perm", "x"], 2, "no permission"),
        (["topic", "route", "nothing"], 3, "no answer from nameserver"),
        (["topic", "create", "orders", "--queues", "1"], 3, "no answer from nameserver"),
        (["send", "orders", "x"], 3, "no answer from nameserver"),
        (["tail", "orders"], 3, "no answer from nameserver"),
        (["tail", "orders", "--from", "tomorrow"], 2, "no place to start from"),
        (["send", "a:b:c", "x"], 2, "more than one tag"),
    ],
)
def test_a_mistake_is_one_sentence_an_exit_code_and_no_traceback(
    cli: Any, arguments: list[str], exit_code: int, words: str
) -> None:
    done = cli.run(*arguments, "--nameserver", f"127.0.0.1:{cli.port_offset + 9876}")
    assert done.returncode == exit_code
    assert done.stdout == ""
    assert words in done.stderr
    assert done.stderr.startswith("rmqctl: error: ")
    assert "\n  try: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_topic_without_a_route_says_how_to_create_it(cluster: Any) -> None:
    for arguments in (["topic", "route"], ["topic", "describe"], ["tail"]):
        done = cluster.run(*arguments, "nothing")
        assert done.returncode == 1
        assert "topic nothing has no route" in done.stderr
        assert "rmqctl topic create nothing" in done.stderr
