"""Apache's own nodes under our supervisor: beside ours, on our stores, killed, and refused with a cure."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.java import nothing_runs, require_apache, send_and_receive, tail
from tests.cluster.profiles import write_profile
from tests.cluster.routes import write_permitted

WaitUntil = Callable[..., None]

JAVA_SECONDS = 90


def test_killed_java_node_comes_back_and_its_version_is_in_use(cli: Any, wait_until: WaitUntil) -> None:
    require_apache("4.5.2")
    cli.up("--profile", "single", "--engine", "apache")
    before = cli.pids()
    os.kill(before["broker-a-0"], signal.SIGKILL)

    def is_back() -> bool:
        node = cli.status()["nodes"][1]
        return bool(node["state"] == "ready" and node["pid"] != before["broker-a-0"])

    wait_until(is_back, "the broker serves again", JAVA_SECONDS)
    broker = cli.status()["nodes"][1]
    assert (broker["restarts"], broker["last_exit"]) == (1, "killed by SIGKILL")
    assert cli.pids()["nameserver-0"] == before["nameserver-0"]
    refused = cli.run("engine", "remove", "apache", "--version", "4.5.2")
    assert refused.returncode == 1
    assert "Apache RocketMQ 4.5.2 is in use" in refused.stderr
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


def test_java_master_is_drained_before_it_restarts_and_takes_messages_afterwards(
    cli: Any, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Its nameserver is of 4.5.2 too: it can take the permission away, and has no request that gives it back."""
    require_apache("4.5.2")
    engines = "".join(f'[nodes.{node}]\nengine = "apache"\n' for node in ("nameserver-0", "broker-a-0"))
    cli.up("--profile", write_profile(tmp_path, brokers=2, more=engines))
    assert cli.run("topic", "create", "orders", "--queues", "1").returncode == 0
    before = cli.pids()

    given_up = cli.start("stop", "broker-a-0", "--drain-seconds", "600")
    wait_until(lambda: not write_permitted(cli, "broker-a"), "clients are told to send elsewhere")
    given_up.send_signal(signal.SIGINT)
    given_up.communicate(timeout=JAVA_SECONDS)
    assert given_up.returncode == 130
    wait_until(lambda: write_permitted(cli, "broker-a"), "clients may send again")
    assert cli.pids() == before

    restart = cli.start("restart", "broker-a-0", "--drain-seconds", "8")
    wait_until(lambda: not write_permitted(cli, "broker-a"), "clients are told to send elsewhere")
    assert (cli.status()["nodes"][1]["state"], write_permitted(cli, "broker-b")) == ("draining", True)
    for number in range(4):
        assert cli.run("send", "orders", f"number {number}").returncode == 0, "the other master takes them"
    _, err = restart.communicate(timeout=JAVA_SECONDS)
    assert restart.returncode == 0, err
    assert "waiting for sends on their way" in err
    assert write_permitted(cli, "broker-a")
    after = cli.pids()
    assert {name for name in before if before[name] != after[name]} == {"broker-a-0"}
    assert cli.status()["nodes"][1]["restarts"] == 0
    received = tail(cli, 4)
    assert all(f"number {number}" in received for number in range(4))
    cli.run("down")
    assert nothing_runs(cli)


def test_messages_go_with_the_store_from_one_engine_to_the_other_and_back(cli: Any) -> None:
    require_apache("4.5.2")
    cli.up("--profile", "single")
    send_and_receive(cli, "stored by ours")
    cli.run("down")
    listed = json.loads(cli.run("engine", "list", "--json").stdout)
    (folder,) = [row["folder"] for row in listed if row["version"] == "4.5.2"]
    # What was fetched looks like an unpacked distribution without its scripts.
    cli.up("--engine", "apache", "--rocketmq-home", folder)
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
        assert cli.leftover() == []
