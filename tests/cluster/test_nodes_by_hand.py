"""`rmqctl start`, `stop`, `restart`, `kill`: single nodes of a running cluster."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.profiles import write_profile
from tests.cluster.routes import write_permitted

WaitUntil = Callable[[Callable[[], object], str], None]


@pytest.fixture
def cluster(cli: Any, tmp_path: Path) -> Iterator[Any]:
    """Two brokers with a slave each, and a short patience."""
    cli.up("--profile", write_profile(tmp_path, brokers=2, slaves=1))
    yield cli
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


def node(cli: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in cli.status()["nodes"] if each["name"] == name)
    return found


def test_node_stopped_by_hand_stays_stopped_is_no_crash_and_starts_again(cluster: Any) -> None:
    others = {name: pid for name, pid in cluster.pids().items() if name != "broker-b-1"}
    done = cluster.run("stop", "--role", "slave", "--broker", "broker-b")
    assert done.returncode == 0, done.stderr
    assert "stopped: broker-b-1" in done.stderr
    status = cluster.status()
    assert (status["state"], status["problems"]) == ("degraded", ["broker-b-1 was stopped by hand"])
    stopped = node(cluster, "broker-b-1")
    assert (stopped["state"], stopped["restarts"], stopped["retry_in_seconds"]) == ("stopped", 0, None)
    assert others.items() <= cluster.pids().items()
    started = cluster.run("start", "broker-b-1", "--json")
    assert started.returncode == 0, started.stderr
    document = json.loads(started.stdout)
    assert (document["done"], document["nodes"][0]["state"]) == ("start", "ready")
    assert cluster.status()["state"] == "running"
    assert others.items() <= cluster.pids().items()


def test_killed_node_comes_back_unless_it_shall_stay_down(cluster: Any, wait_until: WaitUntil) -> None:
    before = cluster.pids()
    assert cluster.run("kill", "broker-a-0").returncode == 0
    wait_until(lambda: cluster.status()["state"] == "running", "the broker is back")
    after = node(cluster, "broker-a-0")
    assert after["pid"] != before["broker-a-0"]
    assert (after["restarts"], after["last_exit"]) == (1, "killed by SIGKILL: it was killed by hand")
    assert cluster.run("kill", "broker-a-0", "--stay-down").returncode == 0
    wait_until(lambda: node(cluster, "broker-a-0")["state"] == "stopped", "the broker is stopped")
    assert cluster.run("start", "broker-a-0").returncode == 0


def test_master_is_drained_before_it_restarts_and_takes_messages_afterwards(
    cluster: Any, wait_until: WaitUntil
) -> None:
    before = cluster.pids()
    command = cluster.start("restart", "broker-a-0", "--drain-seconds", "8")
    wait_until(lambda: node(cluster, "broker-a-0")["state"] == "draining", "the broker is being drained")
    wait_until(lambda: not write_permitted(cluster, "broker-a"), "clients are told to send elsewhere")
    assert write_permitted(cluster, "broker-b")
    _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert "broker-a-0: draining, waiting for clients to ask for routes again: at most 8 s" in err
    assert "waiting for sends on their way" in err
    assert write_permitted(cluster, "broker-a")
    after = cluster.pids()
    assert {name for name in before if before[name] != after[name]} == {"broker-a-0"}
    assert node(cluster, "broker-a-0")["restarts"] == 0, "nobody calls this a crash"


def test_draining_that_is_interrupted_gives_the_permission_back_and_the_node_goes_on(
    cluster: Any, wait_until: WaitUntil
) -> None:
    before = cluster.pids()
    command = cluster.start("stop", "broker-a-0", "--drain-seconds", "600")
    wait_until(lambda: not write_permitted(cluster, "broker-a"), "clients are told to send elsewhere")
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert (command.returncode, "a drain is taken back" in err) == (130, True)
    wait_until(lambda: write_permitted(cluster, "broker-a"), "clients may send again")
    wait_until(lambda: cluster.status()["state"] == "running", "the broker is as it was")
    assert cluster.pids() == before


def test_no_drain_and_a_last_master_are_not_drained(cluster: Any, wait_until: WaitUntil) -> None:
    begun = time.monotonic()
    assert "draining" not in cluster.run("stop", "broker-a-0", "--no-drain").stderr
    last = cluster.run("stop", "broker-b-0", "--drain-seconds", "600")
    assert last.returncode == 0
    assert "broker-b-0 is not drained: no other broker would take messages" in last.stderr
    assert time.monotonic() - begun < 60
    assert cluster.run("start", "--role", "master").returncode == 0
    wait_until(lambda: cluster.status()["state"] == "running", "the slaves are connected again")


def test_down_during_a_drain_ends_both(cluster: Any, wait_until: WaitUntil) -> None:
    command = cluster.start("stop", "broker-a-0", "--drain-seconds", "600")
    wait_until(lambda: node(cluster, "broker-a-0")["state"] == "draining", "the broker is drained")
    assert cluster.run("down").returncode == 0
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "the cluster is being taken down" in err


def test_node_that_cannot_start_is_told_with_its_log_and_the_rest_goes_on(cluster: Any, wait_until: WaitUntil) -> None:
    assert cluster.run("stop", "broker-b-1").returncode == 0
    conf = cluster.home / "rmqctl" / "broker-b-1" / "broker.conf"
    good = conf.read_text()
    conf.write_text(good + "noSuchKey=1\n")
    done = cluster.run("start", "broker-b-1")
    assert done.returncode == 1
    assert "broker-b-1 is failed: exit code 2 (its configuration is wrong)" in done.stderr
    assert "given up after" not in done.stdout
    status = cluster.run("status")
    assert "broker-b-1 failed 5 times in a row and was given up: exit code 2" in status.stdout
    assert "noSuchKey" in status.stdout
    assert cluster.status()["state"] == "degraded"
    conf.write_text(good)
    assert cluster.run("start", "broker-b-1").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs to know which nodes"),
        (("broker-a-9",), "has no node 'broker-a-9'"),
        (("broker-a-0", "--role", "slave"), "named twice"),
        (("--role", "king"), "there is no such role"),
        (("--broker", "broker-z"), "no node of cluster rmqctl is meant"),
    ],
)
def test_choice_that_means_nothing_is_a_usage_error(cli: Any, arguments: tuple[str, ...], said: str) -> None:
    home = cli.home / "rmqctl"
    assert not home.exists()
    cli.up("--profile", "single")
    done = cli.run("stop", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert cli.status()["state"] == "running"
    cli.run("down")


def test_cluster_that_does_not_run_or_has_no_supervisor_is_named(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "single")
    os.kill(cli.record()["supervisor"]["pid"], signal.SIGKILL)
    wait_until(lambda: cli.status()["state"] == "unsupervised", "the supervisor is gone")
    done = cli.run("restart", "broker-a-0")
    assert (done.returncode, "has no supervisor" in done.stderr) == (3, True)
    cli.run("down")
    done = cli.run("restart", "broker-a-0")
    assert (done.returncode, "is not running" in done.stderr) == (3, True)
