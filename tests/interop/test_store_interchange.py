"""Apache's 4.5.2 broker and ours on one store folder, in turn: every message in place, in each direction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rmqnode.store.maintenance.discovery import discover_options
from rmqnode.store.maintenance.verify import StoreCheck
from tests.cluster.java import require_apache
from tests.interop.store_brokers import Sent, StoreBroker, StoreClient, with_client
from tests.ports import free_port

COUNT = 10_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[StoreBroker]:
    require_apache("4.5.2")
    broker = StoreBroker(tmp_path / "broker", free_port())
    yield broker
    broker.close()


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_each_engine_serves_all_that_both_have_stored(broker: StoreBroker, kill: bool) -> None:
    sent: list[Sent] = []

    async def fill(client: StoreClient) -> None:
        if not sent:
            await client.create_topics()
        await client.send(COUNT, f"from-{len(sent)}")

    async def check_and_fill(client: StoreClient) -> None:
        await client.check_all()
        await fill(client)

    for engine, work in (("apache", fill), ("embedded", check_and_fill), ("apache", StoreClient.check_all)):
        broker.start(engine)
        await with_client(broker, sent, work)
        broker.stop(kill=kill)
        found = StoreCheck(discover_options(broker.store)).run()
        assert (engine, found.problems, found.records) == (engine, [], len(sent))
    assert len(sent) == 2 * COUNT
    broker.start("embedded")
    await with_client(broker, sent, StoreClient.check_all)
    broker.stop(kill=False)
