"""Apache's mqadmin 4.5.2 looks at and into consumers of our client, through our brokers and Apache's."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from rmqctl.client import Client, Earliest, PushConsumer
from tests.clients.stage import Seen, Stage, open_stage, until
from tests.interop.clusters import DEFAULT_JUDGE
from tests.interop.conftest import ClusterOf
from tests.interop.mqadmin import Mqadmin, running_mqadmin
from tests.interop.toolchains import require_tools


@pytest.fixture
async def stage(cluster_of: ClusterOf, engine: str) -> AsyncIterator[Stage]:
    async with open_stage(cluster_of(engine).nameserver_address) as stage:
        yield stage


@pytest.fixture(scope="module")
def mqadmin(cluster_of: ClusterOf, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mqadmin]:
    require_tools("java", "mvn")
    home = tmp_path_factory.mktemp(f"mqadmin-{engine}")
    with running_mqadmin(DEFAULT_JUDGE, home, cluster_of(engine).nameserver_address, {}) as tools:
        yield tools


async def test_mqadmin_sees_a_consumer_feeds_it_and_resets_it(stage: Stage, mqadmin: Mqadmin) -> None:
    topic, group, seen = await stage.topic(1), stage.name("group"), Seen()
    queue = (await stage.queues(topic))[0]
    sent = await stage.send(topic, [f"m{number}" for number in range(5)], queue=queue)

    async def run(*words: str) -> str:
        return (await trio.to_thread.run_sync(mqadmin.run, *words)).all

    async with (
        Client(stage.nameserver, instance=group) as client,
        PushConsumer(group, client=client, start=Earliest()) as member,
        trio.open_nursery() as nursery,
    ):
        await member.subscribe(topic, tags="*")
        await nursery.start(member.run, seen)
        await seen.wait_for(5)
        await until(lambda: any(name.topic == f"%RETRY%{group}" for name in member.queues), "the retry topic's queues")
        await stage.wait_until_committed(group, topic)

        connections = await run("consumerConnection", "-g", group)
        assert client.client_id in connections
        assert "PYTHON" in connections
        assert "CONSUME_PASSIVELY" in connections
        status = await run("consumerStatus", "-g", group, "-i", client.client_id)
        assert "#Consumer Subscription#" in status
        assert "PROP_CONSUMEORDERLY" in status
        assert f"{topic} " in status.partition("#Consumer Offset#")[2]
        assert f" {queue.queue_id} " in status
        progress = await run("consumerProgress", "-g", group)
        assert "Diff Total: 0" in progress

        await run("queryMsgById", "-i", sent[2].offset_message_id, "-g", group, "-d", client.client_id)
        await until(lambda: Counter(seen.bodies)["m2"] == 2, "the message that mqadmin hands over")
        reset = await run("resetOffsetByTime", "-g", group, "-t", topic, "-s", "2020-01-01#00:00:00:000", "-f", "true")
        assert queue.broker_name in reset
        await until(lambda: len(seen.messages) >= 11, "all messages once more")
        member.stop()
    assert Counter(seen.bodies) == Counter({"m0": 2, "m1": 2, "m2": 3, "m3": 2, "m4": 2})
