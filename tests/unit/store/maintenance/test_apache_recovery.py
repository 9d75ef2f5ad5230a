"""Where Apache's recovery would end a log, and how many messages it would cut; judged by Apache in tests/cluster."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from rmqnode.store.maintenance.apache_recovery import ApacheCut, apache_cut
from rmqnode.store.maintenance.discovery import discover_options


class Store:
    """A store of six log files with about 93 messages each."""

    def __init__(self, kit: Any) -> None:
        self.kit = kit
        store = kit.open()
        for _ in range(500):
            kit.now += 100
            kit.put(store, "T", 0, bytes(600))
        self.units = [store.unit("T", 0, offset) for offset in range(500)]
        store.close()
        self.root = Path(kit.root)
        assert len(list((self.root / "commitlog").iterdir())) == 6

    def spoil(self, number: int, at: int = 90) -> None:
        """Change a byte of a message."""
        offset = self.units[number][0]
        path = self.kit.log_file(self.root, offset - offset % self.kit.log_file_size)
        with path.open("r+b") as file:
            file.seek(offset % self.kit.log_file_size + at)
            file.write(b"\x55")

    def cut(self, *, was_clean: bool) -> ApacheCut:
        return apache_cut(discover_options(self.root), was_clean=was_clean)


@pytest.fixture
def store(kit: Any) -> Store:
    return Store(kit)


def test_of_a_whole_log_nothing_is_cut(store: Store) -> None:
    end = store.units[-1][0] + store.units[-1][1]
    assert store.cut(was_clean=True) == store.cut(was_clean=False) == ApacheCut(end, 0)


@pytest.mark.parametrize("at", [0, 5, 90], ids=["size", "magic", "body"])
def test_the_log_ends_at_the_first_bad_record_and_all_whole_ones_behind_it_are_cut(store: Store, at: int) -> None:
    store.spoil(420, at)
    store.spoil(460)
    for was_clean in (True, False):
        assert store.cut(was_clean=was_clean) == ApacheCut(store.units[420][0], 500 - 421 - 1)


def test_after_a_clean_stop_damage_in_front_of_the_last_three_files_is_not_met(store: Store) -> None:
    store.spoil(100)
    assert store.cut(was_clean=True).message_count == 0
    # `checkpoint` names the last full index file at most, so after a crash of ours Apache walks everything.
    os.remove(store.root / "checkpoint")
    assert store.cut(was_clean=False) == ApacheCut(store.units[100][0], 399)


def test_after_a_crash_the_walk_begins_at_the_newest_file_that_is_older_than_the_checkpoint(store: Store) -> None:
    store.spoil(10)
    path = store.root / "checkpoint"
    content = bytearray(path.read_bytes())
    timestamp = (store.kit.now - 20_000).to_bytes(8, "big")  # in the third last file
    content[:16] = timestamp + timestamp
    path.write_bytes(content)
    assert store.cut(was_clean=False).message_count == 0


def test_a_header_byte_that_apache_does_not_look_at_cuts_nothing(store: Store) -> None:
    store.spoil(450, at=30)  # its own physical offset: only our scan compares it
    assert store.cut(was_clean=True).message_count == 0


def test_old_records_behind_an_end_that_apache_chose_are_not_counted_again(store: Store, kit: Any) -> None:
    store.spoil(420)
    end = store.cut(was_clean=True).end_offset
    # Apache ended the log there, took the queue back, and went on without zeroing: a whole record, older ones behind.
    shutil.rmtree(store.root / "consumequeue")
    other = kit.folder / "later"
    later = kit.open(other)
    kit.now += 10_000
    kit.put(later, "T", 0, bytes(600))
    later.close()
    record = bytearray(kit.log_file(other).read_bytes()[: store.units[0][1]])
    record[20:28], record[28:36] = (420).to_bytes(8, "big"), end.to_bytes(8, "big")
    path = kit.log_file(store.root, end - end % kit.log_file_size)
    with path.open("r+b") as file:
        file.seek(end % kit.log_file_size)
        file.write(record)
        file.write(b"\0" * 8)  # where it would have gone on
    (store.root / "coverage").unlink()
    assert store.cut(was_clean=True) == ApacheCut(end + len(record), 0)
