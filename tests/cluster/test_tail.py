"""What `rmqctl tail` picks out and how it prints it."""

import json
from typing import Any


def lines_of(done: Any) -> list[Any]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_end_as_of_now_ends_tail_even_while_messages_come_in(shared_cluster: Any, topic: str) -> None:
    shared_cluster.run("send", topic, "old", "--count", "5")
    sender = shared_cluster.start("send", topic, "new", "--count", "2000", "--json")
    try:
        assert sender.stdout is not None
        sender.stdout.readline()
        read = lines_of(shared_cluster.run("tail", topic, "--from", "earliest", "--until", "now", "--json"))
        assert 6 <= len(read) < 2005
        assert sum(message["body"] == "old" for message in read) == 5
    finally:
        sender.terminate()
        sender.communicate(timeout=10)


def test_last_queue_and_key_choose_messages(shared_cluster: Any, topic: str) -> None:
    for number in range(3):
        shared_cluster.run("send", topic, f"a{number}", "--queue", "broker-a:0", "--key", f"k{number}")
        shared_cluster.run("send", topic, f"b{number}", "--queue", "broker-b:1", "--key", f"k{number}")

    def bodies(*options: str) -> list[str]:
        done = shared_cluster.run("tail", topic, "--until", "now", "--format", "raw", *options)
        assert done.returncode == 0, done.stderr
        return str(done.stdout).split()

    assert bodies("--last", "1") == ["a2", "b2"]
    assert bodies("--from", "earliest", "--queue", "broker-b:1") == ["b0", "b1", "b2"]
    assert bodies("--from", "earliest", "--key", "k1") == ["a1", "b1"]
    assert bodies("--from", "earliest", "--key", "k0", "--key", "k2", "-n", "3") == ["a0", "b0", "a2"]
    refused = shared_cluster.run("tail", topic, "--queue", "7")
    assert refused.returncode == 1
    assert "broker-a 0 to 1, broker-b 0 to 1" in refused.stderr


def test_a_template_prints_what_it_says(shared_cluster: Any, topic: str) -> None:
    shared_cluster.run("send", f"{topic}:paid", "已付款", "--key", "k1", "--prop", "region=eu", "--queue", "broker-a:1")
    done = shared_cluster.run(
        "tail",
        topic,
        "--from",
        "earliest",
        "--until",
        "now",
        "--template",
        "{broker}:{queue} {tag} {prop.region}={body}",
    )
    assert done.stdout == "broker-a:1 paid eu=已付款\n"
