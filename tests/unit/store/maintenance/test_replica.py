"""Damaged bytes come from a replica that has them whole, and from no other; afterwards the store is as it was."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from rmqnode.store.damage import Damage
from rmqnode.store.maintenance.discovery import discover_options
from rmqnode.store.maintenance.repair import plan_repair, repair
from rmqnode.store.maintenance.replica import Replica
from rmqnode.store.maintenance.verify import StoreCheck, Verification


def check(root: Path) -> Verification:
    return StoreCheck(discover_options(root)).run()


def content_of(root: Path) -> dict[str, bytes]:
    paths = [path for name in ("commitlog", "consumequeue") for path in (root / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


class Pair:
    """A store, and a replica of it beside it."""

    def __init__(self, kit: Any) -> None:
        self.kit = kit
        store = kit.open()
        for index in range(200):
            kit.now += 100
            properties = b"UNIQ_KEY\x01u%d\x02KEYS\x01k%d\x02" % (index, index)
            kit.put(store, "T", index % 3, b"%d." % index * 150, properties=properties)
        self.units = [store.unit("T", index % 3, index // 3) for index in range(200)]
        store.close()
        self.root = Path(kit.root)
        self.replica = kit.crashed_copy("replica")
        (self.replica / "coverage").unlink()
        self.before = content_of(self.root)

    def spoil(self, root: Path, begin: int, end: int) -> None:
        file_size = self.kit.log_file_size
        for offset in range(begin, end):
            path = self.kit.log_file(root, offset - offset % file_size)
            with path.open("r+b") as file:
                file.seek(offset % file_size)
                file.write(b"\x55")

    def replica_of(self, root: Path) -> Replica:
        return Replica(discover_options(root), discover_options(self.root))

    def refusal(self) -> str | None:
        (offer,) = self.replica_of(self.replica).offers(check(self.root).extents)
        return offer.refusal


@pytest.fixture
def pair(kit: Any) -> Pair:
    return Pair(kit)


@pytest.mark.parametrize("was_met", [False, True], ids=["found by verify", "stepped over by the broker"])
@pytest.mark.parametrize("kind", ["a byte", "several records", "over the end of a file", "two places"])
def test_damaged_bytes_are_replaced_and_everything_is_as_before(pair: Pair, kind: str, was_met: bool) -> None:
    file_size = pair.kit.log_file_size
    places = {
        "a byte": [(pair.units[7][0] + 95, pair.units[7][0] + 96)],
        "several records": [(pair.units[30][0] + 1, pair.units[36][0] + 5)],
        "over the end of a file": [(file_size - 700, file_size + 900)],
        "two places": [(pair.units[7][0], pair.units[7][0] + 9), (pair.units[150][0], pair.units[152][0])],
    }[kind]
    for begin, end in places:
        pair.spoil(pair.root, begin, end)
    if was_met:
        for name in ("coverage", "checkpoint"):
            (pair.root / name).unlink()  # then the start walks from the first record
        (pair.root / "abort").touch()
        pair.kit.open().close()
        assert Damage.of(pair.root).extents
    found = check(pair.root)
    assert len(found.extents) == len(places)
    replica = pair.replica_of(pair.replica)
    offers = replica.offers(found.extents)
    assert [offer.refusal for offer in offers] == [None] * len(places)
    assert "damaged bytes of the commit log by the" in plan_repair(found, offers)[0]
    untouched = content_of(pair.replica)
    done = repair(discover_options(pair.root), found, cut_tail=False, replica=replica, offers=offers)
    assert "damaged bytes of the commit log replaced" in done[0]
    assert content_of(pair.root) == pair.before
    assert content_of(pair.replica) == untouched
    assert Damage.of(pair.root).extents == []
    assert check(pair.root).problems == []
    kept = b"".join(path.read_bytes() for path in sorted((pair.root / "damaged").glob("commitlog-*")))
    assert kept.count(b"\x55") >= sum(end - begin for begin, end in places), "what stood there is kept"


def test_a_replica_with_the_same_damage_a_shorter_log_or_other_files_is_refused(pair: Pair, kit: Any) -> None:
    pair.spoil(pair.root, pair.units[180][0] + 90, pair.units[180][0] + 91)
    whole = kit.folder / "whole"
    shutil.copytree(pair.replica, whole)
    pair.spoil(pair.replica, pair.units[180][0] + 100, pair.units[180][0] + 101)
    assert "no whole record at physical offset" in (pair.refusal() or "")
    shutil.rmtree(pair.replica)
    shutil.copytree(whole, pair.replica)
    max((pair.replica / "commitlog").iterdir()).unlink()
    assert "it does not reach so far" in (pair.refusal() or "")
    shutil.rmtree(pair.replica)
    other = kit.make(pair.replica, mapped_file_size_commit_log=96 * 1024)
    other.open()
    kit.put(other, "T", 0, b"x")
    other.close()
    assert "its commit log files have 98304 bytes, ours 65536" in (pair.refusal() or "")


def test_a_log_that_is_another_one_before_or_behind_the_stretch_is_refused(pair: Pair) -> None:
    unit, following = pair.units[20], pair.units[21]
    pair.spoil(pair.root, unit[0] + 90, unit[0] + 91)
    pair.spoil(pair.replica, following[0] + 20, following[0] + 21)  # a flag: no CRC covers it
    assert "it is another log" in (pair.refusal() or "")
    pair.spoil(pair.replica, pair.units[19][0] + 20, pair.units[19][0] + 21)
    shutil.copyfile(pair.kit.log_file(pair.replica), pair.kit.log_file(pair.replica).with_suffix(".x"))
    pair.kit.log_file(pair.replica).with_suffix(".x").unlink()
    assert "it is another log" in (pair.refusal() or "")


def test_a_record_that_is_not_the_one_that_our_queue_knows_is_refused(pair: Pair) -> None:
    unit = pair.units[21]
    path = pair.kit.log_file(pair.replica)
    content = bytearray(path.read_bytes())
    at = unit[0] + 20
    content[at : at + 8] = (2).to_bytes(8, "big")  # whole, and another message of its queue
    path.write_bytes(content)
    pair.spoil(pair.root, unit[0] + 90, unit[0] + 91)
    assert "is offset 2 of T queue 0" in (pair.refusal() or "")


def test_stretches_that_the_replica_lacks_stay_damaged_and_the_others_are_mended(pair: Pair) -> None:
    for number in (7, 50):
        pair.spoil(pair.root, pair.units[number][0] + 90, pair.units[number][0] + 91)
    pair.spoil(pair.replica, pair.units[50][0] + 90, pair.units[50][0] + 91)
    found = check(pair.root)
    replica = pair.replica_of(pair.replica)
    repair(discover_options(pair.root), found, cut_tail=False, replica=replica, offers=replica.offers(found.extents))
    assert [extent.begin for extent in check(pair.root).extents] == [pair.units[50][0]]
