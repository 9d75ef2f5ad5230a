"""Our own command line and the bare protocol, against the nodes of every engine."""

import json
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RequestTimeout
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.command import Command
from tests.interop.clusters import Cluster, rmqctl
from tests.interop.conftest import ClusterOf
from tests.interop.java_client import JavaClient, run_cases
from tests.interop.toolchains import require_tools

UNKNOWN_CODE = 4711
NAMESERVER_PORT, BROKER_PORT = 9876, 10911
"""Of the first of each, before the offset."""


@pytest.fixture
def cluster(engine: str, cluster_of: ClusterOf) -> Cluster:
    return cluster_of(engine)


@pytest.fixture
def topic() -> str:
    return f"cli-{uuid.uuid4().hex[:8]}"


def run(cluster: Cluster, *arguments: str) -> str:
    return rmqctl(*arguments, "--nameserver", cluster.nameserver_address)


def test_created_topic_is_routed_listed_and_described_until_it_is_deleted(cluster: Cluster, topic: str) -> None:
    run(cluster, "topic", "create", topic, "--queues", "3")
    assert topic in run(cluster, "topic", "list").splitlines()
    route = run(cluster, "topic", "route", topic)
    assert "broker-a" in route
    assert "broker-b" in route
    described = json.loads(run(cluster, "topic", "describe", topic, "--json"))
    assert len(described["queues"]) == 6
    run(cluster, "topic", "delete", topic, "--yes")
    assert topic not in run(cluster, "topic", "list").splitlines()


def test_sent_messages_are_tailed_with_tag_keys_and_properties(cluster: Cluster, topic: str) -> None:
    run(cluster, "topic", "create", topic, "--queues", "2")
    for number in range(6):
        run(cluster, "send", f"{topic}:paid", f"已付款 {number}", "--key", f"k{number}")
    lines = run(cluster, "tail", topic, "--from", "earliest", "-n", "6", "--json").splitlines()
    messages = [json.loads(line) for line in lines]
    assert sorted(message["body"] for message in messages) == [f"已付款 {number}" for number in range(6)]
    assert {message["tag"] for message in messages} == {"paid"}


def test_only_messages_with_the_tag_are_tailed(cluster: Cluster, topic: str) -> None:
    run(cluster, "topic", "create", topic, "--queues", "1")
    for tag in ("red", "blue", "red"):
        run(cluster, "send", f"{topic}:{tag}", f"a {tag} one")
    tailed = run(cluster, "tail", f"{topic}:red", "--from", "earliest", "-n", "2")
    assert tailed.count("a red one") == 2
    assert "blue" not in tailed


def test_many_messages_are_sent_in_every_mode_and_none_is_lost(cluster: Cluster, topic: str, tmp_path: Path) -> None:
    run(cluster, "topic", "create", topic, "--queues", "2")
    lines = tmp_path / "lines"
    lines.write_text("".join(f"第 {number} 行\n" for number in range(300)))
    for mode in ([], ["--async"], ["--oneway"]):
        summary = json.loads(run(cluster, "send", topic, f"@{lines}", "--lines", "-q", "--json", *mode))
        assert (summary["sent"], summary["failed"]) == (300, 0)
    tailed = run(cluster, "tail", topic, "--from", "earliest", "-n", "900", "--format", "raw")
    assert Counter(tailed.splitlines()) == Counter(3 * lines.read_text().splitlines())


def test_a_pipe_from_topic_to_topic_keeps_bytes_properties_keys_tag_and_flag(cluster: Cluster, topic: str) -> None:
    run(cluster, "topic", "create", topic, "--queues", "2")
    run(cluster, "topic", "create", f"{topic}-copy", "--queues", "2")
    messages = [
        {"body": "已付款", "tag": "支付", "keys": ["订单-7", "k2"], "flag": 42, "properties": {"买家": "buyer = 1"}},
        {"body_base64": "AP8QCg==", "flag": -1},
        {"body": {"long": "x" * 9000}, "properties": {"a": "b"}},
    ]
    tail = ("--from", "earliest", "--until", "now", "--format", "jsonl")
    send_lines(cluster, topic, "".join(json.dumps(message) + "\n" for message in messages))
    send_lines(cluster, f"{topic}-copy", run(cluster, "tail", topic, *tail))
    first, copied = (
        sorted(map(content, run(cluster, "tail", name, *tail).splitlines())) for name in (topic, f"{topic}-copy")
    )
    assert len(first) == 3
    assert copied == first


