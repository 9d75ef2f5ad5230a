"""The index against a plain model of Apache's: same bytes, same answers, nothing lost by crashes or damage."""

import errno
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmqnode.protocol.java_text import string_hash
from rmqnode.protocol.properties import find_property
from rmqnode.store.index.file import file_size
from rmqnode.store.index.key_hash import KeyHasher, key_hash

SLOTS, ENTRIES = 50, 100
KIT = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

Put = tuple[str, list[str], int, int]
"""Topic, keys, physical offset, store timestamp."""


class ModelFile:
    """An index file written entry by entry, as the specification says."""

    def __init__(self, previous: "ModelFile | None") -> None:
        self.content = bytearray(file_size(SLOTS, ENTRIES))
        self.begin_time, self.end_time = (previous.end_time,) * 2 if previous else (0, 0)
        self.begin, self.end = (previous.end,) * 2 if previous else (0, 0)
        self.count = 1

    def put(self, text: str, physical_offset: int, timestamp: int) -> None:
        code = min(abs(string_hash(text)), 2**31) % 2**31
        slot_at = 40 + code % SLOTS * 4
        (slot,) = struct.unpack_from(">i", self.content, slot_at)
        seconds = max(0, (timestamp - self.begin_time) // 1000) if self.begin_time else 0
        entry_at = 40 + SLOTS * 4 + self.count * 20
        struct.pack_into(">iqii", self.content, entry_at, code, physical_offset, seconds, slot)
        struct.pack_into(">i", self.content, slot_at, self.count)
        if self.count == 1:
            self.begin, self.begin_time = physical_offset, timestamp
        self.count += 1
        self.end, self.end_time = physical_offset, timestamp
        head = (self.begin_time, self.end_time, self.begin, self.end, self.count - 1, self.count)
        struct.pack_into(">qqqqii", self.content, 0, *head)


def model(puts: list[Put]) -> list[bytes]:
    files: list[ModelFile] = []
    for topic, keys, physical_offset, timestamp in puts:
        for key in keys:
            if not files or files[-1].count >= ENTRIES:
                files.append(ModelFile(files[-1] if files else None))
            files[-1].put(f"{topic}#{key}", physical_offset, timestamp)
    return [bytes(file.content) for file in files]


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["T", "T1", "主题"]),
        st.sampled_from([None, "k", "7F0000010002265355FDFD2B7714A7D4", "7F0000010002265355FDFD2B7714A7D5", "ключ"]),
        st.lists(st.sampled_from(["a", "order-1", "键", "k8"]), max_size=3),
        st.sampled_from([0, 0, 1, 999, 1000, 86_400_000, -5000]),
        st.sampled_from([0, 0, 0, 0x4, 0x8, 0xC]),
    ),
    max_size=120,
)


def put_all(kit: Any, store: Any, messages: list[Any]) -> list[Put]:
    puts = []
    for topic, unique_key, keys, later_ms, sys_flag in messages:
        kit.now += later_ms
        properties = {"KEYS": "  ".join(keys)} if keys else {}
        if unique_key:
            properties["UNIQ_KEY"] = unique_key
        properties["TAGS"] = "A"
        result = kit.put_keyed(store, topic, properties, sys_flag=sys_flag)
        found = ([unique_key] if unique_key else []) + keys
        puts.append((topic, [] if sys_flag == 0xC else found, result.physical_offset, kit.now))
    return puts


def test_a_key_hashes_as_in_java() -> None:
    assert (key_hash(b"T1", b"k1"), key_hash(b"T1", b"k1") % 500) == (79072524, 24)
    assert key_hash(b"T1", b"kv5") == key_hash(b"T1", b"m85")
    # "polygenelubricants" is the text whose hash has no absolute value.
    assert string_hash("polygenelubricants") == -(2**31)
    hasher = KeyHasher()
    assert key_hash(b"", b"") == string_hash("#")
    assert list(hasher.hashes(b"\1T\0\0")) == []


PROPERTIES = st.lists(
    st.tuples(
        st.sampled_from(["UNIQ_KEY", "KEYS", "TAGS", "WAIT", "XUNIQ_KEY", "MYKEYS", ""]),
        st.one_of(
            st.sampled_from(["7F0000010002265355FDFD2B7714A7D4", "true", "", "a  b", "é" * 16, "\x01", "x" * 300]),
            st.text(st.characters(codec="utf-8"), max_size=40),
        ),
    ),
    max_size=5,
)


@given(messages=st.lists(st.tuples(st.sampled_from(["T", "主题", "t" * 127]), PROPERTIES, st.booleans()), max_size=20))
@settings(max_examples=300)
def test_keys_are_found_and_hashed_as_if_every_message_were_the_first(messages: list[Any]) -> None:
    hasher = KeyHasher()
    for topic, pairs, ends_openly in messages:
        properties = "".join(f"{name}\x01{value}\x02" for name, value in pairs).encode("utf-8", "replace")
        properties = properties[:-1] if ends_openly else properties
        unique_key, keys = find_property(properties, "UNIQ_KEY"), find_property(properties, "KEYS")
        texts = [unique_key.decode("utf-8", "replace")] if unique_key else []
        texts += [key for key in (keys or b"").decode("utf-8", "replace").split(" ") if key]
        expected = [min(abs(string_hash(f"{topic}#{text}")), 2**31) % 2**31 for text in texts]
        field = topic.encode()
        record_end = bytes([len(field)]) + field + len(properties).to_bytes(2, "big") + properties
        assert list(hasher.hashes(record_end)) == expected
        assert list(hasher.hashes(record_end)) == expected


