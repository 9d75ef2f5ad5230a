"""The process that forks nodes, with stand-ins for nodes; each test runs it in a program of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rmqctl.process_identity import identify

PROGRAM = Path(__file__).with_name("zygote_program.py")


class Program:
    """The running program and what it told so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.zygote = int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def start(self, name: str, what: str) -> int:
        (self.folder / name).write_text(what)
        assert self.process.stdin is not None
        self.process.stdin.write(f"start {name}\n")
        self.process.stdin.flush()
        forked = self.heard()
        assert forked["type"] == "forked"
        assert forked["node"] == name
        return int(forked["pid"])

    def heard(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._line())
        return message

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    running = Program(tmp_path)
    yield running
    running.process.kill()
    running.process.communicate()
    wait_until(lambda: identify(running.zygote) is None, "the zygote ends when its channel closes")


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.mark.parametrize(("what", "code"), [("exit 0", 0), ("exit 3", 3)])
def test_exit_of_a_node_is_reported_with_its_code(program: Program, what: str, code: int) -> None:
    pid = program.start("node", what)
    reaped = program.heard()
    assert reaped["pid"] == pid
    assert os.waitstatus_to_exitcode(reaped["wait_status"]) == code


def test_node_that_raises_leaves_a_traceback_in_its_log_and_its_own_exit_code(program: Program) -> None:
    program.start("node", "raise")
    assert os.waitstatus_to_exitcode(program.heard()["wait_status"]) == 70
    assert "ValueError: broken on purpose" in program.log("node")


def test_last_error_of_a_node_is_reported_also_when_its_log_could_not_be_written(program: Program) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    (program.folder / "node.log").symlink_to("/dev/full")
    program.start("node", "refuse 75")
    reaped = program.heard()
    assert os.waitstatus_to_exitcode(reaped["wait_status"]) == 75
    assert reaped["said"] == "can't use /store: refused"
    program.start("other", "exit 1")
    assert program.heard()["said"] is None


def test_start_that_accepts_loss_does_so_once(program: Program) -> None:
    for name, accepts_loss in (("lossy", True), ("node", False)):
        program.start(name, "exit 0")
        program.heard()
        assert f"accepts loss: {accepts_loss}" in program.log(name)


def test_killed_node_is_reported_with_its_signal(program: Program) -> None:
    pid = program.start("node", "sleep")
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(program.heard()["wait_status"]) == -signal.SIGKILL


def test_node_inherits_nothing_but_its_log(program: Program) -> None:
    program.start("node", "descriptors")
    program.heard()
    log = program.log("node")
    assert "open: [0, 1, 2]" in log
    assert "group leader: True" in log
    assert "SIGTERM default: True" in log


def test_nodes_outlive_a_supervisor_that_is_killed_and_the_zygote_does_not(program: Program) -> None:
    pid = program.start("node", "sleep")
    program.process.kill()
    wait_until(lambda: identify(program.zygote) is None, "the zygote ends")
    assert identify(pid) is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: identify(pid) is None, "the node is reaped by init")


@pytest.mark.parametrize("victim", ["supervisor", "zygote"])
def test_node_that_nobody_wrote_down_ends_with_its_supervisor_or_its_zygote(program: Program, victim: str) -> None:
    pids = [program.start(f"unwritten-{number}", "sleep") for number in range(3)]
    assert all(identify(pid) is not None for pid in pids)
    os.kill(program.process.pid if victim == "supervisor" else program.zygote, signal.SIGKILL)
    wait_until(lambda: all(identify(pid) is None for pid in pids), "the nodes end")
    assert not (program.folder / "unwritten-0.log").exists(), "they have not begun"


def test_many_nodes_that_end_at_once_are_all_reported(program: Program) -> None:
    pids = {program.start(f"node-{index}", "sleep") for index in range(8)}
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    assert {program.heard()["pid"] for _ in pids} == pids


def test_node_of_another_engine_becomes_its_program_with_the_same_pid_log_and_report(program: Program) -> None:
    state = "grep -h SigIgn /proc/self/status; echo pid $$ in $(pwd); exit 7"
    pid = program.start("node", "\n".join(["exec", "/bin/sh", "-c", state]))
    reaped = program.heard()
    assert (reaped["pid"], os.waitstatus_to_exitcode(reaped["wait_status"])) == (pid, 7)
    log = program.log("node")
    assert f"pid {pid} in {program.folder}" in log
    if "SigIgn" in log:
        ignored = int(log.split("SigIgn:")[1].split()[0], 16)
        assert not ignored & (1 << signal.SIGTERM - 1 | 1 << signal.SIGINT - 1 | 1 << signal.SIGPIPE - 1)


def test_program_that_is_not_there_is_a_crash_with_its_reason_in_the_log(program: Program) -> None:
    program.start("node", "exec\n/nowhere/java")
    assert os.waitstatus_to_exitcode(program.heard()["wait_status"]) == 70
    assert "/nowhere/java" in program.log("node") or "No such file" in program.log("node")
