"""`rmqctl scale`, and `rmqctl up` with another profile: a running cluster changes node by node."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.profiles import write_profile

WaitUntil = Callable[[Callable[[], object], str], None]


def test_cluster_grows_and_shrinks_without_touching_the_nodes_that_stay(cli: Any, tmp_path: Path) -> None:
    cli.up("--profile", write_profile(tmp_path, brokers=1, slaves=1))
    before = cli.pids()
    plan = cli.run("scale", "--brokers", "3", "--slaves", "2", "--dry-run", "--json")
    assert plan.returncode == 0, plan.stderr
    change = json.loads(plan.stdout)["changed"]
    added = ["broker-b-0", "broker-c-0", "broker-a-2", "broker-b-1", "broker-b-2", "broker-c-1", "broker-c-2"]
    assert (sorted(change["add"]), change["restart"], change["remove"]) == (sorted(added), [], [])
    assert change["untouched"] == list(before)
    assert cli.pids() == before, "a dry run does nothing"
    done = cli.run("scale", "--brokers", "2")
    assert done.returncode == 0, done.stderr
    assert "add      broker-b-0: master on listen" in done.stderr
    after = cli.pids()
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"broker-b-0", "broker-b-1"}
    assert cli.status()["state"] == "running"
    refused = cli.run("scale", "--brokers", "1")
    assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
    assert cli.pids() == after
    done = cli.run("scale", "--brokers", "1", "--yes")
    assert done.returncode == 0, done.stderr
    assert "broker-b-0: draining" in done.stderr
    assert cli.pids() == before
    assert (cli.home / "rmqctl" / "broker-b-0" / "store").is_dir(), "the store is kept"
    cli.run("down")
    up = json.loads(cli.run("up", "--json").stdout)
    assert [node["name"] for node in up["nodes"]] == list(before), "the next up brings up what was scaled"
    cli.run("down")
    assert cli.leftover() == []


def test_node_that_cannot_be_added_is_taken_away_again_and_nothing_else_changes(cli: Any, tmp_path: Path) -> None:
    cli.up("--profile", write_profile(tmp_path, brokers=1))
    before = cli.pids()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 10931 + cli.port_offset))
        holder.listen()
        done = cli.run("scale", "--brokers", "2")
    assert done.returncode == 1
    assert f"broker-b-0 cannot start\n  why: port {10931 + cli.port_offset}" in done.stderr
    assert cli.pids() == before
    # Found out only when it has started: a file is where its commit log should be.
    store = cli.home / "rmqctl" / "broker-b-0" / "store"
    store.mkdir(parents=True)
    (store / "commitlog").write_text("in the way")
    done = cli.run("scale", "--brokers", "2")
    assert done.returncode == 1, done.stderr
    assert "broker-b-0 is failed" in done.stderr
    assert cli.pids() == before
    assert cli.status()["state"] == "running"
    assert "is as it shall be" in cli.run("scale", "--brokers", "1").stderr
    cli.run("down")


def test_changed_profile_adds_restarts_and_removes_only_what_differs(cli: Any, tmp_path: Path) -> None:
    cli.up("--profile", write_profile(tmp_path, brokers=2))
    before = cli.pids()
    more = "[properties.nodes.broker-a-0]\nfileReservedTime = 24\n"
    other = write_profile(tmp_path, brokers=2, slaves=1, more=more, name="other.toml")
    shown = cli.run("up", "--profile", other, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "restart  broker-a-0: fileReservedTime 48 → 24" in shown.stdout
    assert cli.pids() == before
    done = cli.run("up", "--profile", other, "--no-drain", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["started"] is False
    after = cli.pids()
    assert {name for name in before if before[name] != after[name]} == {"broker-a-0"}
    assert after.keys() - before.keys() == {"broker-a-1", "broker-b-1"}
    assert cli.run("wait").returncode == 0
    again = cli.run("up", "--profile", other)
    assert (again.returncode, "is up already" in again.stderr) == (0, True)
    assert cli.pids() == after
    cli.run("down")


def test_another_nameserver_reaches_every_broker(cli: Any, tmp_path: Path) -> None:
    cli.up("--profile", write_profile(tmp_path, brokers=2))
    before = cli.pids()
    done = cli.run("scale", "--nameservers", "2", "--no-drain")
    assert done.returncode == 0, done.stderr
    after = cli.pids()
    assert after["nameserver-0"] == before["nameserver-0"]
    assert cli.run("wait").returncode == 0
    assert cli.run("scale", "--nameservers", "1", "--no-drain", "--yes").returncode == 0
    assert cli.run("wait").returncode == 0
    assert list(cli.pids()) == list(before)
    cli.run("down")


def test_restart_policy_changes_without_a_restart(cli: Any, tmp_path: Path, wait_until: WaitUntil) -> None:
    cli.up("--profile", write_profile(tmp_path))
    before = cli.pids()
    never = write_profile(tmp_path, more='[nodes.broker-a-0]\nrestart = "never"\n', name="never.toml")
    assert cli.run("up", "--profile", never).returncode == 0
    assert cli.pids() == before
    os.kill(before["broker-a-0"], signal.SIGKILL)
    wait_until(lambda: cli.status()["nodes"][1]["state"] == "exited", "the broker stays exited")
    cli.run("down")


def test_dry_run_of_a_cluster_that_does_not_run_shows_its_nodes(cli: Any) -> None:
    done = cli.run("up", "--profile", "1m-1s", *cli.place(), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["nameserver-0:", "broker-a-0:", "broker-a-1:"]
    assert cli.leftover() == []
    assert not cli.home.exists()
    assert cli.run("scale", "--brokers", "2").returncode == 3
