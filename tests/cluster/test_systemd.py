"""Clusters as units of a real systemd: a user's manager, in a mount namespace in which it believes to be booted."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.toolchains import require_tools

SYSTEMD = Path("/lib/systemd/systemd")
COMMAND_SECONDS = 120
BOOT = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec {} --user"


class Manager:
    """A running `systemd --user` and the commands that it is asked with."""

    def __init__(self, process: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
        self._process = process
        self._environment = environment

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", str(self._process.pid), "--mount", "--", *command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def rmqctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "rmqctl", *arguments)

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", "--user", *arguments).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--property", name, "--value", unit)


@pytest.fixture
def manager(cli: Any, wait_until: Callable[..., None]) -> Iterator[Manager]:
    require_tools("unshare", "nsenter", "systemctl")
    if os.geteuid() != 0 or not SYSTEMD.exists():
        pytest.skip("needs root, to let a systemd of its own believe that it was booted")
    # Not below tmp_path: systemd's sockets want a short path.
    place = Path(tempfile.mkdtemp(prefix="rmqctl-systemd-"))
    for name in ("run", "config"):
        (place / name).mkdir(mode=0o700)
    environment = cli.environment | {"XDG_RUNTIME_DIR": str(place / "run"), "XDG_CONFIG_HOME": str(place / "config")}
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOT.format(SYSTEMD)],
            env=environment,
            stdout=log,
            stderr=log,
        )
    made = Manager(process, environment)
    try:
        wait_until(lambda: made.systemctl("is-system-running") in {"running", "degraded"}, "systemd is there")
        yield made
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(place)


def place_of(cli: Any) -> list[str]:
    return ["--broker-ip", "127.0.0.1", "--port-offset", str(cli.port_offset)]


def test_systemd_runs_a_cluster_and_brings_it_back(cli: Any, manager: Manager, wait_until: Callable[..., None]) -> None:
    unit = "rmqctl-rmqctl.service"
    installed = manager.rmqctl("systemd", "install", "--user", "--profile", "1m-1s", *place_of(cli))
    assert installed.returncode == 0, installed.stderr
    # `start` returned, so the unit said READY=1: the cluster serves.
    assert cli.run("topic", "create", "orders", "--queues", "1").returncode == 0
    assert cli.run("send", "orders", "kept").returncode == 0
    nodes = cli.pids()
    supervisor = int(manager.show(unit, "MainPID"))
    assert supervisor == cli.record()["supervisor"]["pid"]

    refused = manager.rmqctl("down")
    assert refused.returncode == 1
    assert f"systemctl --user stop {unit}" in refused.stderr
    assert cli.pids() == nodes

    os.kill(supervisor, 9)
    wait_until(
        lambda: (
            manager.show(unit, "MainPID") not in {"0", str(supervisor)}
            and manager.show(unit, "ActiveState") == "active"
        ),
        "systemd has brought the cluster back",
        30,
    )
    assert "kept" in cli.run("tail", "orders", "--from", "earliest", "-n", "1").stdout

    manager.systemctl("stop", unit)
    assert (manager.show(unit, "ActiveState"), manager.show(unit, "Result")) == ("inactive", "success")
    assert cli.status()["state"] == "stopped"
    assert manager.rmqctl("systemd", "uninstall", "--user").returncode == 0
    assert manager.systemctl("list-unit-files", "rmqctl-*", "--no-legend") == ""
    assert cli.up()["started"] is True
    assert cli.run("down").returncode == 0


def test_units_of_nodes_are_restarted_each_by_itself(
    cli: Any, manager: Manager, wait_until: Callable[..., None]
) -> None:
    installed = manager.rmqctl("systemd", "install", "--user", "--per-node", "--profile", "1m-1s", *place_of(cli))
    assert installed.returncode == 0, installed.stderr
    units = {node: f"rmqctl-rmqctl-{node}.service" for node in ("nameserver-0", "broker-a-0", "broker-a-1")}
    before = {node: manager.show(unit, "MainPID") for node, unit in units.items()}
    assert "0" not in before.values()
    status = json.loads(manager.rmqctl("status", "--json").stdout)
    assert status["state"] == "running"
    assert {node["name"]: str(node["pid"]) for node in status["nodes"]} == before
    assert manager.rmqctl("topic", "create", "orders", "--queues", "1").returncode == 0

    os.kill(int(before["broker-a-0"]), 9)
    wait_until(
        lambda: (
            manager.show(units["broker-a-0"], "NRestarts") == "1"
            and manager.show(units["broker-a-0"], "ActiveState") == "active"
        ),
        "systemd has restarted the master",
        30,
    )
    after = {node: manager.show(unit, "MainPID") for node, unit in units.items()}
    assert {node for node in units if before[node] != after[node]} == {"broker-a-0"}

    manager.systemctl("stop", "rmqctl-rmqctl.target")
    wait_until(
        lambda: {manager.show(unit, "ActiveState") for unit in units.values()} == {"inactive"},
        "the nodes have stopped with their target",
    )
    assert {manager.show(unit, "Result") for unit in units.values()} == {"success"}
    assert json.loads(manager.rmqctl("status", "--json").stdout)["state"] == "stopped"
    assert manager.rmqctl("systemd", "uninstall", "--user").returncode == 0


def test_a_machine_without_systemd_is_told_in_one_sentence(cli: Any) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("this machine was booted by systemd")
    refused = cli.run("systemd", "install", "--user", "--profile", "single")
    assert refused.returncode == 1
    assert "rmqctl: error: this machine has no systemd" in refused.stderr
    assert not (cli.home / "rmqctl").exists()
