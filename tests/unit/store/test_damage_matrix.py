"""Each byte of a log changed, zeroed, or the file cut there, with each of the 16 combinations of what lies beside it.

One log of 60 records over two files, of three topics. What must be readable is found by a parser of its own.
By default every tenth case is opened, all of them with `--long`.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import pytest

from rmqnode.store import MessageStore, StoreFileMismatch
from tests.unit.store.conftest import StoreKit

FILE_SIZE = 3072
COUNT = 60
TOPICS = (b"A", b"Bb", b"Ccc")
BESIDE = ("coverage", "checkpoint", "abort", "consumequeue")
COMBINATIONS = list(product((True, False), repeat=len(BESIDE)))
KINDS = ("changed", "zeroed", "cut")
PARTS = 32
"""Tests that the whole matrix is divided into: about 3000 stores each."""


class Stored(NamedTuple):
    """A record as a put left it."""

    begin: int
    end: int
    topic: str
    queue_offset: int
    body: bytes


class Killed(NamedTuple):
    """The files of a store whose broker was killed, and what it had acknowledged."""

    kit: StoreKit
    files: dict[str, bytes]
    times: dict[str, int]
    log: bytes
    records: list[Stored]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of stores say that they are damaged."""
    caplog.set_level("CRITICAL")


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="rmqctl-matrix-", dir=in_memory))
    kit = StoreKit(folder)
    kit.log_file_size, kit.queue_file_size = FILE_SIZE, 30 * 20
    store = small_store(kit, kit.root)
    store.open()
    records = []
    for index in range(COUNT):
        kit.now += 10
        topic = TOPICS[index % 7 % 3].decode()
        body = b"%d" % index if index % 5 else b""
        result = kit.put(store, topic, 0, body, properties=b"k\1%d\2" % index if index % 4 == 0 else b"")
        records.append(Stored(result.physical_offset, result.end_offset, topic, result.queue_offset, body))
        if index == 40:
            store.flush_consume_queues()
            store.write_checkpoint()
    paths = [path for path in kit.root.rglob("*") if path.is_file()]
    files = {str(path.relative_to(kit.root)): path.read_bytes() for path in paths}
    times = {name: (kit.root / name).stat().st_mtime_ns for name in ("checkpoint", "lock")}
    log = b"".join(files[name] for name in sorted(files) if name.startswith("commitlog/"))
    assert len(log) == 2 * FILE_SIZE
    yield Killed(kit, files, times, log, records)
    store.close()
    shutil.rmtree(folder)


def small_store(kit: StoreKit, root: Path) -> MessageStore:
    options = kit.options(root, message_size_bytes_max=1024, message_index_enable=False)
    return MessageStore(options, lambda: kit.now)


def is_whole(log: bytes, record: Stored) -> bool:
    """Whether the bytes where a record was put still are one; only what this format can tell."""
    content = log[record.begin : record.end]
    integer = int.from_bytes
    body_size, topic_at = integer(content[84:88], "big"), 88 + len(record.body)
    return bool(
        len(content) == record.end - record.begin == integer(content[:4], "big")
        and content[4:8] == bytes.fromhex("daa320a7")
        and integer(content[28:36], "big") == record.begin
        and 0 <= integer(content[20:28], "big", signed=True) < 1 << 58
        and body_size == len(record.body)
        and (not body_size or crc32(content[88:topic_at]) & 0x7FFFFFFF == integer(content[8:12], "big"))
        and content[topic_at] == len(record.topic)
        and b"\0" not in content[topic_at + 1 : topic_at + 1 + len(record.topic)]
        and integer(content[topic_at + 1 + len(record.topic) :][:2], "big")
        == len(content) - topic_at - 3 - len(record.topic)
        and not content[39] & 0x30
        and (content[-1] or len(content) == topic_at + 3 + len(record.topic))  # else it may be torn
    )


def cases() -> Iterator[tuple[str, int, int]]:
    """Kind, byte of the log, number of the combination."""
    yield from product(KINDS, range(2 * FILE_SIZE), range(len(COMBINATIONS)))


def damaged(log: bytes, kind: str, position: int) -> bytes | None:
    """The log with one damage; None where there is none to be made."""
    changed = bytearray(log)
    if kind == "changed":
        changed[position] ^= 0x55
    elif kind == "zeroed":
        changed[position] = 0
    else:
        file_end = position - position % FILE_SIZE + FILE_SIZE
        changed[position:file_end] = bytes(file_end - position)
    return bytes(changed) if changed != log else None


