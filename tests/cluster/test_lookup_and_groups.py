"""`rmqctl message` and `rmqctl group` on a running cluster."""

import json
from typing import Any


def lines_of(done: Any) -> list[Any]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_messages_are_found_by_both_ids_by_key_and_by_offset(shared_cluster: Any, topic: str) -> None:
    (sent,) = lines_of(shared_cluster.run("send", f"{topic}:paid", "one", "--key", "k1", "--json"))
    shared_cluster.run("send", topic, "other", "--key", "k2")
    place = ("--queue", f"{sent['broker']}:{sent['queue_id']}", "--offset", str(sent["queue_offset"]))
    for arguments in (
        [sent["message_id"]],
        [sent["message_id"], "--topic", topic],
        [sent["offset_message_id"]],
        ["--topic", topic, "--key", "k1"],
        ["--topic", topic, *place],
    ):
        (found,) = lines_of(shared_cluster.run("message", "get", *arguments, "--json"))
        assert (found["body"], found["message_id"]) == ("one", sent["message_id"]), arguments
    nobody = shared_cluster.run("message", "get", "7F00000100001388000000000BADCAFE")
    assert nobody.returncode == 1
    assert "there is no message" in nobody.stderr
    assert shared_cluster.run("message", "get", "--key", "k1").returncode == 2


def test_a_group_is_created_listed_moved_and_deleted(shared_cluster: Any, topic: str) -> None:
    for _ in range(4):
        shared_cluster.run("send", topic, "x", "--queue", "broker-a:0")
    assert "no broker has a group billing" in shared_cluster.run("group", "describe", "billing").stderr
    assert shared_cluster.run("group", "create", "billing", "--retries", "3").returncode == 0
    assert shared_cluster.run("group", "list").stdout.split() == ["billing"]
    described = json.loads(shared_cluster.run("group", "describe", "billing", "--json").stdout)
    assert described["configuration"]["broker-b"]["retryMaxTimes"] == 3
    assert described["online"]["members"] == []
    refused = shared_cluster.run("group", "reset-offset", "billing", topic, "--to", "latest")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    dry = json.loads(
        shared_cluster.run("group", "reset-offset", "billing", topic, "--to", "latest", "--dry-run", "--json").stdout
    )
    assert dry["changed"] is False
    assert dry["queues"][0]["new_offset"] == 4
    moved = shared_cluster.run("group", "reset-offset", "billing", topic, "--to", "latest", "--yes")
    assert moved.returncode == 0, moved.stderr
    lag = json.loads(shared_cluster.run("group", "lag", "billing", "--json").stdout)
    assert lag["lag"] == 0
    back = shared_cluster.run(
        "group", "reset-offset", "billing", topic, "--by", "-3", "--queue", "broker-a:0", "--yes", "--json"
    )
    assert [(q["old_offset"], q["new_offset"]) for q in json.loads(back.stdout)["queues"]] == [(4, 1)]
    summary = json.loads(shared_cluster.run("group", "lag", "--json").stdout)
    assert summary["groups"] == [{"group": "billing", "members": 0, "lag": 3, "retry_lag": 0, "tps": 0.0}]
    assert shared_cluster.run("group", "delete", "billing", "--yes").returncode == 0
    assert shared_cluster.run("group", "list").stdout == ""
    assert shared_cluster.run("group", "reset-offset", "billing", topic, "--to", "earliest", "--yes").returncode == 1
