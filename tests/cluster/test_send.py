"""`rmqctl send` of many messages, and messages that go from one topic to another without losing anything."""

import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import msgspec
import trio
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from rmqctl.client import Message, Producer
from rmqctl.client.message import RESERVED_PROPERTIES

_TEXT = st.text(st.characters(exclude_characters="\x01\x02", exclude_categories=("Cs",)), min_size=1, max_size=12)
_NAME = _TEXT.filter(lambda name: name not in RESERVED_PROPERTIES)
_KEY = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=8)
_TAG = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
_MESSAGES = st.lists(
    st.builds(
        Message,
        topic=st.just(""),
        body=st.binary(min_size=1, max_size=60) | _TEXT.map(str.encode),
        tag=st.none() | _TAG,
        keys=st.lists(_KEY, max_size=3).map(tuple),
        properties=st.dictionaries(_NAME, _TEXT, max_size=4),
        flag=st.integers(-(2**31), 2**31 - 1),
    ),
    min_size=5,
    max_size=12,
)


def read(cluster: Any, topic: str) -> list[Any]:
    done = cluster.run("tail", topic, "--from", "earliest", "--until", "now", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    # Of bytes: lines of texts also end at U+0085 and U+2028, which JSON leaves as they are.
    return [json.loads(line) for line in done.stdout.encode().splitlines()]


def created(cluster: Any) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    assert cluster.run("topic", "create", name, "--queues", "2").returncode == 0
    return name


def nameserver_of(cluster: Any) -> str:
    return ";".join(node["address"] for node in cluster.status()["nodes"] if node["role"] == "nameserver")


async def send_all(nameserver: str, topic: str, messages: list[Message]) -> None:
    async with Producer("tests", nameserver=nameserver) as producer:
        for index, message in enumerate(messages):
            # Every other one is long enough to be compressed.
            body = message.body * 5000 if index % 2 else message.body
            await producer.send(msgspec.structs.replace(message, topic=topic, body=body))


@example(messages=[Message("", "\x85 \u2028 \x0b".encode(), properties={"line": "\x85\u2029\x1c"})])
@settings(max_examples=4, phases=(Phase.explicit, Phase.generate))
@given(messages=_MESSAGES)
def test_a_pipe_from_topic_to_topic_loses_nothing(shared_cluster: Any, messages: list[Message]) -> None:
    one, other = created(shared_cluster), created(shared_cluster)
    trio.run(send_all, nameserver_of(shared_cluster), one, messages)
    command = [sys.executable, "-m", "rmqctl"]
    tail = subprocess.Popen(
        [*command, "tail", one, "--from", "earliest", "--until", "now", "--format", "jsonl"],
        env=shared_cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    done = subprocess.run(
        [*command, "send", other, "--format", "jsonl"],
        env=shared_cluster.environment,
        stdin=tail.stdout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (tail.wait(timeout=10), done.returncode) == (0, 0), done.stderr
    assert tail.stdout is not None
    tail.stdout.close()

    def content(topic: str) -> list[str]:
        kept = ("message_id", "tag", "keys", "body", "body_base64", "properties", "flag")
        return sorted(json.dumps([line[name] for name in kept], sort_keys=True) for line in read(shared_cluster, topic))

    assert len(content(one)) == len(messages)
    assert content(one) == content(other)


def test_each_line_is_a_message_and_a_summary_tells_of_them(shared_cluster: Any, topic: str, tmp_path: Path) -> None:
    lines = [f"第 {number} 行" for number in range(200)]
    file = tmp_path / "lines"
    file.write_text("\n".join(lines) + "\n\n")
    done = shared_cluster.run("send", f"{topic}:t", f"@{file}", "--lines", "--async", "--prop", "from=file")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sent 200, failed 0, in ")
    assert "p99" in done.stdout
    assert done.stderr == "1 empty line was passed over\n"
    messages = read(shared_cluster, topic)
    assert sorted(message["body"] for message in messages) == sorted(lines)
    assert {(message["tag"], message["properties"]["from"]) for message in messages} == {("t", "file")}


def test_a_bad_line_is_named_and_the_others_are_sent(shared_cluster: Any, topic: str) -> None:
    done = shared_cluster.run("send", topic, "--lines", "--format", "json", "--json", stdin='{"a":1}\n{"a":\n[2]\n')
    assert done.returncode == 2
    assert "line 2 of standard input is not JSON" in done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result.get("status") for result in results] == ["SEND_OK", "SEND_OK", None]
    assert results[2]["error"]["what"] == "1 of 3 messages were not sent"
    assert [message["body"] for message in read(shared_cluster, topic)] == ['{"a":1}', "[2]"]


def test_messages_of_one_order_key_go_to_one_queue_in_order(shared_cluster: Any, topic: str) -> None:
    lines = "".join(json.dumps({"body": f"{number}", "order_key": f"k{number % 5}"}) + "\n" for number in range(60))
    for mode in ("--async", "--oneway"):
        assert shared_cluster.run("send", topic, "--format", "jsonl", mode, stdin=lines).returncode == 0
    places: dict[int, set[Any]] = {}
    order: dict[Any, list[int]] = {}
    for message in sorted(read(shared_cluster, topic), key=lambda message: message["queue_offset"]):
        number, place = int(message["body"]), (message["broker"], message["queue_id"])
        places.setdefault(number % 5, set()).add(place)
        order.setdefault((number % 5, place), []).append(number)
    assert all(len(found) == 1 for found in places.values())
    for numbers in order.values():
        assert numbers == 2 * sorted(set(numbers))
    one = [json.loads(shared_cluster.run("send", topic, "x", "--order-key", "k1", "--json").stdout) for _ in range(2)]
    assert {(result["broker"], result["queue_id"]) for result in one} == places[1]


def test_modes_rates_and_formats_of_many(shared_cluster: Any, topic: str) -> None:
    done = shared_cluster.run("send", topic, "00ff", "--format", "hex", "--count", "10", "--rate", "20", "--json", "-q")
    summary = json.loads(done.stdout)
    assert (summary["sent"], summary["failed"], summary["statuses"]) == (10, 0, {"SEND_OK": 10})
    assert summary["seconds"] >= 0.4
    oneway = json.loads(shared_cluster.run("send", topic, "x", "--oneway", "--count", "20", "--json", "-q").stdout)
    assert (oneway["sent"], oneway["p50_ms"]) == (20, None)
    told = shared_cluster.run("send", topic, "y", "--count", "3", "-v").stdout.splitlines()
    assert [line.endswith("SEND_OK") for line in told] == [True, True, True, False]
    bodies = sorted(message["body"] or message["body_base64"] for message in read(shared_cluster, topic))
    assert bodies == sorted(["AP8="] * 10 + ["x"] * 20 + ["y"] * 3)


def test_a_transaction_is_delivered_if_and_only_if_it_is_committed(shared_cluster: Any, topic: str) -> None:
    for decision in ("rollback", "unknown", "commit"):
        done = shared_cluster.run("send", f"{topic}:t", decision, "--transaction", decision, "--json")
        result = json.loads(done.stdout)
        assert (result["status"], result["transaction"]) == ("SEND_OK", decision)
    told = shared_cluster.run("send", topic, "commit", "--transaction", "commit").stdout
    assert told.rstrip().endswith("committed  SEND_OK")
    many = shared_cluster.run("send", topic, "--lines", "--transaction", "commit", stdin="commit\ncommit\n")
    assert many.stdout.startswith("sent 2, failed 0")
    assert [message["body"] for message in read(shared_cluster, topic)] == ["commit"] * 4
    assert shared_cluster.run("send", topic, "x", "--transaction", "commit", "--async").returncode == 2


def test_ctrl_c_tells_what_was_sent(shared_cluster: Any, topic: str) -> None:
    sender = shared_cluster.start("send", topic, "x", "--count", "100000", "-v")
    assert sender.stdout is not None
    for _ in range(10):
        assert sender.stdout.readline().endswith("SEND_OK\n")
    sender.send_signal(signal.SIGINT)
    rest, _ = sender.communicate(timeout=20)
    assert sender.returncode == 130
    *results, summary = rest.splitlines()
    sent = int(summary.split()[1].strip(","))
    assert len(results) + 10 == sent
    assert sent <= len(read(shared_cluster, topic)) <= sent + 1


def test_a_reader_that_goes_away_stops_no_message(shared_cluster: Any, topic: str) -> None:
    sender = shared_cluster.start("send", topic, "x", "--count", "2000", "-v")
    assert sender.stdout is not None
    assert sender.stderr is not None
    assert sender.stdout.readline().endswith("SEND_OK\n")
    sender.stdout.close()
    assert sender.wait(timeout=60) == 0
    assert sender.stderr.read() == ""
    sender.stderr.close()
    assert len(read(shared_cluster, topic)) == 2000


def test_when_nothing_works_it_is_given_up_and_told_how_far_it_came(shared_cluster: Any, topic: str) -> None:
    route = json.loads(shared_cluster.run("topic", "route", topic, "--json").stdout)
    away = f"{route['brokers'][0]['addresses']['0']}=127.0.0.1:1"
    lines = "".join(f"{number}\n" for number in range(40))
    done = shared_cluster.run("send", topic, "--lines", "--queue", "broker-a:0", "--remap", away, "--json", stdin=lines)
    assert done.returncode == 3
    assert "line 1 was not sent: broker-a at" in done.stderr
    assert "further failures are counted" in done.stderr
    (error,) = [json.loads(line)["error"] for line in done.stdout.splitlines()]
    assert error["what"] == (
        "given up after 16 failures in a row: 0 of 16 messages were sent; line 16 was the last one that was tried"
    )
    assert read(shared_cluster, topic) == []


def test_options_that_contradict_each_other_are_refused_before_anything_is_sent(
    shared_cluster: Any, topic: str
) -> None:
    for arguments in (
        ["x", "--async", "--oneway"],
        ["x", "--queue", "0", "--order-key", "k"],
        ["-", "--lines", "--count", "2"],
        ["x", "--lines"],
        ["@/no/such/file", "--lines"],
    ):
        done = shared_cluster.run("send", topic, *arguments, stdin="x\n")
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr
    both = shared_cluster.run("send", f"{topic}:a", "x", "--tag", "b")
    assert both.returncode == 2
    assert read(shared_cluster, topic) == []
