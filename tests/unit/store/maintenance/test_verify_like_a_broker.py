"""What a broker would refuse, mend or leave out at its start, verification names; and it reads any bytes."""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmqnode.store import StoreError
from rmqnode.store.config_file import ConfigFile
from rmqnode.store.maintenance.config_check import CONFIG_TABLES
from rmqnode.store.maintenance.discovery import NotAStore, discover_options
from rmqnode.store.maintenance.repair import plan_repair, repair
from rmqnode.store.maintenance.verify import StoreCheck, Verification

KIT = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def check(root: Path) -> Verification:
    return StoreCheck(discover_options(root, needs_log=False)).run()


def fill(kit: Any, store: Any, count: int = 100) -> None:
    for index in range(count):
        kit.now += 100
        properties = b"UNIQ_KEY\x01u%d\x02KEYS\x01k%d\x02" % (index, index)
        kit.put(store, "T", index % 3, b"%d." % index * 200, properties=properties)


@pytest.fixture
def stopped(kit: Any) -> Path:
    """A store of two log files and several queue files, with tables, that was stopped cleanly."""
    store = kit.open()
    fill(kit, store)
    store.close()
    for name in CONFIG_TABLES:
        file = ConfigFile(kit.root / "config" / name)
        file.save("{}")
        file.save("{ }")
    assert check(kit.root).problems == []
    return Path(kit.root)


# --- topics that were deleted and made again ---------------------------------------------------------------------


@pytest.mark.parametrize("has_coverage", [True, False])
def test_queues_of_a_topic_that_was_deleted_and_made_again_are_not_missing(kit: Any, has_coverage: bool) -> None:
    store = kit.open()
    for index in range(64):
        kit.put(store, "q", index % 16, b"of the former life")
    store.delete_topic("q")
    kit.put(store, "q", 5, b"of the new one")
    store.close()
    ConfigFile(kit.root / "config" / "topics.json").save('{"topicConfigTable":{"q":{"topicName":"q"}}}')
    if not has_coverage:
        (kit.root / "coverage").unlink()
    found = check(kit.root)
    assert (found.problems, found.damaged_queues) == ([], set())


def test_a_topic_that_was_made_again_and_has_no_message_yet_is_not_missing(kit: Any) -> None:
    store = kit.open()
    for index in range(8):
        kit.put(store, "q", index % 4, b"of the former life")
    store.delete_topic("q")
    store.close()
    ConfigFile(kit.root / "config" / "topics.json").save('{"topicConfigTable":{"q":{"topicName":"q"}}}')
    assert check(kit.root).problems == []


def test_a_queue_of_a_topic_that_was_never_deleted_is_missing_though_another_one_begins_later(kit: Any) -> None:
    store = kit.open()
    for _ in range(4):
        kit.put(store, "q", 0, b"first")
    for _ in range(4):
        kit.put(store, "q", 1, b"later")
    store.close()
    ConfigFile(kit.root / "config" / "topics.json").save('{"topicConfigTable":{"q":{"topicName":"q"}}}')
    shutil.rmtree(kit.root / "consumequeue" / "q" / "0")
    (kit.root / "coverage").unlink()
    (problem,) = check(kit.root).problems
    assert problem.path == kit.root / "consumequeue" / "q" / "0"


# --- tables and marks --------------------------------------------------------------------------------------------

BROKEN_TABLES = {
    "cut short": b'{"topicConfigTable":{"a":{}',
    "empty": b"",
    "blank": b" \n",
    "zeros": bytes(4096),
    "an array": b"[1]",
    "null": b"null",
    "wrong shape": b'{"topicConfigTable":5,"subscriptionGroupTable":5,"offsetTable":5,"filterDataByTopic":5}',
    "no JSON": b'{"a":tru}',
    "binary": bytes(range(256)),
    "deep": b'{"x":' * 5000,
}


