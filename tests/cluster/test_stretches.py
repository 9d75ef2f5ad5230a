"""What one client can do to a node's loop: no frame keeps all others waiting for more than 50 ms of processor time.

One broker and one nameserver as processes of their own, with tables as large as they get, take everything one after the
other; each test reads the longest stretch since the start, so that the first test that fails names the request.
"""

import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command, decode_command, encode_command
from rmqnode.protocol.frame import Frame, FrameDecoder, Serialization, encode_frame
from rmqnode.protocol.message import BatchPart, encode_batch
from tests.ports import free_port

STRETCH_MS_MAX = 50.0
WIDE = 65_536
"""Queues of the widest topic that may be."""
TOPICS = 20_000
GROUPS = 4
OFFSETS = 50_000
"""Of each group, in as many queues of the wide topic."""


class Peer:
    """One raw connection to a node."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._decoder = FrameDecoder(64 * 1024 * 1024)
        self._frames: list[Frame] = []

    def answer(self) -> Command:
        """Wait for the next answer; what the node asks or tells meanwhile is dropped."""
        while True:
            while not self._frames:
                data = self.sock.recv(1 << 20)
                assert data, "the node closed the connection"
                self._frames = self._decoder.feed(data)
            command = decode_command(self._frames.pop(0))
            if command.is_response:
                return command

    def ask(self, code: int, fields: dict[str, str] | None = None, body: bytes = b"") -> Command:
        """Send a request and wait for its answer."""
        self.sock.sendall(encode_command(Command(code=code, ext_fields=fields or {}, body=body)))
        return self.answer()

    def ask_raw(self, header: bytes, body: bytes = b"", serialization: Serialization = Serialization.JSON) -> Command:
        """The same with a header as it is."""
        self.sock.sendall(encode_frame(serialization, header, body))
        return self.answer()


class Node:
    """A node as a process of its own."""

    def __init__(self, kind: str, port: int, config: Path) -> None:
        self.port = port
        self._peers: list[Peer] = []
        self._log = config.with_suffix(".log").open("w")
        command = [sys.executable, "-m", "rmqnode", kind, "-c", str(config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log)
        assert self.process.stdout is not None
        assert b"boot success" in self.process.stdout.readline()

    def peer(self) -> Peer:
        """Make a connection, which lives as long as the node."""
        self._peers.append(Peer(self.port))
        return self._peers[-1]

    def stop(self) -> None:
        for peer in self._peers:
            peer.sock.close()
        self.process.terminate()
        self.process.communicate(timeout=30)
        self._log.close()

    def check(self) -> None:
        """Fail if anything since the start took too long."""
        table = KVTable.decode(self.peer().ask(RequestCode.GET_BROKER_RUNTIME_INFO).body).table
        assert float(table["longestStretchMs"]) <= STRETCH_MS_MAX, table["longestStretchRequest"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A broker with 20,000 topics, one of 65,536 queues, and 200,000 offsets."""
    folder = tmp_path_factory.mktemp("broker")
    tables = folder / "store" / "config"
    tables.mkdir(parents=True)
    topics = {f"topic-{number}": {"topicName": f"topic-{number}", "perm": 6} for number in range(TOPICS)}
    topics["wide"] = {"topicName": "wide", "readQueueNums": WIDE, "writeQueueNums": WIDE, "perm": 6}
    topics["t"] = {"topicName": "t", "readQueueNums": 4, "writeQueueNums": 4, "perm": 6}
    (tables / "topics.json").write_text(json.dumps({"topicConfigTable": topics}))
    offsets = {f"wide@g{group}": {str(queue): queue for queue in range(OFFSETS)} for group in range(GROUPS)}
    (tables / "consumerOffset.json").write_text(json.dumps({"offsetTable": offsets}))
    groups = {f"g{group}": {"groupName": f"g{group}"} for group in range(GROUPS)}
    (tables / "subscriptionGroup.json").write_text(json.dumps({"subscriptionGroupTable": groups}))
    port = free_port()
    config = folder / "broker.conf"
    config.write_text(
        f"listenPort={port}\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nbrokerName=broker-a\n"
        f"storePathRootDir={folder / 'store'}\nmappedFileSizeCommitLog=16777216\nenablePropertyFilter=true\n"
        "topicsMax=100000\nconsumerOffsetsMax=1000000\n"
    )
    node = Node("broker", port, config)
    yield node
    node.stop()