def content(line: str) -> str:
    """What must not change between two topics."""
    message = json.loads(line)
    kept = ("message_id", "tag", "keys", "body", "body_base64", "properties", "flag")
    return json.dumps([message[name] for name in kept], sort_keys=True)


def send_lines(cluster: Cluster, topic: str, lines: str) -> None:
    arguments = ["send", topic, "--format", "jsonl", "--nameserver", cluster.nameserver_address]
    subprocess.run([sys.executable, "-m", "rmqctl", *arguments], input=lines, text=True, timeout=60, check=True)


def test_a_transaction_is_delivered_if_and_only_if_it_is_committed(cluster: Cluster, topic: str) -> None:
    run(cluster, "topic", "create", topic, "--queues", "1")
    for decision in ("rollback", "unknown", "commit"):
        result = json.loads(run(cluster, "send", topic, decision, "--transaction", decision, "--json"))
        assert (result["status"], result["transaction"]) == ("SEND_OK", decision)
    assert run(cluster, "tail", topic, "--from", "earliest", "-n", "1", "--format", "raw") == "commit\n"
    assert run(cluster, "tail", topic, "--from", "earliest", "--until", "now", "--format", "raw") == "commit\n"


def test_tail_picks_out_by_end_place_key_and_expression(cluster: Cluster, topic: str) -> None:
    run(cluster, "topic", "create", topic, "--queues", "1")
    for number in range(4):
        for broker in ("broker-a", "broker-b"):
            place = ("--queue", f"{broker}:0", "--key", f"k{number}", "--prop", f"price={number}")
            run(cluster, "send", topic, f"{broker[-1]}{number}", *place)

    def bodies(*options: str) -> list[str]:
        return run(cluster, "tail", topic, "--until", "now", "--format", "raw", *options).split()

    assert bodies("--from", "earliest") == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]
    assert bodies("--last", "1") == ["a3", "b3"]
    assert bodies("--from", "earliest", "--queue", "broker-b:0") == ["b0", "b1", "b2", "b3"]
    assert bodies("--from", "earliest", "--key", "k2") == ["a2", "b2"]
    assert bodies("--from", "earliest", "--sql", "price BETWEEN 1 AND 2") == ["a1", "b1", "a2", "b2"]


def test_messages_are_found_by_both_ids_by_key_and_by_offset(cluster: Cluster, topic: str) -> None:
    run(cluster, "topic", "create", topic, "--queues", "1")
    sent = json.loads(run(cluster, "send", topic, "one", "--key", "k1", "--json"))
    place = ("--queue", f"{sent['broker']}:{sent['queue_id']}", "--offset", str(sent["queue_offset"]))
    for arguments in (
        [sent["offset_message_id"]],
        ["--topic", topic, *place],
        ["--topic", topic, "--key", "k1"],
        [sent["message_id"], "--topic", topic],
    ):
        found = json.loads(run(cluster, "message", "get", *arguments, "--json"))
        assert (found["body"], found["message_id"]) == ("one", sent["message_id"])


