"""`rmqctl send` and `rmqctl tail` on a running cluster."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def cluster(cli: Any) -> Iterator[Any]:
    """Two masters with a topic of two queues on each."""
    cli.up("--profile", "2m-noslave")
    assert cli.run("topic", "create", "orders", "--queues", "2").returncode == 0
    yield cli
    cli.run("down")


def lines_of(done: Any) -> list[Any]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_was_sent_is_tailed_with_everything_it_carried(shared_cluster: Any, topic: str) -> None:
    body = '{"id": 7, "note": "已付款"}'
    (sent,) = lines_of(
        shared_cluster.run(
            "send", f"{topic}:paid", body, "--format", "json", "--key", "k1", "--key", "k2", "--prop", "a=b=c", "--json"
        )
    )
    assert sent["status"] == "SEND_OK"
    (read,) = lines_of(shared_cluster.run("tail", topic, "--from", "earliest", "-n", "1", "--json"))
    for member in ("topic", "broker", "queue_id", "queue_offset", "message_id", "offset_message_id"):
        assert read[member] == sent[member], member
    assert (read["body"], read["tag"], read["keys"]) == (body, "paid", ["k1", "k2"])
    assert read["properties"]["a"] == "b=c"


def test_messages_of_all_queues_and_masters_come_in_order_of_store_time(shared_cluster: Any, topic: str) -> None:
    sent = lines_of(shared_cluster.run("send", topic, "x", "--count", "40", "--json"))
    assert len({(result["broker"], result["queue_id"]) for result in sent}) == 4
    read = lines_of(shared_cluster.run("tail", topic, "--from", "earliest", "-n", "40", "--json"))
    assert {message["message_id"] for message in read} == {result["message_id"] for result in sent}
    times = [message["store_timestamp"] for message in read]
    assert times == sorted(times)


def test_tail_follows_from_latest_says_so_and_ends_with_code_0_on_ctrl_c(shared_cluster: Any, topic: str) -> None:
    shared_cluster.run("send", topic, "old")
    tail = shared_cluster.start("tail", topic, "--json")
    assert tail.stderr is not None
    assert tail.stdout is not None
    assert f"tailing {topic} from the latest message on: 4 queues on broker-a, broker-b" in tail.stderr.readline()
    for text in ("one", "two", "three"):
        shared_cluster.run("send", f"{topic}:t", text)
        assert json.loads(tail.stdout.readline())["body"] == text
    tail.send_signal(signal.SIGINT)
    rest, errors = tail.communicate(timeout=10)
    assert (tail.returncode, rest, errors) == (0, "", "")


def test_tail_of_a_quiet_topic_ends_quietly_when_its_reader_goes_away(shared_cluster: Any, topic: str) -> None:
    shared_cluster.run("send", topic, "only one")
    tail = shared_cluster.start("tail", topic, "--from", "earliest")
    assert tail.stdout is not None
    assert tail.stderr is not None
    assert tail.stdout.readline().endswith("only one\n")
    tail.stdout.close()
    assert tail.wait(timeout=10) == 0
    assert len(tail.stderr.read().splitlines()) == 1
    tail.stderr.close()


def test_tags_and_times_choose_messages(shared_cluster: Any, topic: str) -> None:
    for tag in ("a", "b", "c"):
        shared_cluster.run("send", f"{topic}:{tag}", tag)
    read = lines_of(shared_cluster.run("tail", f"{topic}:a||c", "--from", "-10m", "-n", "2", "--json"))
    assert [message["body"] for message in read] == ["a", "c"]
    since = (
        lines_of(shared_cluster.run("tail", topic, "--from", "earliest", "-n", "3", "--json"))[1]["store_timestamp"]
        / 1000
    )
    from datetime import UTC, datetime

    text = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds")
    read = lines_of(shared_cluster.run("tail", topic, "--from", text, "-n", "2", "--json"))
    assert [message["body"] for message in read] == ["b", "c"]


def test_tail_leaves_no_group_and_no_offset_behind(cluster: Any) -> None:
    cluster.run("send", "orders", "x")
    lines_of(cluster.run("tail", "orders", "--from", "earliest", "-n", "1", "--json"))
    cluster.run("down")
    for path in cluster.home.rglob("consumerOffset.json"):
        assert "orders" not in path.read_text()
    groups = [json.loads(path.read_text()) for path in cluster.home.rglob("subscriptionGroup.json")]
    for table in groups:
        assert set(table["subscriptionGroupTable"]) <= {
            "TOOLS_CONSUMER",
            "FILTERSRV_CONSUMER",
            "SELF_TEST_C_GROUP",
            "CID_ONS-HTTP-PROXY",
            "CID_ONSAPI_PULL",
            "CID_ONSAPI_PERMISSION",
            "CID_ONSAPI_OWNER",
        }


def test_tail_goes_on_after_a_broker_was_killed_and_is_back(cluster: Any, wait_until: Any) -> None:
    tail = cluster.start("tail", "orders", "--json")
    assert tail.stderr is not None
    assert tail.stdout is not None
    tail.stderr.readline()
    os.kill(cluster.pids()["broker-a-0"], signal.SIGKILL)
    assert "trying again" in tail.stderr.readline()
    wait_until(
        lambda: cluster.run("send", "orders", "back", "--queue", "broker-a:0").returncode == 0, "broker-a is back"
    )
    message = json.loads(tail.stdout.readline())
    assert (message["body"], message["broker"]) == ("back", "broker-a")
    assert "broker-a answers again" in tail.stderr.readline()
    tail.terminate()
    assert tail.wait(timeout=10) == 0
    tail.communicate()


def test_a_line_is_harmless_on_a_terminal_and_raw_gives_the_bytes(
    shared_cluster: Any, topic: str, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_bytes("\x1b[31m红\x07".encode())
    assert shared_cluster.run("send", f"{topic}:t", f"@{body}").returncode == 0
    command = [sys.executable, "-m", "rmqctl", "tail", topic, "--from", "earliest", "-n", "1"]
    raw = subprocess.run(
        [*command, "--format", "raw"], env=shared_cluster.environment, capture_output=True, timeout=30, check=True
    )
    assert raw.stdout == "\x1b[31m红\x07\n".encode()
    shown = {}
    for colours in ("", "no"):
        controller, terminal = pty.openpty()
        environment = {**shared_cluster.environment, "TERM": "xterm", "NO_COLOR": colours}
        subprocess.run(command, env=environment, stdout=terminal, stderr=subprocess.DEVNULL, timeout=30, check=True)
        os.close(terminal)
        shown[colours] = os.read(controller, 65_536).rstrip()
        os.close(controller)
        assert shown[colours].endswith(r"  \x1b[31m红\x07".encode())
    assert b"\x1b" not in shown["no"]
    assert shown[""].count(b"\x1b[0m") == 3


def test_a_body_comes_from_standard_input_too_and_a_missing_one_at_a_terminal_is_an_error(
    shared_cluster: Any, topic: str
) -> None:
    assert shared_cluster.run("send", topic, stdin="from a pipe").returncode == 0
    assert shared_cluster.run("send", topic, "-", stdin="from a dash").returncode == 0
    bodies = [
        line["body"] for line in lines_of(shared_cluster.run("tail", topic, "--from", "earliest", "-n", "2", "--json"))
    ]
    assert bodies == ["from a pipe", "from a dash"]
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "rmqctl", "send", topic]
    done = subprocess.run(
        command, env=shared_cluster.environment, stdin=terminal, capture_output=True, text=True, timeout=30, check=False
    )
    os.close(terminal)
    os.close(controller)
    assert done.returncode == 2
    assert "the message body is missing" in done.stderr
    assert "rmqctl send TOPIC[:TAG]" in done.stderr


def test_an_unknown_topic_is_refused_unless_it_may_be_created(shared_cluster: Any, topic: str) -> None:
    refused = shared_cluster.run("send", "unheard", "x")
    assert refused.returncode == 1
    assert "unheard" not in shared_cluster.run("topic", "list").stdout
    created = shared_cluster.run("send", "unheard", "x", "--create")
    assert created.returncode == 0, created.stderr
    assert "created topic unheard: 4 queues on each of broker-a, broker-b" in created.stderr
    assert shared_cluster.run("send", "unheard", "y", "--create").stderr == ""


def test_a_queue_can_be_named_and_the_error_lists_those_there_are(shared_cluster: Any, topic: str) -> None:
    results = lines_of(shared_cluster.run("send", topic, "x", "--queue", "broker-b:1", "--count", "3", "--json"))
    assert [(one["broker"], one["queue_id"], one["queue_offset"]) for one in results] == [
        ("broker-b", 1, offset) for offset in range(3)
    ]
    refused = shared_cluster.run("send", topic, "x", "--queue", "2")
    assert refused.returncode == 2
    assert "broker-a 0 to 1, broker-b 0 to 1" in refused.stderr


def test_stored_without_a_slave_has_an_exit_code_of_its_own(cli: Any) -> None:
    cli.up("--profile", "2m-noslave", "--set", "brokerRole=SYNC_MASTER")
    cli.run("topic", "create", "orders", "--queues", "1")
    done = cli.run("send", "orders", "x", "--json")
    assert done.returncode == 5, done.stderr
    assert json.loads(done.stdout)["status"] == "SLAVE_NOT_AVAILABLE"
    assert "stored, but no slave is there to confirm it" in done.stderr
    (read,) = lines_of(cli.run("tail", "orders", "--from", "earliest", "-n", "1", "--json"))
    assert read["body"] == "x"
    cli.run("down")


def test_commands_work_while_one_of_two_nameservers_is_gone(cli: Any) -> None:
    cli.up("--profile", "2m-2s")
    cli.run("topic", "create", "orders", "--queues", "1")
    addresses = [node["address"] for node in cli.status()["nodes"] if node["role"] == "nameserver"]
    dead_first = f"127.0.0.1:1,{addresses[1]}"
    assert cli.run("send", "orders", "x", "--nameserver", dead_first).returncode == 0
    (read,) = lines_of(cli.run("tail", "orders", "--from", "earliest", "-n", "1", "--json", "--nameserver", dead_first))
    assert read["body"] == "x"
    incomplete = cli.run("topic", "create", "more", "--queues", "1", "--nameserver", dead_first, "--timeout", "1")
    assert incomplete.returncode == 4
    assert "127.0.0.1:1" in incomplete.stderr
    cli.run("down")
