"""Pairs with a real Apache 4.5.2 broker on one side: every byte of the log arrives, in both directions."""

import hashlib
from pathlib import Path

import pytest

from tests.interop.load import Load
from tests.interop.pairs import Broker, Kind, PairKit, wait_until_level
from tests.interop.toolchains import require_tools

COUNT = 10_000

PAIRS: list[tuple[Kind, Kind]] = [("apache", "embedded"), ("embedded", "apache")]


@pytest.fixture(params=PAIRS, ids="-".join)
def kit(tmp_path: Path, request: pytest.FixtureRequest) -> PairKit:
    require_tools("java", "mvn")
    return PairKit(tmp_path, *request.param)


def digests(broker: Broker) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in broker.log_files().items()}


def produce(kit: PairKit, count: int) -> None:
    with Load(kit.folder / "load", kit.nameserver_address, "Replicated", count=count, size=1000) as load:
        assert load.end(stop=False)["statuses"] == {"SEND_OK": count}


def test_ten_thousand_messages_end_in_equal_logs(kit: PairKit) -> None:
    with kit.nameserver():
        with kit.broker(0) as master, kit.broker(1) as slave:
            # Apache's slave first asks 5 s after it found its master, which it looks for every 10 s.
            produce(kit, COUNT // 2)
            wait_until_level(master, slave)
            produce(kit, COUNT // 2)
            end = wait_until_level(master, slave)
        assert end > 2 * 5 * 1024 * 1024, "the log was meant to fill several files"
    assert digests(slave) == digests(master)


def test_a_slave_that_was_away_goes_on_where_it_was(kit: PairKit) -> None:
    with kit.nameserver(), kit.broker(0) as master:
        with kit.broker(1) as slave:
            produce(kit, 500)
            wait_until_level(master, slave)
        produce(kit, 6000)
        with kit.broker(1) as slave:
            wait_until_level(master, slave)
    assert digests(slave) == digests(master)


@pytest.mark.parametrize("kit", [("embedded", "apache")], indirect=True, ids="-".join)
def test_a_late_slave_of_apaches_gets_all_files_of_our_master(kit: PairKit) -> None:
    with kit.nameserver(), kit.broker(0) as master:
        produce(kit, 6000)
        with kit.broker(1) as slave:
            wait_until_level(master, slave)
    assert len(digests(master)) > 1
    assert digests(slave) == digests(master)
