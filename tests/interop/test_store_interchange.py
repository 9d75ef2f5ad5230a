"""Apache's 4.5.2 broker and ours on one store folder, in turn: every message in place, in each direction."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmqnode.store.damage import Damage
from rmqnode.store.maintenance.discovery import discover_options
from rmqnode.store.maintenance.verify import StoreCheck
from tests.cluster.java import require_apache
from tests.interop.store_brokers import Sent, StoreBroker, StoreClient, with_client
from tests.ports import free_port

COUNT = 10_000
EMPTY = hashlib.sha1(b"").hexdigest()


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


@pytest.mark.parametrize("filled_by", ["embedded", "apache"])
async def test_our_start_shows_exactly_what_apache_acknowledged_after_it_ended_the_log_at_damage(
    broker: StoreBroker, filled_by: str
) -> None:
    """Apache gives up what stands behind damage and writes over it; what it does not reach lies there as it was."""
    sent: list[Sent] = []

    async def fill(client: StoreClient) -> None:
        if not sent:
            await client.create_topics()
        await client.send(COUNT // 5, f"filled-{len(sent)}")

    async def write_on(client: StoreClient) -> None:
        await client.send(COUNT // 50, "since")

    broker.start(filled_by)
    await with_client(broker, sent, fill)
    broker.stop(kill=True)
    places = sorted(((physical_offset_of(each), each) for each in sent), key=lambda place: place[0])
    begin, _ = next(place for place in places[len(places) // 2 :] if place[1].digest != EMPTY)
    path = broker.store / "commitlog" / f"{0:020d}"
    with path.open("r+b") as log:
        log.seek(begin + 88)
        byte = log.read(1)[0]
        log.seek(begin + 88)
        log.write(bytes((byte ^ 0x55,)))
    kept = [each for offset, each in places if offset < begin]
    broker.start("apache")
    await with_client(broker, kept, write_on)
    broker.stop(kill=True)
    assert len(kept) == sum(offset < begin for offset, _ in places) + COUNT // 50
    assert min(physical_offset_of(each) for each in kept[-COUNT // 50 :]) == begin
    broker.start("embedded")
    await with_client(broker, kept, StoreClient.check_all)
    broker.stop(kill=False)
    assert not Damage.of(broker.store).extents
    assert list((broker.store / "damaged").glob("commitlog-*"))


def physical_offset_of(sent: Sent) -> int:
    return int(sent.offset_message_id[16:], 16)
