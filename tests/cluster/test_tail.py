"""What `rmqctl tail` picks out and how it prints it."""

import json
import signal
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
    assert refused.returncode == 2
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


def test_a_member_of_a_group_goes_on_where_the_one_before_ended(shared_cluster: Any, topic: str) -> None:
    for number in range(6):
        shared_cluster.run("send", topic, f"{number}", "--queue", "broker-a:0")
    as_member = ("tail", topic, "--group", f"g-{topic}", "--from", "earliest", "--json")
    first = lines_of(shared_cluster.run(*as_member, "-n", "4"))
    rest = lines_of(shared_cluster.run(*as_member, "-n", "2"))
    assert [message["body"] for message in first + rest] == list("012345")
    lag = json.loads(shared_cluster.run("group", "lag", f"g-{topic}", "--json").stdout)
    assert lag["lag"] == 0


def test_ctrl_c_keeps_the_offsets_of_a_member(shared_cluster: Any, topic: str) -> None:
    shared_cluster.run("send", topic, "one")
    member = shared_cluster.start("tail", topic, "--group", f"g-{topic}", "--from", "earliest", "--format", "raw")
    assert member.stdout is not None
    assert member.stdout.readline() == "one\n"
    described = json.loads(shared_cluster.run("group", "describe", f"g-{topic}", "--json").stdout)
    assert [(each["topic"], each["expression"]) for each in described["online"]["subscriptions"]] == [
        (f"%RETRY%g-{topic}", "*"),
        (topic, "*"),
    ]
    member.send_signal(signal.SIGINT)
    rest, errors = member.communicate(timeout=20)
    assert (member.returncode, rest) == (0, "")
    assert "Traceback" not in errors
    after = json.loads(shared_cluster.run("group", "describe", f"g-{topic}", "--json").stdout)
    assert (after["online"]["members"], after["lag"]) == ([], 0)


def test_a_member_whose_reader_goes_away_ends_quietly_and_consumes_no_more(shared_cluster: Any, topic: str) -> None:
    shared_cluster.run("send", topic, "x" * 5000, "--count", "100")
    member = shared_cluster.start("tail", topic, "--group", f"g-{topic}", "--from", "earliest", "--format", "raw")
    assert member.stdout is not None
    assert member.stderr is not None
    assert member.stdout.readline() == "x" * 5000 + "\n"
    member.stdout.close()
    assert member.wait(timeout=30) == 0
    assert len(member.stderr.read().splitlines()) == 1
    member.stderr.close()
    lag = json.loads(shared_cluster.run("group", "lag", f"g-{topic}", "--json").stdout)
    assert lag["lag"] > 50


def test_a_group_does_not_go_with_what_would_lose_messages_to_it(shared_cluster: Any, topic: str) -> None:
    for options in (["--last", "1"], ["--until", "now"], ["--queue", "0"], ["--key", "k"]):
        refused = shared_cluster.run("tail", topic, "--group", "g", *options)
        assert refused.returncode == 2
        assert f"{options[0]} and --group do not go together" in refused.stderr


def test_an_sql_expression_chooses_messages(shared_cluster: Any, topic: str) -> None:
    for price in (5, 15, 25):
        shared_cluster.run("send", topic, f"{price}", "--prop", f"price={price}")
    chosen = shared_cluster.run(
        "tail", topic, "--from", "earliest", "--until", "now", "--sql", "price > 10", "--format", "raw"
    )
    assert chosen.stdout.split() == ["15", "25"], chosen.stderr
    wrong = shared_cluster.run("tail", topic, "--sql", "price >", "--from", "earliest", "--until", "now")
    assert wrong.returncode == 1
    assert shared_cluster.run("tail", f"{topic}:a", "--sql", "price > 1").returncode == 2


def test_a_remapped_address_is_where_the_broker_is_reached(shared_cluster: Any, topic: str) -> None:
    route = json.loads(shared_cluster.run("topic", "route", topic, "--json").stdout)
    first, second = (part["addresses"]["0"] for part in route["brokers"])
    # What goes to the address of one broker comes out at the other one.
    swapped = ("--remap", f"{first}={second}")
    shared_cluster.run("send", topic, "here", "--queue", "broker-b:0")
    done = shared_cluster.run(
        "tail", topic, "--queue", "broker-a:0", "--from", "earliest", "-n", "1", "--format", "raw", *swapped
    )
    assert done.stdout == "here\n", done.stderr
    nowhere = shared_cluster.run("tail", topic, "--remap", f"{first}=127.0.0.1:1", "--until", "now")
    assert nowhere.returncode == 3
    assert "reached as 127.0.0.1:1" in nowhere.stderr
    assert shared_cluster.run("group", "list", "--remap", "nonsense").returncode == 2
