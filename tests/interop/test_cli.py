"""Our own command line and the bare protocol, against the nodes of every engine."""

import json
import uuid

import pytest

from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RequestTimeout
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.command import Command
from tests.interop.clusters import Cluster, rmqctl
from tests.interop.conftest import ClusterOf

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
