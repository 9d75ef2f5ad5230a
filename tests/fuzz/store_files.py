"""Damage to the files that a broker reads at its start.

A start may refuse with a sentence (`StoreError`, `ConfigError`, an `OSError` with a path) or serve; it never fails in
another way, and what it served once it serves again: a second start on the same files shows the same messages.
"""

import shutil
from pathlib import Path
from random import Random
from typing import Any

from rmqnode.config import BrokerConfig, ConfigError
from rmqnode.protocol.bodies import SubscriptionGroupConfig
from rmqnode.store import StoreError
from tests.fuzz import values
from tests.unit.broker.conftest import Clock, Rig

_QUEUES = (("fuzz-0", 0), ("fuzz-0", 1), ("fuzz-1", 0))


def open_rig(root: Path) -> Rig:
    """A broker with small files on a store folder."""
    settings: dict[str, Any] = {
        "broker_ip1": "127.0.0.1",
        "broker_name": "broker-a",
        "store_path_root_dir": root,
        "mapped_file_size_commit_log_bytes": 1 << 20,
        "mapped_file_size_consume_queue_bytes": 2_000,
        "max_message_size_bytes": 1 << 16,
        "max_hash_slot_num": 50,
        "max_index_num": 200,
    }
    return Rig(BrokerConfig(**settings), Clock())


def make_store(root: Path) -> None:
    """A store with messages of several kinds, and with every table below `config/`."""
    rig = open_rig(root)
    for topic in ("fuzz-0", "fuzz-1"):
        rig.create_topic(topic)
    rig.broker.groups.put(SubscriptionGroupConfig(group_name="fuzz-group-0"))
    for number in range(150):
        topic, queue_id = _QUEUES[number % len(_QUEUES)]
        rig.send(topic, b"body %d" % number, {"KEYS": f"k{number}", "TAGS": "a"}, queue_id=queue_id)
        rig.clock.now_ms += 10
    rig.send("fuzz-0", b"later", {"DELAY": "3"})
    rig.send("fuzz-0", b"half", {"TRAN_MSG": "true", "PGROUP": "fuzz-group-1", "UNIQ_KEY": "U1"}, sys_flag=4)
    rig.heartbeat("fuzz-group-0", topics={"fuzz-0": "a"})
    for topic, queue_id in _QUEUES:
        rig.broker.offsets.commit("fuzz-group-0", topic, queue_id, 5)
    rig.close()


def files_of(root: Path) -> list[Path]:
    """Every file of a store, by its path below the root."""
    return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())


def damage(path: Path, chance: Random) -> str:
    """Damage one file; returns what was done, in words."""
    match chance.randrange(8):
        case 0:
            path.unlink()
            return "deleted"
        case 1:
            path.write_bytes(b"")
            return "emptied"
        case 2:
            size = chance.randrange(path.stat().st_size + 1)
            with path.open("r+b") as file:
                file.truncate(size)
            return f"cut to {size}"
        case 3:
            path.unlink()
            path.mkdir()
            return "made a folder"
        case 4:
            path.rename(
                path.with_name(chance.choice(("0", "00000000000000000001", "-1", "x.bak", "99999999999999999999")))
            )
            return "renamed"
        case _:
            data = path.read_bytes()
            used = len(data.rstrip(b"\0")) or len(data)
            path.write_bytes(values.changed_bytes(chance, data[:used], 3).ljust(len(data), b"\0")[: len(data)])
            return "changed"


def messages_of(rig: Rig) -> dict[tuple[str, int], list[bytes]]:
    """Body of every message that can be read, by queue."""
    found: dict[tuple[str, int], list[bytes]] = {}
    for topic, queue_id in _QUEUES:
        bodies = []
        for queue_offset in range(rig.store.min_offset(topic, queue_id), rig.store.max_offset(topic, queue_id)):
            unit = rig.store.unit(topic, queue_id, queue_offset)
            record = None if unit is None else rig.store.read_record(unit[0])
            if record is not None:
                bodies.append(bytes(record))
        found[topic, queue_id] = bodies
    return found


def start_on_damage(template: Path, root: Path, chance: Random) -> str:
    """Damage a copy of a store and start on it twice; returns what was done and what came of it."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
    done = []
    for relative in chance.sample(files_of(root), chance.choice((1, 1, 2))):
        done.append(f"{relative}: {damage(root / relative, chance)}")
    if chance.random() < 0.5:
        (root / "abort").touch()
        done.append("abort")
    what = ", ".join(done)
    try:
        first = open_rig(root)
    except (StoreError, ConfigError, OSError) as refusal:
        if isinstance(refusal, OSError) and refusal.filename is None:
            raise AssertionError(f"{what}: {refusal} does not say which file") from refusal
        return f"{what}: refused"
    try:
        shown = messages_of(first)
    finally:
        first.close()
    second = open_rig(root)
    try:
        assert messages_of(second) == shown, f"{what}: the second start shows other messages"
    finally:
        second.close()
    return f"{what}: served"