def write_store(killed: Killed, root: Path, log: bytes, combination: int, length: int) -> None:
    """Make the folder as the damage leaves it; `length` of its last damaged file."""
    beside = COMBINATIONS[combination]
    if not beside[BESIDE.index("consumequeue")] or (root / "damaged").exists():
        shutil.rmtree(root, ignore_errors=True)
    for name, content in killed.files.items():
        part, _, _ = name.partition("/")
        path = f"{root}/{name}"
        if part in BESIDE and not beside[BESIDE.index(part)]:
            if part != "consumequeue":
                Path(path).unlink(missing_ok=True)
            continue
        if part == "commitlog":
            base = int(name[10:])
            content = log[base : base + FILE_SIZE]
            if base <= length < base + FILE_SIZE:
                content = content[: length - base]
        try:
            file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed below; made thousands of times
        except FileNotFoundError:
            Path(path).parent.mkdir(parents=True)
            file = open(path, "wb", buffering=0)  # noqa: SIM115
        file.write(content)
        file.close()
        if name in killed.times:
            os.utime(path, ns=(killed.times[name], killed.times[name]))


def check(killed: Killed, root: Path, kind: str, position: int, combination: int) -> None:
    log = damaged(killed.log, kind, position)
    if log is None:
        return
    is_cut = kind == "cut"
    write_store(killed, root, log, combination, position if is_cut else 1 << 60)
    store = small_store(killed.kit, root)
    try:
        store.open()
    except StoreFileMismatch:
        # Bytes are gone that no start may make up: refused, and nothing was touched.
        assert is_cut
        assert position < FILE_SIZE or position == FILE_SIZE
        return
    try:
        check_open_store(killed, store, log)
    finally:
        store._appender.is_open = False
        store._table.unmap()
        store._log.deactivate()
        store._lock.release()


def topic_made_again(killed: Killed, log: bytes) -> str | None:
    """Topic whose last message has the queue offset 0 by its damage: so looks one that was deleted and made again."""
    last = {record.topic: record for record in killed.records}
    for record in last.values():
        if is_whole(log, record) and not any(log[record.begin + 20 : record.begin + 28]):
            return record.topic
    return None


def check_open_store(killed: Killed, store: MessageStore, log: bytes) -> None:
    delivered: set[bytes] = set()
    for topic in TOPICS:
        name = topic.decode()
        offset = store.min_offset(name, 0)
        while offset < store.max_offset(name, 0):
            result = store.get(name, 0, offset, 32)
            for record in result.buffers:
                assert bytes(record) not in delivered, "delivered twice"
                delivered.add(bytes(record))
            assert result.next_queue_offset > offset
            offset = result.next_queue_offset
    untouched = 0
    made_again = topic_made_again(killed, log)
    for record in killed.records:
        if record.topic == made_again:
            continue
        if log[record.begin : record.end] == killed.log[record.begin : record.end]:
            untouched += 1
            assert log[record.begin : record.end] in delivered, record
            unit = store.unit(record.topic, 0, record.queue_offset)
            assert unit is not None
            assert unit[0] == record.begin
            assert record.end <= store.wrote_offset
        elif is_whole(log, record):
            assert record.end <= store.wrote_offset
            assert store.read_record(record.begin) is not None
    # Of the record that was hit: at most what its damage made of it, and nothing that was never stored.
    assert made_again or len(delivered) <= untouched + 1
    assert len(delivered - {killed.log[record.begin : record.end] for record in killed.records}) <= 1


def run(killed: Killed, chosen: Iterable[tuple[str, int, int]]) -> int:
    count = 0
    root = killed.kit.folder / "case"
    for kind, position, combination in chosen:
        try:
            check(killed, root, kind, position, combination)
        except BaseException:
            print("case:", kind, position, dict(zip(BESIDE, COMBINATIONS[combination], strict=True)))
            raise
        count += 1
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_damage_costs_no_whole_record(killed: Killed, kind: str) -> None:
    """Every tenth byte, each with the next of the 16 combinations."""
    chosen = ((kind, position, position // 10 % len(COMBINATIONS)) for position in range(0, 2 * FILE_SIZE, 10))
    assert run(killed, chosen) > 600


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_damage_costs_a_whole_record(killed: Killed, kind: str, part: int) -> None:
    """Each byte with each combination."""
    chosen = (case for case in cases() if case[0] == kind and case[1] % PARTS == part)
    assert run(killed, chosen) == 2 * FILE_SIZE * len(COMBINATIONS) // PARTS
