"""What happens when processes die: nodes, the supervisor, the process that forks nodes."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.profiles import write_profile

WaitUntil = Callable[[Callable[[], object], str], None]


def test_every_node_that_is_killed_comes_back(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "2m-2s")
    before = cli.pids()
    for name, pid in before.items():
        os.kill(pid, signal.SIGKILL)

        def is_back(name: str = name, pid: int = pid) -> bool:
            node = next(node for node in cli.status()["nodes"] if node["name"] == name)
            return node["state"] == "ready" and node["pid"] != pid

        wait_until(is_back, f"{name} serves again")
    status = cli.status()
    assert status["state"] == "running"
    assert [(node["restarts"], node["last_exit"]) for node in status["nodes"]] == [(1, "killed by SIGKILL")] * 6
    cli.run("down")
    assert cli.leftover() == []


def test_node_that_dies_again_and_again_waits_and_the_rest_keeps_running(
    cli: Any, tmp_path: Path, wait_until: WaitUntil
) -> None:
    section = "[supervision]\nhealthy_seconds = 600\n"
    cli.up("--profile", write_profile(tmp_path, slaves=1, supervision=section))
    others = {name: pid for name, pid in cli.pids().items() if name != "broker-a-1"}
    # At once, then after up to 1 s, 4 s, 16 s: the fourth time leaves time to look.
    for times in range(1, 5):
        wait_until(lambda: cli.status()["state"] == "running", f"broker-a-1 serves before kill {times}")
        os.kill(cli.pids()["broker-a-1"], signal.SIGKILL)
    wait_until(lambda: cli.status()["state"] == "degraded", "broker-a-1 waits for its next try")
    assert re.search(r"broker-a-1 .* backoff, next try in \d+ s", cli.run("status").stdout)
    assert others.items() <= cli.pids().items()
    assert cli.run("start", "broker-a-1").returncode == 0, "whoever starts it by hand waits for no next try"
    assert cli.status()["state"] == "running"
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


def test_sigterm_to_the_supervisor_takes_the_cluster_down_in_order(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "1m-1s")
    os.kill(cli.record()["supervisor"]["pid"], signal.SIGTERM)
    wait_until(lambda: cli.leftover() == [], "nothing runs any more")
    log = (cli.home / "rmqctl" / "logs" / "events.jsonl").read_text()
    exits = [line for line in log.splitlines() if '"state":"stopped"' in line]
    assert ["broker-a-1" in exits[0], "broker-a-0" in exits[1], "nameserver-0" in exits[2]] == [True] * 3
    assert not (cli.home / "rmqctl" / "supervisor.json").exists()
    assert not (cli.home / "rmqctl" / "supervisor.sock").exists()


def test_supervisor_killed_during_up_leaves_nothing(cli: Any, wait_until: WaitUntil) -> None:
    # Never ready: the nameserver listens where the broker does not look for it.
    command = cli.start("up", *cli.place(), "--set", "nameserver-0:bindAddress=127.0.0.2")
    record = cli.home / "rmqctl" / "supervisor.json"
    wait_until(
        lambda: command.poll() is not None or (record.exists() and "broker-a-0" in cli.record()["nodes"]),
        "the broker is starting",
    )
    if command.poll() is not None:
        pytest.skip("this system has no second loopback address")
    os.kill(cli.record()["supervisor"]["pid"], signal.SIGKILL)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "the supervisor ended before the cluster was ready" in err
    assert cli.leftover() == []


def test_down_stops_nodes_whose_supervisor_was_killed(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "single")
    os.kill(cli.record()["supervisor"]["pid"], signal.SIGKILL)
    wait_until(lambda: len(cli.processes()) == 2, "only the nodes are left")
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


def test_stale_record_of_a_former_boot_kills_nobody(cli: Any) -> None:
    cli.up("--profile", "single")
    record = (cli.home / "rmqctl" / "supervisor.json").read_bytes()
    cli.run("down")
    # A process that has the pid of a former node by chance: this test itself, with another start time.
    stale = record.replace(b'"pid":' + str(cli_pid(record)).encode(), b'"pid":' + str(os.getpid()).encode())
    (cli.home / "rmqctl" / "supervisor.json").write_bytes(stale)
    assert cli.status()["state"] == "stopped"
    assert cli.run("up").returncode == 0
    assert cli.run("down").returncode == 0


def cli_pid(record: bytes) -> int:
    import json

    return int(json.loads(record)["nodes"]["broker-a-0"]["pid"])


def test_node_that_does_not_stop_is_killed_after_its_grace_and_the_user_is_told(cli: Any) -> None:
    cli.up("--profile", "single")
    os.kill(cli.pids()["broker-a-0"], signal.SIGSTOP)
    done = cli.run("down")
    assert done.returncode == 0
    assert "broker-a-0 did not stop within 10 s: killed" in done.stderr
    assert cli.leftover() == []
