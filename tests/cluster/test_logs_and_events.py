"""`rmqctl logs` and `rmqctl events` of a running cluster."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.profiles import write_profile

WaitUntil = Callable[[Callable[[], object], str], None]


@pytest.fixture
def cluster(cli: Any, tmp_path: Path) -> Iterator[Any]:
    """One broker with a slave."""
    cli.up("--profile", write_profile(tmp_path, slaves=1))
    yield cli
    cli.run("down")


def test_logs_of_all_nodes_are_merged_by_time_and_named(cluster: Any) -> None:
    lines = cluster.run("logs").stdout.splitlines()
    assert {line.split("|")[0].strip() for line in lines} == {"nameserver-0", "broker-a-0", "broker-a-1"}
    times = [text[:23] for text in (line.split(" | ")[1] for line in lines) if text.startswith("20")]
    assert times == sorted(times)
    assert "boot success" in cluster.run("logs", "broker-a-0").stdout
    (one,) = cluster.run("logs", "broker-a-0", "-n", "1").stdout.splitlines()
    assert not one.startswith("broker-a-0")
    records = [json.loads(line) for line in cluster.run("logs", "broker-a-0", "--json").stdout.splitlines()]
    assert {record["node"] for record in records} == {"broker-a-0"}


def test_logs_are_chosen_by_node_time_and_level(cluster: Any) -> None:
    log = cluster.home / "rmqctl" / "broker-a-0" / "logs" / "broker-a-0.log"
    old = "2020-01-01 00:00:00,000 ERROR a an old error\n"
    log.write_text(old + log.read_text() + "2099-01-01 00:00:00,000 ERROR a a late error\n")
    errors = cluster.run("logs", "broker-a-0", "broker-a-1", "--level", "error").stdout
    assert [line.split(" | ")[1][-10:] for line in errors.splitlines()] == ["n old error"[1:], "late error"]
    recent = cluster.run("logs", "broker-a-0", "--since", "1h").stdout
    assert ("an old error" in recent, "boot success" in recent) == (False, True)
    for wrong in (["--level", "loud"], ["--since", "yesteryear"], ["broker-a-9"]):
        done = cluster.run("logs", *wrong)
        assert done.returncode == 2, wrong
        assert "rmqctl: error:" in done.stderr


def test_followed_logs_go_on_through_a_rotation_until_ctrl_c(cluster: Any) -> None:
    command = cluster.start("logs", "-f", "-n", "0", "broker-a-0")
    assert "following" in command.stderr.readline()
    log = cluster.home / "rmqctl" / "broker-a-0" / "logs" / "broker-a-0.log"
    with log.open("a") as file:
        file.write("a new line\n")
    assert "a new line" in command.stdout.readline()
    log.rename(f"{log}.1")
    log.write_text("a line in a new file\n")
    assert "a line in a new file" in command.stdout.readline()
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=30)
    assert command.returncode == 0


def test_ledger_tells_of_every_start_and_exit_and_who_asked(cluster: Any, wait_until: WaitUntil) -> None:
    follower = cluster.start("events", "-f", "--json", "-n", "0")
    assert "following" in follower.stderr.readline()
    pids = cluster.pids()
    os.kill(pids["broker-a-1"], signal.SIGKILL)
    seen = []
    while not seen or seen[-1].get("state") != "ready":
        seen.append(json.loads(follower.stdout.readline()))
    follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=30)
    kinds = [(entry["event"], entry.get("state")) for entry in seen]
    assert kinds == [
        ("exited", None), ("state", "backoff"), ("state", "starting"), ("started", None), ("state", "ready"),
    ]  # fmt: skip
    exit_ = seen[0]
    assert (exit_["pid"], exit_["exit"], exit_["signal"]) == (pids["broker-a-1"], "killed by SIGKILL", "SIGKILL")
    assert exit_["asked_by"] is None
    assert seen[3]["asked_by"] == "its restart policy"
    cluster.run("stop", "broker-a-1")
    cluster.run("down")
    entries = [json.loads(line) for line in cluster.run("events", "--json", "-n", "1000").stdout.splitlines()]
    starts = [entry for entry in entries if entry["event"] == "started" and entry["node"] == "broker-a-1"]
    assert "rmqctl up --" in starts[0]["asked_by"]
    assert len({entry["config"] for entry in starts}) == 1
    exits = [entry for entry in entries if entry["event"] == "exited"]
    stopped = next(entry for entry in exits if (entry["asked_by"] or "").startswith("rmqctl stop broker-a-1"))
    assert (stopped["node"], stopped["exit_code"]) == ("broker-a-1", 0)
    assert {entry["node"] for entry in exits if (entry["asked_by"] or "").startswith("rmqctl down")} == {
        "nameserver-0", "broker-a-0",
    }  # fmt: skip
    assert [entry["time"] for entry in entries] == sorted(entry["time"] for entry in entries)
    only = cluster.run("events", "nameserver-0").stdout.splitlines()
    assert all("  nameserver-0  " in line for line in only)
