"""Clusters for tests: the real CLI, real processes, each test with a home, ports and processes of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from tests.ports import free_port_offset

_MARK = "RMQCTL_TEST_MARK"
_COMMAND_SECONDS = 150
"""A limit for what hangs. Six Java nodes on a busy machine take half of it to come up or to go down."""


class Cli:
    """`rmqctl` with a home and a port offset of its own; finds every process that it left behind."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port_offset = free_port_offset()
        self._mark = uuid.uuid4().hex
        self._started: list[subprocess.Popen[str]] = []
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in ("NAMESRV_ADDR", "RMQCTL_HOME")},
            "RMQCTL_HOME": str(home),
            _MARK: self._mark,
        }

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; stdout and stderr are kept apart."""
        return subprocess.run(
            [sys.executable, "-m", "rmqctl", *arguments],
            env=self.environment,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and let it run; `end` ends it at the latest."""
        command = subprocess.Popen(
            [sys.executable, "-m", "rmqctl", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(command)
        return command

    def up(self, *arguments: str) -> dict[str, Any]:
        """Bring a cluster up on loopback; returns what `--json` printed."""
        done = self.run("up", *self.place(), "--json", *arguments)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def place(self) -> list[str]:
        """Options that keep a cluster away from everybody else's."""
        return ["--broker-ip", "127.0.0.1", "--port-offset", str(self.port_offset)]

    def status(self, *arguments: str) -> dict[str, Any]:
        """What `rmqctl status --json` prints."""
        document: dict[str, Any] = json.loads(self.run("status", "--json", *arguments).stdout)
        return document

    def pids(self, *arguments: str) -> dict[str, int]:
        """Pid of every node."""
        return {node["name"]: node["pid"] for node in self.status(*arguments)["nodes"]}

    def processes(self) -> list[psutil.Process]:
        """Every process that a command of this object started, and that still runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def leftover(self) -> list[psutil.Process]:
        """What still runs of `processes` after the time that ended ones need to be gone."""
        deadline = time.monotonic() + _GONE_SECONDS
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def end(self, left: list[psutil.Process]) -> None:
        """Kill what is left, and let go of every command that a test started and, failing, left behind."""
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        for command in self._started:
            with command:
                command.kill()
        psutil.wait_procs(left, timeout=10)

    def record(self, cluster: str = "rmqctl") -> dict[str, Any]:
        """The content of supervisor.json."""
        document: dict[str, Any] = json.loads((self.home / cluster / "supervisor.json").read_text())
        return document


_GONE_SECONDS = 10.0
"""`down` returns when the supervisor has given the cluster up; it and its helper are about to exit then."""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """A CLI of its own, its home in a path with blanks; no process of it may be left at the end."""
    made = Cli(tmp_path / "a home")
    yield made
    made.end(made.processes())


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Two masters for all tests of one file, which use topics of their own and leave the nodes alone."""
    made = Cli(tmp_path_factory.mktemp("shared") / "a home")
    try:
        made.up("--profile", "2m-noslave")
        yield made
    finally:
        made.run("down")
        made.end(made.leftover())


@pytest.fixture
def topic(shared_cluster: Cli) -> str:
    """A topic of two queues on each of the two masters of `shared_cluster`."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    done = shared_cluster.run("topic", "create", name, "--queues", "2")
    assert done.returncode == 0, done.stderr
    return name


class WaitUntil(Protocol):
    def __call__(self, condition: Callable[[], object], what: str, timeout_seconds: float = 60) -> None: ...


@pytest.fixture
def wait_until() -> WaitUntil:
    """Wait for a condition; fails with what was waited for."""

    def wait(condition: Callable[[], object], what: str, timeout_seconds: float = 60) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}"
            time.sleep(0.02)

    return wait


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of as many MiB as the test says."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