@given(messages=MESSAGES, slices=st.integers(1, 50))
@KIT
def test_files_are_byte_for_byte_what_apache_writes(
    kit: Any, tmp_path_factory: Any, messages: list[Any], slices: int
) -> None:
    root = tmp_path_factory.mktemp("bytes")
    store = kit.open(root)
    puts = put_all(kit, store, messages)
    while store.index.is_behind:
        store.index.build(slices)
    store.close()
    assert list(kit.index_files(root).values()) == model(puts)
    reopened = kit.open(root)
    assert not reopened.index.is_behind
    puts += put_all(kit, reopened, messages)
    reopened.close()
    assert list(kit.index_files(root).values()) == model(puts)


@given(messages=MESSAGES, after=st.integers(0, 120), synced_at=st.integers(0, 120), built_at=st.integers(0, 120))
@KIT
def test_a_crash_at_any_moment_leaves_no_entry_out_and_none_twice(
    kit: Any, tmp_path_factory: Any, messages: list[Any], after: int, synced_at: int, built_at: int
) -> None:
    root = tmp_path_factory.mktemp("crash") / "store"
    store = kit.open(root)
    puts = []
    for position, message in enumerate(messages):
        puts += put_all(kit, store, [message])
        if position == synced_at:
            kit.build_index(store)
            store.index.sync()
            store.flush_consume_queues()
            store.write_checkpoint()
        if position <= built_at or position >= after:
            kit.build_index(store)
    copy = root.parent / "copy"
    shutil.copytree(root, copy)
    # A power failure may keep later entries from the disk while slots already lead to them.
    killed = kit.open(copy)
    kit.build_index(killed)
    killed.close()
    assert list(kit.index_files(copy).values()) == model(puts)


@pytest.mark.parametrize("lost_entries", [1, 2, 30])
def test_entries_that_a_power_failure_lost_are_written_again(kit: Any, lost_entries: int) -> None:
    store = kit.open()
    puts = put_all(kit, store, [("T", "k", ["a"], 1, 0)] * 20)
    kit.build_index(store)
    store.index.sync()
    store.flush_consume_queues()
    store.write_checkpoint()
    puts += put_all(kit, store, [("T", f"later-{index}", ["a"], 1, 0) for index in range(28)])
    kit.build_index(store)
    root = kit.crashed_copy("power")
    (path,) = (root / "index").iterdir()
    content = bytearray(path.read_bytes())
    first = 40 + SLOTS * 4 + 20 * 41
    content[first : first + 20 * lost_entries] = bytes(20 * lost_entries)
    path.write_bytes(content)
    copy = kit.open(root)
    kit.build_index(copy)
    copy.close()
    assert list(kit.index_files(root).values()) == model(puts)


def offsets(store: Any, topic: str, key: str, *, count: int = 64, begin: int = 0, end: int = 1 << 62) -> list[int]:
    found = store.query(topic, key, count, begin, end)
    return [int.from_bytes(record[28:36], "big") for record in found.buffers]


@given(messages=MESSAGES)
@KIT
def test_a_query_finds_what_was_sent_with_the_key_and_is_in_a_queue(
    kit: Any, tmp_path_factory: Any, messages: list[Any]
) -> None:
    messages = [(topic, unique, keys, max(later, 0), flag) for topic, unique, keys, later, flag in messages]
    store = kit.open(tmp_path_factory.mktemp("query"), query_count_max=1000)
    puts = put_all(kit, store, messages)
    without_unit = {offset for (_, _, _, _, flag), (_, _, offset, _) in zip(messages, puts, strict=True) if flag & 0x4}
    kit.build_index(store)
    for topic, key in {(topic, key) for topic, keys, _, _ in puts for key in keys} | {("T", "nobody's")}:
        code = key_hash(topic.encode(), key.encode())
        same_hash = [
            offset
            for topic_of, keys, offset, _ in puts
            for each in keys
            if key_hash(topic_of.encode(), each.encode()) == code and offset not in without_unit
        ]
        assert offsets(store, topic, key, count=1000) == sorted(same_hash)
    store.close()


