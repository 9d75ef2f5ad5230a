"""Nodes that die, hang or fail again and again, with each restart policy."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.profiles import write_profile

WaitUntil = Callable[[Callable[[], object], str], None]


def node(cli: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in cli.status()["nodes"] if each["name"] == name)
    return found


@pytest.mark.parametrize("name", ["nameserver-0", "broker-a-0", "broker-a-1"])
def test_node_that_hangs_is_killed_and_started_again(
    cli: Any, tmp_path: Path, wait_until: WaitUntil, name: str
) -> None:
    cli.up("--profile", write_profile(tmp_path, slaves=1))
    before = cli.pids()
    os.kill(before[name], signal.SIGSTOP)
    wait_until(lambda: node(cli, name)["pid"] not in (before[name], None), "the hung node was replaced")
    wait_until(lambda: cli.status()["state"] == "running", "the cluster is whole again")
    after = cli.status()["nodes"]
    replaced = {each["name"]: each for each in after if each["pid"] != before[each["name"]]}
    assert set(replaced) == {name}
    assert replaced[name]["last_exit"].startswith("killed by SIGKILL: it did not answer for ")
    cli.run("down")


def test_status_tells_of_a_hung_node_before_it_is_killed(cli: Any, tmp_path: Path, wait_until: WaitUntil) -> None:
    patience = "[supervision]\nhealth_interval_seconds = 0.2\nsilence_seconds_max = 600\n"
    cli.up("--profile", write_profile(tmp_path, supervision=patience))
    pid = cli.pids()["broker-a-0"]
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: cli.status()["state"] == "degraded", "status tells of it")
    wait_until(
        lambda: "broker-a-0 has a problem: it has not answered for" in " ".join(cli.status()["problems"]),
        "status says what is wrong",
    )
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: cli.status()["state"] == "running", "all is well again")
    assert cli.pids()["broker-a-0"] == pid
    cli.run("down")


def test_port_that_is_taken_between_two_tries_is_waited_for(cli: Any, tmp_path: Path, wait_until: WaitUntil) -> None:
    section = "[supervision]\nretry_seconds_max = 0.2\nfailures_max = 1000\n"
    cli.up("--profile", write_profile(tmp_path, supervision=section))
    port = 10911 + cli.port_offset
    assert cli.run("stop", "broker-a-0").returncode == 0
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        command = cli.start("start", "broker-a-0")
        wait_until(lambda: node(cli, "broker-a-0")["restarts"] >= 2, "the broker is tried again and again")
        assert node(cli, "broker-a-0")["last_exit"] == "exit code 1 (it refused to start, or failed)"
        assert f"{port}" in cli.run("logs", "broker-a-0").stdout
    _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert cli.status()["state"] == "running"
    cli.run("down")


def test_node_that_fails_five_times_in_a_row_is_given_up_and_the_rest_serves(
    cli: Any, tmp_path: Path, wait_until: WaitUntil
) -> None:
    section = "[supervision]\nretry_seconds_max = 0.3\nhealthy_seconds = 600\n"
    cli.up("--profile", write_profile(tmp_path, slaves=1, supervision=section))
    others = {name: pid for name, pid in cli.pids().items() if name != "broker-a-1"}

    def kill_once_more() -> bool:
        found = node(cli, "broker-a-1")
        if found["state"] == "ready":
            os.kill(found["pid"], signal.SIGKILL)
        return found["state"] == "failed"

    wait_until(kill_once_more, "the node is given up")
    status = cli.status()
    assert status["state"] == "degraded"
    assert status["problems"] == ["broker-a-1 failed 5 times in a row and was given up: killed by SIGKILL"]
    assert others.items() <= cli.pids().items()
    assert "broker-a-1 failed 5 times in a row" in cli.run("status").stdout
    assert cli.run("start", "broker-a-1").returncode == 0
    assert cli.status()["state"] == "running"
    cli.run("down")


def test_node_that_is_never_restarted_stays_exited_and_one_on_failure_only_after_a_failure(
    cli: Any, tmp_path: Path, wait_until: WaitUntil
) -> None:
    more = '[nodes.broker-a-0]\nrestart = "never"\n[nodes.broker-a-1]\nrestart = "on-failure"\n'
    cli.up("--profile", write_profile(tmp_path, slaves=1, more=more))
    before = cli.pids()
    os.kill(before["broker-a-0"], signal.SIGKILL)
    os.kill(before["broker-a-1"], signal.SIGKILL)
    wait_until(lambda: node(cli, "broker-a-1")["state"] == "ready", "on-failure brings the killed one back")
    assert node(cli, "broker-a-0")["state"] == "exited"
    assert "its restart policy leaves it so" in cli.run("status").stdout
    os.kill(cli.pids()["broker-a-1"], signal.SIGTERM)
    wait_until(lambda: node(cli, "broker-a-1")["state"] == "exited", "a clean end is no failure")
    cli.run("down")
