"""Apache's 4.5.2 broker and ours on one store folder, in turn: every message in place, in each direction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.apache_nodes import free_ports
from tests.interop.store_brokers import Sent, StoreBroker, StoreClient, with_client
from tests.interop.toolchains import require_tools

COUNT = 10_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[StoreBroker]:
    require_tools("java", "mvn")
    (port,) = free_ports(1, distance=2)
    broker = StoreBroker(tmp_path / "broker", port)
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
    assert len(sent) == 2 * COUNT
    broker.start("embedded")
    await with_client(broker, sent, StoreClient.check_all)
    broker.stop(kill=False)