@pytest.mark.parametrize("name", CONFIG_TABLES)
@pytest.mark.parametrize("content", BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_table_that_the_broker_does_not_take_is_a_problem(stopped: Path, name: str, content: bytes) -> None:
    path = stopped / "config" / name
    path.write_bytes(content)
    file = ConfigFile(path)
    assert file.load(CONFIG_TABLES[name].decode) is not None, "the broker takes the backup"
    (problem,) = check(stopped).problems
    assert (problem.path, "the version before the last change" in problem.what) == (path, True)
    file.backup.write_bytes(content)
    with pytest.raises(StoreError):
        file.load(CONFIG_TABLES[name].decode)
    (problem,) = check(stopped).problems
    assert problem.path == path
    assert problem.what.endswith("is no better: the broker does not start")
    path.unlink()
    (problem,) = check(stopped).problems
    assert problem.path == file.backup


def test_a_broken_table_is_named_at_the_byte_where_it_breaks(stopped: Path) -> None:
    path = stopped / "config" / "topics.json"
    path.write_bytes('{"名": tru}'.encode())
    (problem,) = check(stopped).problems
    assert problem.position == len('{"名": tru'.encode()), "behind the word that it does not know"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("checkpoint", b"short", "has 5 bytes, expected were 4096"),
        ("checkpoint", b"\xff" * 4096, "physic_timestamp is -1, which is no time"),
        ("config/topics.json/", None, "cannot be read: Is a directory: the broker does not start"),
        ("config/topics.json.bak/", None, None),
        ("lock/", None, "is no file: the broker does not start"),
        ("abort/", None, "is no file: the broker does not start"),
        ("checkpoint/", None, "is no file: the broker does not start"),
        ("damaged/extents.json", b"[]", "the marks of damage cannot be read"),
    ],
)
def test_what_lies_beside_the_log_in_another_form_is_named(
    stopped: Path, name: str, content: bytes | None, what: str | None
) -> None:
    path = stopped / name.rstrip("/")
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    problems = check(stopped).problems
    assert [problem.path for problem in problems] == ([path] if what else [])
    assert not what or what in problems[0].what


# --- files of the log and of the queues --------------------------------------------------------------------------


def first_file(folder: Path) -> Path:
    return min(folder.iterdir())


@pytest.mark.parametrize("folder", ["commitlog", "consumequeue/T/1"])
@pytest.mark.parametrize("change", ["foreign file", "foreign folder", "missing", "cut", "longer", "renamed"])
def test_files_that_the_broker_refuses_are_all_named(stopped: Path, kit: Any, folder: str, change: str) -> None:
    place = stopped / folder
    path = first_file(place)
    if len(list(place.iterdir())) < 2:
        shutil.copyfile(path, place / f"{path.stat().st_size:020d}")
    match change:
        case "foreign file":
            (place / "notes.txt").write_text("x")
        case "foreign folder":
            (place / ("9" * 20)).mkdir()
        case "missing":
            shutil.copyfile(path, place / f"{3 * path.stat().st_size:020d}")
        case "cut":
            os.truncate(path, 40)
        case "longer":
            os.truncate(path, path.stat().st_size + 20)
        case "renamed":
            path.rename(place / f"{7:020d}")
    (stopped / "consumequeue" / "T" / "0" / "also foreign").write_text("x")
    with pytest.raises(StoreError):
        kit.make(stopped).open()
    named = {problem.path.parent for problem in check(stopped).problems}
    assert {place, stopped / "consumequeue" / "T" / "0"} <= named


def test_a_last_file_that_was_cut_short_is_named_and_the_rest_is_still_checked(stopped: Path) -> None:
    path = max((stopped / "commitlog").iterdir())
    os.truncate(path, 5000)
    found = check(stopped)
    assert (found.problems[0].path, found.problems[0].position) == (path, 5000)
    assert "the next start fills it up with zeros" in found.problems[0].what
    assert found.records > 40


@pytest.mark.parametrize("left", ["empty", "gone", "folder gone"])
def test_a_store_without_a_log_whose_queues_speak_of_messages_is_a_problem(stopped: Path, left: str) -> None:
    shutil.rmtree(stopped / "commitlog")
    if left != "folder gone":
        (stopped / "commitlog").mkdir()
    if left == "empty":
        (stopped / "commitlog" / f"{0:020d}").touch()
    found = check(stopped)
    assert "the consume queues speak of 100 messages: the broker does not start" in found.problems[-1].what
    assert plan_repair(found, ()) == [], "nothing is built anew from a log that is not there"


def test_nothing_is_built_anew_from_a_log_in_which_a_file_is_missing(stopped: Path, kit: Any) -> None:
    store = kit.open()
    fill(kit, store)
    store.close()
    log_files = sorted((stopped / "commitlog").iterdir())
    assert len(log_files) > 2
    log_files[1].unlink()
    found = check(stopped)
    assert any("a file is missing" in problem.what for problem in found.problems)
    assert plan_repair(found, ()) == []


