"""Java's clients and ours together: in one consumer group, and one at each end of a topic; on both engines."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from rmqctl.client import Earliest, Message, PushConsumer
from tests.clients.stage import Seen, Stage, open_stage, uninvited, until
from tests.interop.conftest import ClusterOf
from tests.interop.java_peer import JavaPeer
from tests.interop.toolchains import require_tools


def bodies(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def own_queues(member: PushConsumer, topic: str) -> int:
    return sum(queue.topic == topic for queue in member.queues)


@pytest.fixture
async def stage(cluster_of: ClusterOf, engine: str) -> AsyncIterator[Stage]:
    async with open_stage(cluster_of(engine).nameserver_address) as stage:
        yield stage


@pytest.fixture(scope="module")
def java(cluster_of: ClusterOf, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaPeer]:
    require_tools("java", "mvn")
    with JavaPeer(tmp_path_factory.mktemp(f"peer-{engine}"), cluster_of(engine).nameserver_address) as peer:
        yield peer


async def test_java_and_python_share_a_group_and_each_message_comes_once(stage: Stage, java: JavaPeer) -> None:
    topic, group = await stage.topic(4), stage.name("group")
    first, second = Seen(), Seen()

    async def consume_and_check(phase: str, by_python: int, by_java: int) -> None:
        before = len(first.messages) + len(second.messages), len(java.messages("one"))
        await stage.send(topic, bodies(40, phase))
        await until(
            lambda: len(first.messages) + len(second.messages) + len(java.messages("one")) >= sum(before) + 40, phase
        )
        after = len(first.messages) + len(second.messages), len(java.messages("one"))
        assert (after[0] - before[0], after[1] - before[1]) == (by_python, by_java), phase
        # A member asks for the offsets of its new queues at once: what is persisted by then does not come twice.
        await stage.wait_until_committed(group, topic)

    async with (
        PushConsumer(group, nameserver=stage.nameserver, start=Earliest()) as one,
        PushConsumer(group, nameserver=stage.nameserver, start=Earliest()) as two,
        trio.open_nursery() as nursery,
    ):
        await one.subscribe(topic)
        await nursery.start(one.run, first)
        await consume_and_check("python-alone-", 40, 0)

        await java.ask("consume", "one", group, topic, "concurrently")
        await until(lambda: own_queues(one, topic) == 4, "four queues for Python")
        await java.wait_for_queues("one", topic, 4)
        await consume_and_check("java-joined-", 20, 20)

        one.stop()
        await java.wait_for_queues("one", topic, 8)
        await consume_and_check("java-alone-", 0, 40)

        await two.subscribe(topic)
        await nursery.start(two.run, second)
        await until(lambda: own_queues(two, topic) == 4, "four queues for Python")
        await java.wait_for_queues("one", topic, 4)
        await consume_and_check("python-joined-", 20, 20)

        await java.ask("stop", "one")
        await until(lambda: own_queues(two, topic) == 8, "all queues for Python")
        await consume_and_check("java-left-", 40, 0)
        two.stop()
    phases = ("python-alone-", "java-joined-", "java-alone-", "python-joined-", "java-left-")
    sent = [body for phase in phases for body in bodies(40, phase)]
    assert Counter(first.bodies + second.bodies + java.bodies("one")) == Counter(sent)


async def test_java_and_python_keep_the_order_of_queues_that_they_hand_over_to_each_other(
    stage: Stage, java: JavaPeer
) -> None:
    topic, group, seen = await stage.topic(2), stage.name("group"), Seen(seconds=0.001)
    queues = await stage.queues(topic)
    sent: dict[str, list[str]] = {f"{queue.broker_name}:{queue.queue_id}": [] for queue in queues}

    async def send(phase: str) -> None:
        for queue in queues:
            name = f"{queue.broker_name}:{queue.queue_id}"
            more = bodies(50, f"{name} {phase} ")
            await stage.send(topic, more, queue=queue)
            sent[name] += more

    def consumed(phase: str) -> dict[str, list[str]]:
        """Bodies of a phase by queue: in each phase one of the two clients has a queue."""
        found: dict[str, list[str]] = {name: [] for name in sent}
        for message in seen.messages:
            found[f"{message.queue.broker_name}:{message.queue.queue_id}"].append(message.text)
        for line in java.messages("orderly"):
            found[line["queue"]].append(line["body"])
        return {name: [body for body in found[name] if f" {phase} " in body] for name in found}

    async with (
        PushConsumer(group, nameserver=stage.nameserver, start=Earliest(), orderly=True) as member,
        trio.open_nursery() as nursery,
    ):
        await member.subscribe(topic)
        await nursery.start(member.run, seen)
        await send("python")
        await seen.wait_for(200)

        await java.ask("consume", "orderly", group, topic, "orderly")
        await until(lambda: own_queues(member, topic) == 2, "two queues for Python")
        await java.wait_for_queues("orderly", topic, 2)
        await send("both")
        await until(lambda: len(seen.messages) + len(java.messages("orderly")) >= 400, "the second phase")
        assert len(java.messages("orderly")) == 100

        await java.ask("stop", "orderly")
        await send("again")
        await until(lambda: len(seen.messages) >= 500, "the third phase")
        await uninvited()
        member.stop()
    for phase in ("python", "both", "again"):
        assert consumed(phase) == {name: [body for body in sent[name] if f" {phase} " in body] for name in sent}
    assert seen.most_at_once_in_a_queue == 1


async def test_what_java_sends_arrives_as_java_sent_it(stage: Stage, java: JavaPeer) -> None:
    topic, seen = await stage.topic(1), Seen()
    async with (
        PushConsumer(stage.name("group"), nameserver=stage.nameserver, start=Earliest()) as member,
        trio.open_nursery() as nursery,
    ):
        await member.subscribe(topic)
        nursery.start_soon(member.run, seen)
        await java.ask("send", topic)
        await seen.wait_for(7)
        await uninvited()
        member.stop()
    found = {message.keys[0]: message for message in seen.messages}
    assert {key: message.text for key, message in found.items()} == {
        "properties": "已付款 — paid",
        "compressed": "all work and no play " * 1000,
        "batch-0": "part 0",
        "batch-1": "part 1",
        "batch-2": "part 2",
        "delayed": "late",
        "committed": "yes",
    }
    assert len(seen.messages) == 7
    assert found["properties"].tag == "paid"
    assert found["properties"].properties["colour"] == "grün 绿"
    assert len(found["compressed"].stored.body) < 1000
    assert found["delayed"].store_timestamp - found["delayed"].born_timestamp >= 900


async def test_what_python_sends_arrives_in_java_as_it_was_sent(stage: Stage, java: JavaPeer) -> None:
    topic = await stage.topic(1)
    await java.ask("consume", "kinds", stage.name("group"), topic, "concurrently")
    await java.wait_for_queues("kinds", topic, 2)
    producer = stage.producer
    await producer.send(f"{topic}:paid", "已付款 — paid", key="properties", properties={"colour": "grün 绿"})
    await producer.send(topic, {"id": 7, "note": "已付款"}, key="json")
    await producer.send(topic, "all work and no play " * 1000, key="compressed")
    await producer.send_batch([Message(topic, f"part {i}".encode(), keys=(f"batch-{i}",)) for i in range(3)])
    await producer.send(topic, "late", key="delayed", delay_level=1)
    async with producer.transaction(topic, "yes", key="committed"):
        pass
    async with producer.transaction(topic, "no", key="rolled-back") as transaction:
        transaction.roll_back()
    await until(lambda: len(java.messages("kinds")) >= 8, "eight messages")
    await uninvited()
    found = {line["keys"]: line for line in java.messages("kinds")}
    assert {key: line["body"] for key, line in found.items() if key != "json"} == {
        "properties": "已付款 — paid",
        "compressed": "all work and no play " * 1000,
        "batch-0": "part 0",
        "batch-1": "part 1",
        "batch-2": "part 2",
        "delayed": "late",
        "committed": "yes",
    }
    assert json.loads(found["json"]["body"]) == {"id": 7, "note": "已付款"}
    assert len(java.messages("kinds")) == 8
    assert (found["properties"]["tag"], found["properties"]["properties"]["colour"]) == ("paid", "grün 绿")
    assert found["delayed"]["delay_ms"] >= 900
    await java.ask("stop", "kinds")


async def test_a_broadcasting_consumer_goes_on_where_java_was_and_the_other_way_round(
    stage: Stage, java: JavaPeer
) -> None:
    topic, group, seen = await stage.topic(2), stage.name("group"), Seen()
    await stage.send(topic, bodies(10, "java-"))
    await java.ask("consume", "first", group, topic, "broadcasting")
    await java.wait_for_queues("first", topic, 4)
    await until(lambda: len(java.messages("first")) == 10, "what Java consumes first")
    await uninvited()
    await java.ask("stop", "first")
    await stage.send(topic, bodies(10, "python-"))
    async with (
        PushConsumer(
            group,
            nameserver=stage.nameserver,
            start=Earliest(),
            broadcasting=True,
            local_offsets=java.home / ".rocketmq_offsets",
        ) as member,
        trio.open_nursery() as nursery,
    ):
        await member.subscribe(topic)
        nursery.start_soon(member.run, seen)
        await seen.wait_for(10)
        await uninvited()
        member.stop()
    assert Counter(seen.bodies) == Counter(bodies(10, "python-"))
    await stage.send(topic, bodies(10, "java-again-"))
    await java.ask("consume", "second", group, topic, "broadcasting")
    await java.wait_for_queues("second", topic, 4)
    await until(lambda: len(java.messages("second")) >= 10, "what Java consumes next")
    await uninvited()
    await java.ask("stop", "second")
    assert Counter(java.bodies("second")) == Counter(bodies(10, "java-again-"))
