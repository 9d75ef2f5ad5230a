"""Logs that stay small, and the ledger: what is written, renamed, kept and decoded."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rmqctl.supervisor.files.last_error import LastError
from rmqctl.supervisor.files.ledger import Ledger, NodeStarted, configuration_hash, exited, timestamp
from rmqctl.supervisor.files.rotating_log import cut_if_full, rotate, rotate_if_full
from rmqctl.supervisor.messages import ClusterReady, NodeChanged
from rmqctl.supervisor.node_state import NodeStatus

WRITER = """
import os, sys
from rmqctl.supervisor.files.rotating_log import RotatingLog
sys.stdout = sys.stderr = RotatingLog(sys.argv[1], 1000, 2)
for number in range(int(sys.argv[2])):
    print(f"line {number:04} " + "x" * 80)
if len(sys.argv) == 3:
    os.write(1, b"written past Python\\n")
sys.stdout.write("no end")
sys.stdout.flush()
"""


def write(path: Path, lines: int, *more: str) -> None:
    subprocess.run([sys.executable, "-c", WRITER, str(path), str(lines), *more], check=True, timeout=60)


def test_log_is_renamed_when_it_is_full_and_no_line_is_torn_or_lost(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    write(log, 25)
    parts = [Path(f"{log}.2"), Path(f"{log}.1"), log]
    assert sorted(tmp_path.iterdir()) == sorted(parts)
    assert all(part.stat().st_size <= 1000 for part in parts)
    lines = "".join(part.read_text() for part in parts).split("\n")
    numbers = [int(line.split()[1]) for line in lines if line.startswith("line")]
    assert numbers == list(range(numbers[0], 25)), "only the oldest lines are gone"
    assert lines[-2:] == ["written past Python", "no end"]


def test_full_log_of_a_former_process_is_renamed_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    log.write_text("y" * 2000 + "\n")
    write(log, 1)
    assert Path(f"{log}.1").read_text().startswith("yyy")
    assert log.read_text().startswith("line 0000")


def test_log_that_cannot_be_written_does_not_end_the_process() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    write(full, 3, "through Python only")


FULL_AND_FREE = """
import os, sys
from pathlib import Path
from rmqctl.supervisor.files.rotating_log import RotatingLog
disk = Path(sys.argv[1])
log = RotatingLog(str(disk / "node.log"), 1 << 20, 2)
print("before", file=log)
ballast = (disk / "ballast").open("wb", buffering=0)
try:
    while True:
        ballast.write(bytes(4096))
except OSError:
    pass
for number in range(100):
    log.write(f"line {number:03} " + "x" * 990 + chr(10))
os.unlink(disk / "ballast")
ballast.close()
log.write("after" + chr(10))
"""


def test_lines_that_a_full_disk_takes_are_counted_and_the_log_says_so_later(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small tmpfs")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        subprocess.run([sys.executable, "-c", FULL_AND_FREE, str(tmp_path)], check=True, timeout=60)
        before, *kept, said, after = (tmp_path / "node.log").read_text().splitlines()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert (before, after) == ("before", "after")
    assert all(len(line) == 999 for line in kept), "no line is torn"
    lost = 100 - len(kept)
    assert said.endswith(f"{lost} lines were not written: the disk was full or could not be written")


def test_log_that_cannot_be_made_is_tried_again_with_each_line(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    program = f"""
import os, sys
from rmqctl.supervisor.files.rotating_log import RotatingLog
log = RotatingLog({str(folder / "node.log")!r}, 1000, 2)
log.write("lost" + chr(10))
os.mkdir({str(folder)!r})
log.write("kept" + chr(10))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    said, kept = (folder / "node.log").read_text().splitlines()
    assert "1 line was not written" in said
    assert kept == "kept"


def test_renaming_keeps_as_many_files_as_asked(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    for content in "abcd":
        log.write_text(content)
        rotate(log, 2)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x.log.1": "d", "x.log.2": "c"}
    log.write_text("e")
    rotate(log, 0)
    assert not log.exists()
    rotate_if_full(tmp_path / "nothing", 0, 1)


def test_log_of_another_program_is_copied_and_emptied_in_place(tmp_path: Path) -> None:
    log = tmp_path / "java.log"
    with log.open("a") as program:
        program.write("one\n" * 100)
        program.flush()
        cut_if_full(log, 1000, 2)
        assert Path(f"{log}.1").exists() is False, "it is not full yet"
        cut_if_full(log, 100, 2)
        program.write("two\n")
        program.flush()
    assert Path(f"{log}.1").read_text() == "one\n" * 100
    assert log.read_text() == "two\n"


def test_ledger_holds_one_line_an_entry_with_its_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "events.jsonl")
    ledger.write(NodeStarted(node="broker-a-0", pid=7, asked_by="rmqctl up (alice)", config="abc"))
    ledger.write(NodeChanged(node="broker-a-0", state=NodeStatus.READY, pid=7))
    ledger.write(ClusterReady())
    entries = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["started", "state", "ready"]
    assert all(entry["time"].startswith("20") for entry in entries)
    assert (entries[0]["asked_by"], entries[0]["config"]) == ("rmqctl up (alice)", "abc")


def test_events_that_could_not_be_written_are_counted_in_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "events.jsonl"
    ledger = Ledger(path)
    ledger.write(ClusterReady())
    ledger.write(ClusterReady())
    path.parent.mkdir()
    ledger.write(ClusterReady())
    ledger.write(ClusterReady())
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["event"] for event in events] == ["notice", "ready", "ready"]
    assert events[0]["text"] == "2 events were not written: the disk was full or could not be written"


def test_ledger_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    Ledger(tmp_path / "no folder" / "events.jsonl").write(ClusterReady())


@pytest.mark.parametrize(
    ("wait_status", "words", "code", "name"),
    [
        (1 << 8, "exit code 1 (it refused to start, or failed)", 1, None),
        (signal.SIGKILL, "killed by SIGKILL", None, "SIGKILL"),
        (None, "exit code unknown", None, None),
    ],
)
def test_exit_is_decoded(wait_status: int | None, words: str, code: int | None, name: str | None) -> None:
    entry = exited("n", 1, wait_status, engine="embedded", asked_by=None, cause=None, uptime_seconds=1.23456)
    assert (entry.exit, entry.exit_code, entry.signal, entry.uptime_seconds) == (words, code, name, 1.235)


def test_configuration_hash_changes_with_the_file_and_is_none_without_one(tmp_path: Path) -> None:
    conf = tmp_path / "broker.conf"
    assert configuration_hash(str(conf)) is None
    conf.write_text("a=1")
    first = configuration_hash(str(conf))
    conf.write_text("a=2")
    assert first != configuration_hash(str(conf))


def test_time_has_its_offset() -> None:
    assert timestamp(0.123)[19:23] == ".123"
    assert timestamp(0.123)[-3] == ":"


def test_last_error_is_kept_whole_in_one_line_and_without_control_characters() -> None:
    kept = LastError()
    kept.note(
        "2026-11-30 10:00:00,000 ERROR rmqnode.run first\n2026-11-30 10:00:00,001 INFO rmqnode.run ERROR nothing\n"
    )
    kept.note("no line of a log: ERROR \n")
    kept.note("2026-11-30 10:00:00,002 ERROR rmqnode.run \x1b[31m" + "x" * 5000)
    said = kept.take()
    assert said is not None
    assert said.startswith("?[31mxxx")
    assert len(said) == 4094
    assert LastError().take() is None