@pytest.mark.parametrize("change", ["last file gone", "last file empty", "zeros"])
def test_queues_are_kept_when_the_messages_that_they_speak_of_are_gone_from_the_log(stopped: Path, change: str) -> None:
    log_files = sorted((stopped / "commitlog").iterdir())
    match change:
        case "last file gone":
            log_files[-1].unlink()
        case "last file empty":
            os.truncate(log_files[-1], 0)
        case "zeros":
            for path in log_files:
                path.write_bytes(bytes(path.stat().st_size))
    found = check(stopped)
    assert any("consume queues speak of" in problem.what for problem in found.problems)
    assert not any("consume queue" in step or "index" in step for step in plan_repair(found, ()))


# --- damage in the log -------------------------------------------------------------------------------------------


def damage_record(root: Path, options: Any, physical_offset: int) -> None:
    path = root / "commitlog" / f"{physical_offset - physical_offset % options.mapped_file_size_commit_log:020d}"
    content = bytearray(path.read_bytes())
    content[physical_offset % options.mapped_file_size_commit_log + 90] ^= 0x55
    path.write_bytes(content)


def test_a_damaged_stretch_is_told_with_its_messages_before_and_after_the_broker_met_it(
    kit: Any, stopped: Path
) -> None:
    store = kit.open()
    unit = store.unit("T", 1, 7)
    store.close()
    damage_record(stopped, kit.options(), unit[0])
    for expected in ("lost with them: T queue 1 offset 7", "; the broker steps over them"):
        found = check(stopped)
        (extent,) = found.extents
        assert (extent.begin, extent.end, extent.queues) == (unit[0], unit[0] + unit[1], (("T", 1, 7, 8),))
        (problem,) = found.problems
        assert expected in problem.what
        assert plan_repair(found, ()) == [], "the log is not changed, and queues and index are right"
        (stopped / "coverage").unlink()  # otherwise the broker has no reason to look so far back
        (stopped / "abort").touch()
        kit.open().close()


def test_a_mark_of_damage_on_a_stretch_that_is_whole_is_a_problem_and_taken_back(kit: Any, stopped: Path) -> None:
    store = kit.open()
    unit = store.unit("T", 1, 7)
    store.close()
    damage_record(stopped, kit.options(), unit[0])
    (stopped / "coverage").unlink()
    kit.open().close()
    damage_record(stopped, kit.options(), unit[0])  # as it was
    found = check(stopped)
    assert any("is marked as damaged, and whole" in problem.what for problem in found.problems)
    repair(discover_options(stopped), found, cut_tail=False)
    assert check(stopped).problems == []
    assert not (stopped / "damaged" / "extents.json").exists()
    store = kit.open()
    assert store.unit("T", 1, 7) == unit
    store.close()


def test_the_next_file_s_first_record_may_be_damaged_too_without_a_tail_being_seen(kit: Any, stopped: Path) -> None:
    file_size = kit.log_file_size
    damage_record(stopped, kit.options(), file_size)
    path = kit.log_file(stopped)
    content = bytearray(path.read_bytes())
    last = content.rstrip(b"\0").rfind(b"\xda\xa3\x20\xa7") - 4
    content[last + 90] ^= 0x55
    path.write_bytes(content)
    found = check(stopped)
    assert found.tail_bytes == 0
    assert len(found.extents) >= 1
    assert found.records > 90


# --- any bytes ---------------------------------------------------------------------------------------------------


def damage(rng: random.Random, root: Path) -> None:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    path = rng.choice(paths)
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content) + 1)
    match rng.randrange(6):
        case 0 | 1:
            content[at : at + 1] = bytes([rng.randrange(256)])
        case 2:
            content[at : at + 64] = rng.randbytes(64)
        case 3:
            del content[at:]
        case 4:
            content[at:] = bytes(len(content) - at)
        case 5:
            path.rename(path.with_name(rng.choice(["x", f"{rng.randrange(10**6):020d}", "0"])))
            return
    path.write_bytes(content)