def test_a_group_is_followed_moved_and_made_to_consume_again(cluster: Cluster, topic: str) -> None:
    group = f"g-{topic}"
    run(cluster, "topic", "create", topic, "--queues", "1")
    run(cluster, "group", "create", group, "--retries", "3")
    assert group in run(cluster, "group", "list").splitlines()
    for number in range(6):
        run(cluster, "send", topic, f"{number}", "--queue", "broker-a:0")
    as_member = ("tail", topic, "--group", group, "--from", "earliest", "--format", "raw")
    assert run(cluster, *as_member, "-n", "6").split() == list("012345")
    assert json.loads(run(cluster, "group", "lag", group, "--json"))["lag"] == 0
    moved = json.loads(run(cluster, "group", "reset-offset", group, topic, "--by", "-2", "--yes", "--json"))
    first = moved["queues"][0]
    assert (first["broker"], first["old_offset"], first["new_offset"]) == ("broker-a", 6, 4)
    with member_of(cluster, *as_member) as member:
        assert [next_line(member) for _ in range(2)] == ["4", "5"]
        described = json.loads(run(cluster, "group", "describe", group, "--json"))
        assert len(described["online"]["members"]) == 1
        assert described["configuration"]["broker-a"]["retryMaxTimes"] == 3
        sent = json.loads(run(cluster, "send", topic, "again", "--queue", "broker-a:0", "--json"))
        assert next_line(member) == "again"
        resent = json.loads(run(cluster, "message", "resend", sent["offset_message_id"], "--group", group, "--json"))
        assert resent["result"]["result"] == "CR_SUCCESS"
        assert next_line(member) == "again"
        run(cluster, "message", "resend", sent["offset_message_id"], "--group", group, "--retry")
        assert next_line(member) == "again"
        # Its brokers tell the member, which goes on at the new offsets by itself.
        run(cluster, "group", "reset-offset", group, topic, "--to", "earliest", "--yes")
        assert [next_line(member) for _ in range(7)] == [*"012345", "again"]


def test_a_group_is_deleted_again(cluster: Cluster, topic: str) -> None:
    # Without members: Apache's broker makes a group anew when a pull that it held for one of them ends.
    run(cluster, "group", "create", f"g-{topic}")
    assert f"g-{topic}" in run(cluster, "group", "list").splitlines()
    run(cluster, "group", "delete", f"g-{topic}", "--yes")
    assert f"g-{topic}" not in run(cluster, "group", "list").splitlines()


@contextmanager
def member_of(cluster: Cluster, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until the block ends."""
    command = [sys.executable, "-m", "rmqctl", *arguments, "--nameserver", cluster.nameserver_address]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line that a command prints; a hang ends with the time limit of the test."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_the_trace_of_a_java_client_is_told(cluster: Cluster, tmp_path: Path) -> None:
    require_tools("java", "mvn")
    line = run_cases(JavaClient("4.9.7"), cluster, ["message_trace"], tmp_path)["message_trace"]
    assert line["ok"], line.get("error")
    saw = line["saw"]
    events = json.loads(run(cluster, "message", "trace", saw["messageId"], "--json"))["events"]
    assert [event["kind"] for event in events] == ["sent", "consuming", "consumed"]
    assert [event["success"] for event in events] == [True, None, True]
    assert events[0]["body_size_bytes"] == len("traced")
    assert {event["group"] for event in events[1:]} == {saw["group"]}
    assert events[1]["timestamp"] <= events[2]["timestamp"]
    assert "TOOK" in run(cluster, "message", "trace", saw["messageId"])


@pytest.mark.parametrize("port", [NAMESERVER_PORT, BROKER_PORT])
async def test_unknown_request_is_answered_by_our_nodes_and_met_with_silence_by_apaches(
    cluster: Cluster, port: int
) -> None:
    # We deviate on purpose: a client that waits for an answer that never comes learns nothing.
    first = int(cluster.nameserver_address.partition(";")[0].rpartition(":")[2])
    address = f"127.0.0.1:{first - NAMESERVER_PORT + port}"
    async with RemotingClient() as client:
        if cluster.engine == "apache":
            with pytest.raises(RequestTimeout):
                await client.request(address, Command(code=UNKNOWN_CODE), timeout_seconds=1)
        else:
            answer = await client.request(address, Command(code=UNKNOWN_CODE))
            assert answer.code == ResponseCode.REQUEST_CODE_NOT_SUPPORTED