def test_a_query_is_bounded_by_count_and_time_newest_first(kit: Any) -> None:
    store = kit.open()
    for _ in range(250):
        kit.now += 1000
        kit.put_keyed(store, "T", {"KEYS": "k"})
    kit.build_index(store)
    all_of_them = offsets(store, "T", "k", count=1000)
    assert len(all_of_them) == 64  # query_count_max
    assert offsets(store, "T", "k", count=3) == all_of_them[-3:]
    assert offsets(store, "T", "k", count=0) == []
    begin = kit.now - 4000
    assert offsets(store, "T", "k", begin=begin) == all_of_them[-5:]
    assert offsets(store, "T", "k", begin=begin, end=begin + 2000) == all_of_them[-5:-2]
    assert offsets(store, "T", "k", begin=kit.now + 2000) == []
    found = store.query("T", "k", 1, 0, kit.now)
    assert (found.index_last_update_timestamp, found.index_last_update_offset) == (kit.now, all_of_them[-1])
    assert store.query("T", "other", 1, 0, kit.now) == ([], 0, 0)


def test_a_lost_index_is_built_again(kit: Any) -> None:
    store = kit.open()
    puts = put_all(kit, store, [("T", f"u{index}", ["a", "b"], 1, 0) for index in range(80)])
    store.close()
    for damage in ("gone", "short", "head"):
        root = kit.crashed_copy(damage)
        first = sorted((root / "index").iterdir())[0]
        if damage == "gone":
            shutil.rmtree(root / "index")
        elif damage == "short":
            first.write_bytes(first.read_bytes()[:-1])
        else:
            first.write_bytes(b"\xff" * 40 + first.read_bytes()[40:])
        store = kit.make(root)
        report = store.open()
        assert report.index_files_dropped == (0 if damage == "gone" else 3)
        assert ("index files dropped" in str(report)) is (damage != "gone")
        store.close()
        assert list(kit.index_files(root).values()) == model(puts)


@pytest.mark.parametrize("clean", [True, False])
def test_a_store_that_another_engine_left_is_indexed_from_where_that_stopped(kit: Any, clean: bool) -> None:
    store = kit.open()
    puts = put_all(kit, store, [("T", f"u{index}", ["a", "b"], 1, 0) for index in range(80)])
    if clean:
        store.close()
    else:
        kit.build_index(store)
        store.index.sync()
        store.flush_consume_queues()
        store.write_checkpoint()
    root = kit.crashed_copy("left")
    os.utime(root / "checkpoint", (1, 1))  # as if written by somebody else
    store = kit.make(root)
    # Apache's rule: after a crash only the files that its checkpoint knows to be full can be believed.
    assert store.open().index_files_dropped == (0 if clean else 1)
    assert store.index.is_behind is not clean
    kit.build_index(store)
    store.close()
    assert list(kit.index_files(root).values()) == model(puts)


def test_other_sizes_of_index_files_mean_building_it_anew(kit: Any) -> None:
    store = kit.open()
    put_all(kit, store, [("T", "u", [], 1, 0)] * 10)
    store.close()
    store = kit.open(index_slot_count=51)
    kit.build_index(store)
    assert len(offsets(store, "T", "u")) == 10


def test_foreign_names_in_the_folder_of_the_index_are_left_alone(kit: Any) -> None:
    kit.open().close()
    (kit.root / "index").mkdir()
    (kit.root / "index" / "notes.txt").write_text("mine")
    kit.open().close()
    assert (kit.root / "index" / "notes.txt").read_text() == "mine"


def test_without_messageIndexEnable_there_are_no_files(kit: Any) -> None:  # noqa: N802
    store = kit.open(message_index_enable=False)
    kit.put_keyed(store, "T", {"UNIQ_KEY": "u"})
    store.index.build(10)
    assert offsets(store, "T", "u") == []
    store.close()
    assert kit.index_files() == {}
    store = kit.open()
    kit.build_index(store)
    assert len(offsets(store, "T", "u")) == 1


def test_a_full_disk_delays_the_index_and_a_stop_in_between_is_no_clean_one(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kit.open()
    messages = [("T", f"u{index}", ["a", "b"], 1, 0) for index in range(60)]
    puts = put_all(kit, store, messages[:20])
    kit.build_index(store)
    puts += put_all(kit, store, messages[20:])
    real = os.posix_fallocate

    def full(descriptor: int, position: int, count: int) -> None:
        if "/index/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, position, count)

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="space"):
        kit.build_index(store)
    assert list(kit.index_files().values()) == model([put for put in puts if put[2] < store.index.offset])
    assert kit.put_keyed(store, "T", {}).status.name == "OK"
    store.close()
    assert (kit.root / "abort").exists()
    monkeypatch.undo()
    store = kit.open()
    kit.build_index(store)
    store.close()
    assert list(kit.index_files().values()) == model(puts)
    assert not (kit.root / "abort").exists()


def test_building_passes_over_damage_in_the_log(kit: Any) -> None:
    store = kit.open()
    puts = put_all(kit, store, [("T", f"u{index}", [], 1, 0) for index in range(10)])
    store.close()
    path: Path = kit.log_file(kit.root)
    content = bytearray(path.read_bytes())
    content[puts[4][2] : puts[4][2] + 8] = bytes(8)
    path.write_bytes(content)
    shutil.rmtree(kit.root / "index")
    store = kit.open()
    kit.build_index(store)
    assert [len(offsets(store, "T", f"u{index}")) for index in range(10)] == [1] * 4 + [0] + [1] * 5