@given(seed=st.integers(0, 2**32))
@KIT
def test_whatever_is_damaged_verification_ends_and_what_the_broker_refuses_is_no_ok(
    kit: Any, tmp_path_factory: Any, seed: int
) -> None:
    rng = random.Random(seed)
    root = tmp_path_factory.mktemp("any") / "store"
    kit.now = 1_700_000_000_000
    store = kit.open(root)
    fill(kit, store, 40)
    store.close()
    for name in CONFIG_TABLES:
        ConfigFile(root / "config" / name).save("{}")
    if rng.randrange(2):
        (root / "abort").touch()
    for _ in range(rng.randrange(1, 4)):
        damage(rng, root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    try:
        found = check(root)
    except NotAStore:
        return
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    plan_repair(found, ())
    refusal, count = start(kit, root)
    assert refusal is None or found.problems, f"the broker refuses, and verification said ok: {refusal}"
    if refusal is None and not found.problems and not found.tail_bytes:
        assert count == 40, "the broker leaves messages out, and verification said ok"


def start(kit: Any, root: Path) -> tuple[Exception | None, int]:
    """Start as a broker does; return why that is refused, or how many messages are served."""
    opened = kit.make(root)
    try:
        opened.open()
        for name, kind in CONFIG_TABLES.items():
            ConfigFile(root / "config" / name).load(kind.decode)
        starts = [opened.min_offset("T", queue_id) for queue_id in range(3)]
        return None, sum(len(kit.bodies(opened, "T", queue_id, starts[queue_id])) for queue_id in range(3))
    except (StoreError, OSError) as error:
        return error, 0
    finally:
        opened.close()


# --- what is repaired --------------------------------------------------------------------------------------------


def whole_bodies(kit: Any, root: Path) -> set[bytes]:
    """Bodies that a broker serves as they were sent."""
    store = kit.open(root)
    found = {
        body for queue_id in range(3) for body in kit.bodies(store, "T", queue_id, store.min_offset("T", queue_id))
    }
    store.close()
    return found & {b"%d." % index * 200 for index in range(100)}


def test_a_field_that_says_another_queue_offset_is_the_record_s_problem_and_not_the_queue_s(
    kit: Any, stopped: Path
) -> None:
    store = kit.open()
    unit = store.unit("T", 1, 7)
    store.close()
    path = kit.log_file(stopped)
    content = bytearray(path.read_bytes())
    content[unit[0] + 27] = 99
    path.write_bytes(content)
    found = check(stopped)
    (problem,) = found.problems
    assert (problem.path, problem.position) == (path, unit[0] + 20)
    assert "the record says queue offset 99, and is 7 of T/1: the field is damaged" in problem.what
    assert found.damaged_queues == set()


def test_repairing_the_index_does_not_hide_from_the_next_start_that_a_queue_lacks_units(
    kit: Any, stopped: Path
) -> None:
    (stopped / "abort").touch()
    queue = max((stopped / "consumequeue" / "T" / "2").iterdir())
    content = queue.read_bytes()
    end = len(content.rstrip(b"\0")) + -len(content.rstrip(b"\0")) % 20
    queue.write_bytes(content[: end - 60] + bytes(len(content) - end + 60))
    index = max((stopped / "index").iterdir())
    index.write_bytes(index.read_bytes()[:300])
    found = check(stopped)
    assert repair(discover_options(stopped), found, cut_tail=True) == ["index built anew"]
    assert len(whole_bodies(kit, stopped)) == 100


@given(seed=st.integers(0, 2**32))
@KIT
def test_no_repair_takes_a_whole_message_from_what_the_broker_serves(
    kit: Any, tmp_path_factory: Any, seed: int
) -> None:
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("any")
    root, repaired = folder / "store", folder / "repaired"
    kit.now = 1_700_000_000_000
    store = kit.open(root)
    fill(kit, store)
    store.close()
    for name in rng.choice([[], ["coverage"], ["coverage", "checkpoint"]]):
        (root / name).unlink()
    if rng.randrange(2):
        (root / "abort").touch()
    for _ in range(rng.randrange(1, 4)):
        parts = [path for name in ("commitlog", "consumequeue", "index") for path in (root / name).rglob("*")]
        path = rng.choice([path for path in parts if path.is_file()])
        content = bytearray(path.read_bytes())
        at = rng.randrange(len(content.rstrip(b"\0")) + 1)
        size = min(rng.choice([1, 1, 8, 64, 2000]), len(content) - at)
        content[at : at + size] = rng.choice([rng.randbytes(size), bytes(size)])
        path.write_bytes(content)
    shutil.copytree(root, repaired, copy_function=shutil.copy2)
    repair(discover_options(repaired), check(repaired), cut_tail=True)
    left = whole_bodies(kit, root) - whole_bodies(kit, repaired)
    assert left == set()