@pytest.fixture(scope="module")
def nameserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A nameserver."""
    folder = tmp_path_factory.mktemp("nameserver")
    port = free_port()
    config = folder / "nameserver.conf"
    config.write_text(f"listenPort={port}\nbindAddress=127.0.0.1\nkvConfigPath={folder / 'kvConfig.json'}\n")
    node = Node("nameserver", port, config)
    yield node
    node.stop()


def heartbeat(*consumers: dict[str, object], producers: int = 0) -> bytes:
    groups = [{"groupName": f"producers-{number}"} for number in range(producers)]
    return json.dumps({"clientID": "c", "consumerDataSet": consumers, "producerDataSet": groups}).encode()


def consumer(group: str, subscriptions: list[dict[str, object]]) -> dict[str, object]:
    return {
        "groupName": group,
        "consumeType": "CONSUME_PASSIVELY",
        "messageModel": "CLUSTERING",
        "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET",
        "subscriptionDataSet": subscriptions,
    }


def everything(topic: str) -> dict[str, object]:
    return {"topic": topic, "subString": "*", "subVersion": 1, "expressionType": "TAG"}


def pull(**fields: str) -> dict[str, str]:
    return {
        "consumerGroup": "g0",
        "topic": "t",
        "queueId": "0",
        "queueOffset": "0",
        "maxMsgNums": "32",
        "sysFlag": "4",
        "commitOffset": "0",
        "suspendTimeoutMillis": "15000",
        "subscription": "*",
        "subVersion": "0",
    } | fields


def batch(count: int) -> bytes:
    return encode_batch(BatchPart(0, b"", b"") for _ in range(count))


SEND = dict.fromkeys("efghj", "0") | {"a": "pg", "b": "t", "c": "TBW102", "d": "4", "i": "", "m": "true"}
QUEUES = [{"topic": "wide", "brokerName": "broker-a", "queueId": number} for number in range(100_000)]

Fields = dict[str, str] | Callable[[], dict[str, str]]

FRAMES: dict[str, tuple[int, Fields, Callable[[], bytes], int, str]] = {
    "a heartbeat with 2,000 new groups": (
        RequestCode.HEART_BEAT,
        {},
        lambda: heartbeat(*(consumer(f"new-{number}", [everything("t")]) for number in range(2000))),
        ResponseCode.SUCCESS,
        "",
    ),
    "a heartbeat with 10,000 producer groups": (
        RequestCode.HEART_BEAT, {}, lambda: heartbeat(producers=10_000), ResponseCode.SUCCESS, "",
    ),
    "a heartbeat with 100,000 subscriptions": (
        RequestCode.HEART_BEAT,
        {},
        lambda: heartbeat(consumer("g0", [everything(f"topic-{number}") for number in range(100_000)])),
        ResponseCode.SYSTEM_ERROR,
        "the body has more than 1048576 bytes",
    ),
    "a heartbeat with 3,000 subscriptions": (
        RequestCode.HEART_BEAT,
        {},
        lambda: heartbeat(consumer("g0", [everything(f"topic-{number}") for number in range(3000)])),
        ResponseCode.SYSTEM_ERROR,
        "subscribes 3000 topics, more than 2048",
    ),
    "a heartbeat with 2,000 subscriptions": (
        RequestCode.HEART_BEAT,
        {},
        lambda: heartbeat(consumer("g0", [everything(f"topic-{number}") for number in range(2000)])),
        ResponseCode.SUCCESS,
        "",
    ),
    "a heartbeat whose text is five million escapes": (
        RequestCode.HEART_BEAT,
        {},
        lambda: b"{'clientID':'" + b"\\'" * 5_000_000 + b"'}",
        ResponseCode.SYSTEM_ERROR,
        "the body has more than 1048576 bytes",
    ),
    "a heartbeat of 1 MiB of empty objects": (
        RequestCode.HEART_BEAT,
        {},
        lambda: b'{"consumerDataSet":[' + b"{}," * 300_000 + b"1]}",
        ResponseCode.SYSTEM_ERROR,
        "more than 16384 objects",
    ),
    "a heartbeat in 4 KiB of the dialect": (
        RequestCode.HEART_BEAT, {}, lambda: b"{a:[" + b"1," * 2000 + b"]}", ResponseCode.SUCCESS, "",
    ),
    "a pull with 15 MB of tags": (
        RequestCode.PULL_MESSAGE,
        lambda: pull(subscription="a||" * 5_000_000),
        bytes,
        ResponseCode.SYSTEM_ERROR,
        "262144",
    ),
    "a pull with 60 KB of tags": (
        RequestCode.PULL_MESSAGE,
        pull(subscription="a||" * 20_000),
        bytes,
        ResponseCode.SUBSCRIPTION_PARSE_FAILED,
        "longer than 16384",
    ),
    "a million ext fields": (
        RequestCode.PULL_MESSAGE,
        lambda: {f"{number:x}": "" for number in range(1_000_000)},
        bytes,
        ResponseCode.SYSTEM_ERROR,
        "262144",
    ),
    "20,000 ext fields": (
        RequestCode.PULL_MESSAGE,
        lambda: pull() | {f"{number:x}": "" for number in range(20_000)},
        bytes,
        ResponseCode.PULL_NOT_FOUND,
        "",
    ),
    "an expression of 16 KB of signs": (
        RequestCode.PULL_MESSAGE,
        pull(expressionType="SQL92", subscription="a > ".ljust(16_384, "-")),
        bytes,
        ResponseCode.SUBSCRIPTION_PARSE_FAILED,
        "more than 768 words and signs",
    ),
    "an expression of as many comparisons as may be": (
        RequestCode.PULL_MESSAGE,
        pull(expressionType="SQL92", subscription=" or ".join(f"a{number}=1" for number in range(190))),
        bytes,
        ResponseCode.PULL_NOT_FOUND,
        "",
    ),
    "20,000 topics to create": (
        RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
        {},
        lambda: json.dumps({"topicConfigList": [{"topicName": f"new-{each}"} for each in range(20_000)]}).encode(),
        ResponseCode.SYSTEM_ERROR,
        "more than 16384 objects",
    ),
    "15,000 topics to create": (
        RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
        {},
        lambda: json.dumps({"topicConfigList": [{"topicName": f"new-{each}"} for each in range(15_000)]}).encode(),
        ResponseCode.SUCCESS,
        "",
    ),
    "100,000 queues to lock": (
        RequestCode.LOCK_BATCH_MQ,
        {},
        lambda: json.dumps({"consumerGroup": "g0", "clientId": "c", "mqSet": QUEUES}).encode(),
        ResponseCode.SYSTEM_ERROR,
        "the body has more than 1048576 bytes",
    ),
    "15,000 queues to lock": (
        RequestCode.LOCK_BATCH_MQ,
        {},
        lambda: json.dumps({"consumerGroup": "g0", "clientId": "c", "mqSet": QUEUES[:15_000]}).encode(),
        ResponseCode.SUCCESS,
        "",
    ),
    "15,000 queues to unlock": (
        RequestCode.UNLOCK_BATCH_MQ,
        {},
        lambda: json.dumps({"consumerGroup": "g0", "clientId": "c", "mqSet": QUEUES[:15_000]}).encode(),
        ResponseCode.SUCCESS,
        "",
    ),
    "a batch of 100,000": (
        RequestCode.SEND_BATCH_MESSAGE, SEND, lambda: batch(100_000), ResponseCode.MESSAGE_ILLEGAL, "",
    ),
    "a batch of as many messages as fit": (
        RequestCode.SEND_BATCH_MESSAGE, SEND, lambda: batch(40_000), ResponseCode.SUCCESS, "",
    ),
    "GET_TOPIC_STATS_INFO of the wide topic": (
        RequestCode.GET_TOPIC_STATS_INFO, {"topic": "wide"}, bytes, ResponseCode.SUCCESS, "",
    ),
    "GET_CONSUME_STATS of the wide topic": (
        RequestCode.GET_CONSUME_STATS, {"consumerGroup": "g1"}, bytes, ResponseCode.SUCCESS, "",
    ),
    "QUERY_CONSUME_TIME_SPAN of the wide topic": (
        RequestCode.QUERY_CONSUME_TIME_SPAN, {"topic": "wide", "group": "g1"}, bytes, ResponseCode.SUCCESS, "",
    ),
    "GET_BROKER_CONSUME_STATS": (
        RequestCode.GET_BROKER_CONSUME_STATS,
        {"isOrder": "false"},
        bytes,
        ResponseCode.SYSTEM_ERROR,
        "in more than 131072 queues",
    ),
    "GET_ALL_TOPIC_CONFIG": (RequestCode.GET_ALL_TOPIC_CONFIG, {}, bytes, ResponseCode.SUCCESS, ""),
    "GET_ALL_CONSUMER_OFFSET": (RequestCode.GET_ALL_CONSUMER_OFFSET, {}, bytes, ResponseCode.SUCCESS, ""),
    "GET_ALL_SUBSCRIPTIONGROUP_CONFIG": (
        RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, {}, bytes, ResponseCode.SUCCESS, "",
    ),
    "GET_ALL_PRODUCER_INFO": (RequestCode.GET_ALL_PRODUCER_INFO, {}, bytes, ResponseCode.SUCCESS, ""),
    "QUERY_TOPIC_CONSUME_BY_WHO": (
        RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, {"topic": "wide"}, bytes, ResponseCode.SUCCESS, "",
    ),
    "QUERY_CORRECTION_OFFSET of the wide topic": (
        RequestCode.QUERY_CORRECTION_OFFSET, {"topic": "wide", "compareGroup": "g1"}, bytes, ResponseCode.SUCCESS, "",
    ),
    "CLONE_GROUP_OFFSET of the wide topic": (
        RequestCode.CLONE_GROUP_OFFSET,
        {"srcGroup": "g1", "destGroup": "g9", "topic": "wide", "offline": "true"},
        bytes,
        ResponseCode.SUCCESS,
        "",
    ),
    "DELETE_TOPIC_IN_BROKER of one of many": (
        RequestCode.DELETE_TOPIC_IN_BROKER, {"topic": "topic-1"}, bytes, ResponseCode.SUCCESS, "",
    ),
    "UPDATE_AND_CREATE_TOPIC beside many": (
        RequestCode.UPDATE_AND_CREATE_TOPIC,
        {"topic": "one", "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6"}
        | {"topicFilterType": "SINGLE_TAG", "order": "false"},
        bytes,
        ResponseCode.SUCCESS,
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_no_request_keeps_the_others_waiting(broker: Node, name: str) -> None:
    code, fields, body, answer_code, remark = FRAMES[name]
    answer = broker.peer().ask(code, fields() if callable(fields) else fields, body())

    assert (ResponseCode(answer.code), remark in (answer.remark or "")) == (answer_code, True), answer.remark
    broker.check()


@pytest.mark.parametrize("count", [1_000_000, 20_000])
def test_a_binary_header_of_many_fields_is_not_read(broker: Node, count: int) -> None:
    fields = b"".join(struct.pack(">h4si", 4, b"%04x" % (number & 0xFFFF), 0) for number in range(count))
    header = struct.pack(">hBhiiii", RequestCode.PULL_MESSAGE, 0, 317, 7, 0, 0, len(fields)) + fields
    peer = broker.peer()
    peer.sock.sendall(encode_frame(Serialization.ROCKETMQ, header))
    if len(header) > 262_144:
        assert "the 262144" in (peer.answer().remark or "")
    else:
        assert peer.sock.recv(1) == b""
    broker.check()


def test_a_message_for_20_000_held_pulls_does_not_keep_the_others_waiting(broker: Node) -> None:
    peers = [broker.peer() for _ in range(20)]
    for peer in peers:
        hold = pull(queueId="3", sysFlag="6", suspendTimeoutMillis="60000")
        command = Command(code=RequestCode.PULL_MESSAGE, ext_fields=hold)
        peer.sock.sendall(encode_command(command) * 1000)
        peer.ask(RequestCode.GET_MAX_OFFSET, {"topic": "t", "queueId": "3"})
    begun = time.monotonic()
    sent = broker.peer().ask(RequestCode.SEND_MESSAGE_V2, SEND | {"e": "3", "m": "false"}, b"for all")
    waited = time.monotonic() - begun
    answers = [[peer.answer().code for _ in range(1000)] for peer in peers]

    assert sent.code == ResponseCode.SUCCESS
    assert answers == [[ResponseCode.SUCCESS] * 1000] * 20
    assert waited < 0.5
    broker.check()


def test_tables_are_written_without_keeping_the_others_waiting(broker: Node) -> None:
    # Longer than the interval in which offsets are written.
    peer = broker.peer()
    peer.ask(
        RequestCode.UPDATE_CONSUMER_OFFSET,
        {"consumerGroup": "g0", "topic": "wide", "queueId": "1", "commitOffset": "7"},
    )
    until = time.monotonic() + 6
    while time.monotonic() < until:
        assert peer.ask(RequestCode.GET_MAX_OFFSET, {"topic": "t", "queueId": "0"}).code == ResponseCode.SUCCESS
        time.sleep(0.1)
    broker.check()


def test_a_nameserver_takes_a_broker_of_20_000_topics_and_many_keys(nameserver: Node) -> None:
    topics = {f"topic-{number}": {"topicName": f"topic-{number}", "perm": 6} for number in range(TOPICS)}
    wrapper = {"dataVersion": {"timestamp": 5, "counter": 1}, "topicConfigTable": topics}
    body = json.dumps({"filterServerList": [], "topicConfigSerializeWrapper": wrapper}).encode()
    fields = {
        "brokerName": "broker-a",
        "brokerAddr": "10.0.0.1:10911",
        "clusterName": "c",
        "haServerAddr": "",
        "brokerId": "0",
    }
    peer = nameserver.peer()

    assert peer.ask(RequestCode.REGISTER_BROKER, fields, body).code == ResponseCode.SUCCESS
    assert peer.ask(RequestCode.REGISTER_BROKER, fields, body).code == ResponseCode.SUCCESS
    assert peer.ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER).code == ResponseCode.SUCCESS
    assert peer.ask(RequestCode.WIPE_WRITE_PERM_OF_BROKER, {"brokerName": "broker-a"}).code == ResponseCode.SUCCESS
    for number in range(200):
        key = {"namespace": "n", "key": f"k{number}", "value": "v" * 1000}
        assert peer.ask(RequestCode.PUT_KV_CONFIG, key).code == ResponseCode.SUCCESS
    nameserver.check()
    peer.sock.close()
    nameserver.check()
