"""Clusters as units of the system's own systemd, process 1 of namespaces that it was booted in."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import WaitUntil
from tests.cluster.systemd_managers import SystemManager, is_root_with_systemd, system_manager

RESTART_SECONDS = 30
WATCHDOG_SECONDS = 3
"""Instead of the 30 s that the units say; enough for a machine that is busy with other tests."""

JOURNAL_UNITS = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
UNIT = "rmqctl-rmqctl.service"
TARGET = "rmqctl-rmqctl.target"
NODES = ("nameserver-0", "broker-a-0", "broker-a-1")
UNITS = {node: f"rmqctl-rmqctl-{node}.service" for node in NODES}


@pytest.fixture
def manager(cli: Any, tmp_path: Path, wait_until: WaitUntil) -> Iterator[SystemManager]:
    if not is_root_with_systemd():
        pytest.skip("needs root, to boot a systemd of its own")
    # A home of its own beside which the system's is found.
    del cli.environment["RMQCTL_HOME"]
    environment = cli.environment | {"XDG_DATA_HOME": str(tmp_path)}
    with system_manager(environment, tmp_path, wait_until) as made:
        yield made


def install(cli: Any, manager: SystemManager, *options: str) -> None:
    place = ["--broker-ip", "127.0.0.1", "--port-offset", str(cli.port_offset)]
    done = manager.rmqctl("systemd", "install", "--no-start", "--profile", "1m-1s", *place, *options)
    assert done.returncode == 0, done.stderr
    for unit in UNITS.values() if "--per-node" in options else [UNIT]:
        manager.write(f"/etc/systemd/system/{unit}.d/watchdog.conf", f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\n")
    manager.systemctl("daemon-reload")
    manager.systemctl("start", TARGET if "--per-node" in options else UNIT)


def status(manager: SystemManager) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(manager.rmqctl("status", "--json").stdout)
    return document


def pids(manager: SystemManager) -> dict[str, str]:
    return {node["name"]: str(node["pid"]) for node in status(manager)["nodes"]}


def is_active_again(manager: SystemManager, unit: str, former_pid: str) -> bool:
    return manager.show(unit, "ActiveState") == "active" and manager.show(unit, "MainPID") not in {"0", former_pid}


def test_unit_of_a_cluster_brings_it_up_keeps_it_and_takes_it_down(
    cli: Any, manager: SystemManager, wait_until: WaitUntil
) -> None:
    install(cli, manager)
    assert (manager.show(UNIT, "ActiveState"), manager.show(UNIT, "DynamicUser")) == ("active", "yes")
    assert status(manager)["state"] == "running"
    assert manager.rmqctl("topic", "create", "orders", "--queues", "1").returncode == 0
    assert manager.rmqctl("send", "orders", "kept").returncode == 0

    before = pids(manager)
    manager.send_signal(before["broker-a-0"], "KILL")
    wait_until(lambda: pids(manager)["broker-a-0"] not in {before["broker-a-0"], "None"}, "the node is back")
    wait_until(lambda: status(manager)["state"] == "running", "the supervisor brought its node back")
    assert manager.show(UNIT, "NRestarts") == "0"

    supervisor = manager.show(UNIT, "MainPID")
    manager.send_signal(supervisor, "KILL")
    wait_until(lambda: is_active_again(manager, UNIT, supervisor), "systemd brought the cluster back", RESTART_SECONDS)
    supervisor = manager.show(UNIT, "MainPID")
    manager.send_signal(supervisor, "STOP")
    wait_until(lambda: is_active_again(manager, UNIT, supervisor), "the watchdog found the supervisor", RESTART_SECONDS)
    assert "kept" in manager.rmqctl("tail", "orders", "--from", "earliest", "-n", "1").stdout

    manager.systemctl("stop", UNIT)
    assert (manager.show(UNIT, "ActiveState"), manager.show(UNIT, "Result")) == ("inactive", "success")
    assert status(manager)["state"] == "stopped"
    assert manager.rmqctl("systemd", "uninstall").returncode == 0
    assert manager.systemctl("list-unit-files", "rmqctl-*", "--no-legend") == ""


def test_units_of_nodes_are_kept_each_by_itself_and_stop_with_their_target(
    cli: Any, manager: SystemManager, wait_until: WaitUntil
) -> None:
    install(cli, manager, "--per-node")
    before = {node: manager.show(unit, "MainPID") for node, unit in UNITS.items()}
    assert pids(manager) == before
    assert manager.rmqctl("topic", "create", "orders", "--queues", "1").returncode == 0

    manager.send_signal(before["broker-a-0"], "KILL")
    manager.send_signal(before["nameserver-0"], "STOP")
    for node in ("broker-a-0", "nameserver-0"):
        wait_until(
            lambda node=node: is_active_again(manager, UNITS[node], before[node]), f"{node} is back", RESTART_SECONDS
        )
    after = {node: manager.show(unit, "MainPID") for node, unit in UNITS.items()}
    assert after["broker-a-1"] == before["broker-a-1"]
    wait_until(lambda: status(manager)["state"] == "running", "the cluster is whole")

    manager.systemctl("stop", TARGET)
    wait_until(
        lambda: {manager.show(unit, "ActiveState") for unit in UNITS.values()} == {"inactive"},
        "the nodes have stopped with their target",
    )
    assert {manager.show(unit, "Result") for unit in UNITS.values()} == {"success"}
    assert manager.rmqctl("systemd", "uninstall").returncode == 0
    assert manager.systemctl("list-unit-files", "rmqctl-*", "--no-legend") == ""


def test_start_that_fails_is_told_with_the_end_of_its_own_journal(
    cli: Any, manager: SystemManager, wait_until: WaitUntil
) -> None:
    for unit in JOURNAL_UNITS:
        manager.run("cp", f"/lib/systemd/system/{unit}", "/run/units")
    # The kernel is the machine's: neither its messages nor its audit are any business of this journal.
    settings = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n"
    manager.write("/run/systemd/journald.conf.d/test.conf", settings)
    manager.systemctl("daemon-reload")
    manager.systemctl("start", JOURNAL_UNITS[0])
    place = ["--broker-ip", "127.0.0.1", "--port-offset", str(cli.port_offset)]
    for port, node in ((9876, "nameserver-0"), (10911, "broker-a-0")):
        # A start of one second ago is told apart: the journal knows when a line was written.
        moment = int(time.time())
        wait_until(lambda moment=moment: int(time.time()) > moment, "another second")
        with socket.create_server(("127.0.0.1", port + cli.port_offset)):
            done = manager.rmqctl("systemd", "install", "--profile", "single", *place)
        assert done.returncode == 1
        assert "why: last lines of its journal:" in done.stderr
        # More than once when systemd has tried again meanwhile.
        problems = {line.strip() for line in done.stderr.splitlines() if "cannot start" in line}
        assert problems == {f"rmqctl: error: {node} cannot start"}
        assert manager.rmqctl("systemd", "uninstall").returncode == 0
