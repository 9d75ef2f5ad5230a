"""Clusters as units of a real systemd: a user's manager, in a mount namespace in which it believes to be booted."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import WaitUntil
from tests.cluster.systemd_managers import UserManager, is_root_with_systemd, user_manager


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder; not below tmp_path, because systemd's sockets want a short path."""
    made = Path(tempfile.mkdtemp(prefix="rmqctl-systemd-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def manager(cli: Any, place: Path, wait_until: WaitUntil) -> Iterator[UserManager]:
    if not is_root_with_systemd():
        pytest.skip("needs root, to let a systemd of its own believe that it was booted")
    with user_manager(cli.environment, place, wait_until) as made:
        yield made


def place_of(cli: Any) -> list[str]:
    return ["--broker-ip", "127.0.0.1", "--port-offset", str(cli.port_offset)]


def test_systemd_runs_a_cluster_and_brings_it_back(cli: Any, manager: UserManager, wait_until: WaitUntil) -> None:
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


def test_units_of_nodes_are_restarted_each_by_itself(cli: Any, manager: UserManager, wait_until: WaitUntil) -> None:
    installed = manager.rmqctl("systemd", "install", "--user", "--per-node", "--profile", "1m-1s", *place_of(cli))
    assert installed.returncode == 0, installed.stderr
    units = {node: f"rmqctl-rmqctl-{node}.service" for node in ("nameserver-0", "broker-a-0", "broker-a-1")}
    before = {node: manager.show(unit, "MainPID") for node, unit in units.items()}
    assert "0" not in before.values()
    status = json.loads(manager.rmqctl("status", "--json").stdout)
    assert status["state"] == "running"
    assert {node["name"]: str(node["pid"]) for node in status["nodes"]} == before
    assert all(node["cpu_percent"] >= 0 and node["memory_bytes"] > 2**20 for node in status["nodes"])
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

    configuration = cli.home / "rmqctl" / "broker-a-1" / "broker.conf"
    right = configuration.read_text()
    configuration.write_text(f"{right}listenPort=many\n")
    os.kill(int(before["broker-a-1"]), 9)

    def slave() -> dict[str, Any]:
        nodes: list[dict[str, Any]] = json.loads(manager.rmqctl("status", "--json").stdout)["nodes"]
        return nodes[-1]

    wait_until(lambda: slave()["last_exit"] == "exit code 2 (its configuration is wrong)", "status says why it ended")
    configuration.write_text(right)
    wait_until(lambda: slave()["state"] == "ready", "systemd goes on trying")

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
