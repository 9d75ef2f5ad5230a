"""Verification finds every damage and its exact place, and no other; repairing brings every derived byte back."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmqnode.store.maintenance.discovery import NotAStore, discover_options
from rmqnode.store.maintenance.repair import repair
from rmqnode.store.maintenance.verify import StoreCheck, Verification

KIT = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def fill(kit: Any, store: Any, count: int = 145) -> None:
    for index in range(count):
        kit.now += 100
        properties = b"UNIQ_KEY\x01u%d\x02KEYS\x01k%d\x02TAGS\x01TagA\x02" % (index, index)
        kit.put(store, "T", index % 3, b"%d." % index * 150, tags_code=2598919, properties=properties)
        kit.put(store, "U", 0, b"without keys")


@pytest.fixture
def stopped(kit: Any) -> Path:
    """A store that was stopped cleanly."""
    store = kit.open()
    fill(kit, store)
    store.close()
    return Path(kit.root)


def check(root: Path) -> Verification:
    return StoreCheck(discover_options(root)).run()


def derived(root: Path) -> dict[str, bytes]:
    """Content of everything that is rebuilt; the name of an index file is its time."""
    queues = {str(path): path.read_bytes() for path in (root / "consumequeue").rglob("*") if path.is_file()}
    index = {str(number): path.read_bytes() for number, path in enumerate(sorted((root / "index").iterdir()))}
    return {name.replace(str(root), ""): content for name, content in (queues | index).items()}


def test_sizes_are_read_from_the_files(kit: Any, stopped: Path) -> None:
    found, made = discover_options(stopped), kit.options()
    for name in ("mapped_file_size_commit_log", "mapped_file_size_consume_queue", "index_slot_count"):
        assert getattr(found, name) == getattr(made, name)
    assert found.index_entry_count_max == made.index_entry_count_max
    with pytest.raises(NotAStore, match="no commit log file"):
        discover_options(stopped / "config")


def test_a_stopped_store_is_clean(stopped: Path) -> None:
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    found = check(stopped)
    assert (found.problems, found.tail_bytes, found.notes, found.records) == ([], 0, [], 290)
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_a_killed_store_has_notes_but_no_problems(kit: Any) -> None:
    store = kit.open()
    fill(kit, store, 40)
    kit.build_index(store)
    fill(kit, store, 5)
    found = check(kit.crashed_copy("killed"))
    assert found.problems == []
    assert len(found.notes) == 1
    assert "index lacks the messages" in found.notes[0]


def test_deleted_and_recreated_topics_and_expired_files_are_no_problem(kit: Any) -> None:
    store = kit.open()
    for index in range(60):
        kit.put(store, "Gone", 0, b"x")
        kit.put(store, "Again", 0, b"old")
        kit.put(store, "T", 0, bytes(4000), properties=b"UNIQ_KEY\x01%d\x02" % index)
    store.delete_topic("Gone")
    store.delete_topic("Again")
    kit.put(store, "Again", 0, b"new")
    store.flush_commit_log()
    path = store.cleaner._log.take_oldest_file(None)
    assert path is not None
    path.unlink()
    for expired in store.cleaner.trim():
        for each in expired:
            each.unlink()
    store.close()
    found = check(kit.root)
    assert (found.problems, found.notes) == ([], [])


@pytest.mark.parametrize("where", ["size", "body", "topic"])
def test_a_damaged_record_is_named_with_its_place_and_never_repaired(kit: Any, stopped: Path, where: str) -> None:
    options = discover_options(stopped)
    store = kit.open()
    unit = store.unit("T", 0, 10)
    store.close()
    path = kit.log_file(stopped)
    content = bytearray(path.read_bytes())
    content[unit[0] + {"size": 0, "body": 90, "topic": unit[1] - 40}[where]] ^= 0x55
    path.write_bytes(content)
    found = check(stopped)
    if where == "topic":  # nothing in a record protects what is not its body
        assert found.problem_count >= 1
        return
    assert (found.problems[0].path, found.problems[0].position) == (path, unit[0])
    assert "are no record, others follow" in found.problems[0].what
    damaged = path.read_bytes()
    repair(options, found, cut_tail=True)
    assert path.read_bytes() == damaged


def test_a_torn_tail_is_cut_only_when_asked_for(kit: Any) -> None:
    store = kit.open()
    fill(kit, store, 10)
    end = store.wrote_offset
    root = kit.crashed_copy("torn")
    path = kit.log_file(root)
    content = bytearray(path.read_bytes())
    content[end : end + 5] = b"\0\0\1\0\xda"
    path.write_bytes(content)
    found = check(root)
    assert (found.problems, found.end_offset, found.tail_bytes) == ([], end, 5)
    repair(discover_options(root), found, cut_tail=False)
    assert path.read_bytes() == content
    assert repair(discover_options(root), found, cut_tail=True) == [
        "5 bytes behind the last record cut from the commit log"
    ]
    assert check(root).tail_bytes == 0


DERIVED_FILES = ["consumequeue/T/0", "consumequeue/T/2", "consumequeue/U/0", "index"]


@given(
    folder=st.sampled_from(DERIVED_FILES),
    which=st.integers(0, 9),
    place=st.integers(0),
    noise=st.binary(min_size=1, max_size=40),
)
@KIT
def test_damage_in_queues_and_index_is_found_and_repaired_byte_for_byte(
    kit: Any, tmp_path_factory: Any, folder: str, which: int, place: int, noise: bytes
) -> None:
    root = tmp_path_factory.mktemp("damage") / "store"
    kit.now = 1_700_000_000_000
    store = kit.open(root)
    fill(kit, store)
    store.close()
    whole = derived(root)
    paths = sorted((root / folder).iterdir())
    path = paths[which % len(paths)]
    before = path.read_bytes()
    content = bytearray(before)
    at = place % len(content)
    content[at : at + len(noise)] = noise[: len(content) - at]
    path.write_bytes(content)
    found = check(root)
    if bytes(content) == whole.get(str(path).replace(str(root), "")) or derived(root) == whole:
        assert found.problems == []
        return
    options = discover_options(root)
    if folder == "index" and found.problem_count == 0:
        # Nobody reads the head's count of slots, nor entry 0, which is never used.
        changed = [place for place, byte in enumerate(content) if before[place] != byte]
        assert all(32 <= place < 36 or 240 <= place < 260 for place in changed)
        return
    assert found.problem_count == 1
    assert str(found.problems[0].path).startswith(str(root / folder))
    if options.index_slot_count != 50:
        return
    repair(options, found, cut_tail=False)
    assert check(root).problems == []
    assert derived(root) == whole


def test_a_lost_queue_is_found_by_the_other_queues_of_its_topic(kit: Any, stopped: Path) -> None:
    whole = derived(stopped)
    shutil.rmtree(stopped / "consumequeue/T/1")
    (stopped / "coverage").unlink()  # as another engine leaves it
    found = check(stopped)
    assert found.problem_count == 1
    assert found.problems[0].path == stopped / "consumequeue/T/1"
    assert "the queue is missing; the log has 48 of its messages" in found.problems[0].what
    repair(discover_options(stopped), found, cut_tail=False)
    assert check(stopped).problems == []
    assert derived(stopped) == whole


@pytest.mark.parametrize("known_by", ["topics.json", "coverage", None])
def test_a_lost_topic_is_a_problem_as_long_as_something_tells_it_from_a_deleted_one(
    kit: Any, stopped: Path, known_by: str | None
) -> None:
    whole = derived(stopped)
    shutil.rmtree(stopped / "consumequeue/U")
    if known_by != "coverage":
        (stopped / "coverage").unlink()
    if known_by == "topics.json":
        (stopped / "config").mkdir()
        (stopped / "config" / "topics.json").write_text('{"topicConfigTable":{"T":{},"U":{}}}')
    found = check(stopped)
    if known_by is None:
        assert found.problems == []
        assert "messages of topic U, which has no queue" in found.notes[0]
        return
    assert (found.problem_count, found.notes) == (1, [])
    assert "the queue is missing" in found.problems[0].what
    repair(discover_options(stopped), found, cut_tail=False)
    assert derived(stopped) == whole
    kit.open().close()
    assert check(stopped).problems == []
    assert derived(stopped) == whole


def test_a_queue_ahead_of_the_log_is_a_problem(kit: Any, stopped: Path) -> None:
    path = sorted((stopped / "consumequeue" / "U" / "0").iterdir())[-1]
    content = path.read_bytes()
    end = len(content.rstrip(b"\0")) + -len(content.rstrip(b"\0")) % 20
    assert end < len(content)
    unit = (1 << 20).to_bytes(8, "big") + (100).to_bytes(4, "big") + bytes(8)
    path.write_bytes(content[:end] + unit + content[end + 20 :])
    (problem,) = check(stopped).problems
    assert (problem.path, problem.position) == (path, end)
    assert "behind the end of the log" in problem.what
