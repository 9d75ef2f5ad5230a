"""Records of logs: read backwards, followed, merged, filtered."""

from datetime import datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rmqctl.cli.nodes.log_records import LogFollower, LogRecord, read_backwards, stamp_of
from rmqctl.cli.nodes.logs import without_twins

FIRST = "2026-11-23 10:00:00,001 INFO a starts"
SECOND = "2026-11-23 10:00:00,002 ERROR a fails\nTraceback (most recent call last):\n  File x\nValueError: y"
THIRD = "2026-11-23 10:00:00,003 WARN a ends"


def test_record_is_a_line_with_a_time_and_those_below_without(tmp_path: Path) -> None:
    log = tmp_path / "n.log"
    log.write_text("\n".join(["printed before", FIRST, SECOND, THIRD]) + "\n")
    records = list(read_backwards("n", log))
    assert [record.text for record in records] == [THIRD, SECOND, FIRST, "printed before"]
    assert [record.level for record in records] == ["WARN", "ERROR", "INFO", ""]
    assert [record.is_at_least("WARN") for record in records] == [True, True, False, False]
    assert records[0].time == stamp_of(datetime(2026, 11, 23, 10, 0, 0, 3000))


def test_renamed_files_are_read_after_the_current_one(tmp_path: Path) -> None:
    log = tmp_path / "n.log"
    log.write_text(THIRD + "\n")
    (tmp_path / "n.log.1").write_text(SECOND + "\n")
    (tmp_path / "n.log.2").write_text(FIRST + "\n")
    assert [record.text for record in read_backwards("n", log)] == [THIRD, SECOND, FIRST]
    log.unlink()
    assert [record.text for record in read_backwards("n", log)] == [SECOND, FIRST]
    assert list(read_backwards("n", tmp_path / "nothing")) == []


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=12))
def test_blocks_tear_no_line(lengths: list[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "n.log"
        texts = [f"2026-11-23 10:00:00,{index:03} INFO a {'x' * size}" for index, size in enumerate(lengths)]
        log.write_text("\n".join(texts) + "\n")
        assert [record.text for record in read_backwards("n", log)] == texts[::-1]


def test_follower_goes_on_through_renaming_and_emptying(tmp_path: Path) -> None:
    log = tmp_path / "n.log"
    log.write_text("old\n")
    follower = LogFollower("n", log)
    assert follower.read_new() == []
    with log.open("a") as file:
        file.write(FIRST + "\n2026-11-23 10:00")
    assert [record.text for record in follower.read_new()] == [FIRST]
    with log.open("a") as file:
        file.write(":00,002 INFO rest\n")
    log.rename(tmp_path / "n.log.1")
    log.write_text(THIRD + "\n")
    assert [record.text for record in follower.read_new()] == ["2026-11-23 10:00:00,002 INFO rest", THIRD]
    log.write_text("")
    assert follower.read_new() == []
    with log.open("a") as file:
        file.write("a line without a time\n")
    assert [record.text for record in follower.read_new()] == ["a line without a time"]


def test_follower_waits_for_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    follower = LogFollower("n", tmp_path / "n.log")
    assert follower.read_new() == []
    (tmp_path / "n.log").write_text(FIRST + "\n")
    assert [record.text for record in follower.read_new()] == [FIRST]


def test_twins_of_console_and_file_are_shown_once() -> None:
    one, other = LogRecord("t1", "n", "WARN", "x"), LogRecord("t1", "n", "WARN", "y")
    later = LogRecord("t2", "n", "WARN", "x")
    assert list(without_twins([one, other, one, later])) == [one, other, later]
    printed = LogRecord("", "n", "", "x")
    assert list(without_twins([printed, printed])) == [printed, printed]
