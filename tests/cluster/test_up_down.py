"""`up`, `down` and `status` through the real CLI with real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

ROUNDS = 20


def test_up_status_down(cli: Any) -> None:
    up = cli.up("--profile", "2m-2s")
    assert up["state"] == "running"
    assert up["started"] is True
    assert up["nameserver"] == ";".join(f"127.0.0.1:{port + cli.port_offset}" for port in (9876, 9877))
    status = cli.status()
    assert list(status) == ["cluster", "engine", "state", "problems", "nodes", "replication", "drift"]
    assert (status["cluster"], status["engine"], status["state"]) == ("rmqctl", "embedded", "running")
    assert [(node["name"], node["role"]) for node in status["nodes"]] == [
        ("nameserver-0", "nameserver"),
        ("nameserver-1", "nameserver"),
        ("broker-a-0", "master"),
        ("broker-b-0", "master"),
        ("broker-a-1", "slave"),
        ("broker-b-1", "slave"),
    ]
    assert all(node["state"] == "ready" and psutil.pid_exists(node["pid"]) for node in status["nodes"])
    # Six nodes, their supervisor, and the process that they are forked from.
    assert len(cli.processes()) == 8
    down = cli.run("down")
    assert down.returncode == 0, down.stderr
    stopped = [line.split(":")[0] for line in down.stderr.splitlines() if line.endswith(": stopped")]
    assert set(stopped[:2]) == {"broker-a-1", "broker-b-1"}
    assert set(stopped[2:4]) == {"broker-a-0", "broker-b-0"}
    assert set(stopped[4:]) == {"nameserver-0", "nameserver-1"}
    assert cli.leftover() == []
    assert cli.run("status").returncode == 1
    again = cli.run("down")
    assert again.returncode == 0
    assert "was not running" in again.stderr


def test_plain_up_prints_the_nameserver_to_stdout_and_the_rest_to_stderr(cli: Any) -> None:
    done = cli.run("up", "--profile", "single", *cli.place())
    assert done.returncode == 0
    assert done.stdout == f"nameserver: 127.0.0.1:{9876 + cli.port_offset}\n"
    assert "broker-a-0: ready" in done.stderr
    assert "rmqctl topic create" in done.stderr
    assert "\x1b" not in done.stderr, "no escape sequences in a pipe"
    cli.run("down")


def test_up_on_a_running_cluster_that_is_as_it_shall_be_says_so(cli: Any) -> None:
    cli.up("--profile", "1m-1s")
    before = cli.pids()
    for arguments in ((), ("--profile", "1m-1s", *cli.place())):
        same = cli.run("up", *arguments)
        assert same.returncode == 0, same.stderr
        assert "is up already" in same.stderr
    moved = cli.run("up", "--port-offset", str(cli.port_offset + 100))
    assert (moved.returncode, "cannot be changed while the cluster runs" in moved.stderr) == (1, True)
    assert cli.pids() == before
    cli.run("down")


def test_cluster_comes_up_again_as_it_was(cli: Any) -> None:
    first = cli.up("--profile", "1m-1s", "--set", "broker-a-0:brokerPermission=4")
    cli.run("down")
    done = cli.run("up", "--json")
    assert json.loads(done.stdout)["nameserver"] == first["nameserver"]
    assert "brokerPermission=4" in cli.run("conf", "show", "broker-a-0").stdout.splitlines()
    assert "brokerPermission=4" not in cli.run("conf", "show", "broker-a-1").stdout.splitlines()
    cli.run("down")


def test_two_clusters_run_side_by_side(cli: Any) -> None:
    cli.up("--profile", "single", "--cluster", "one")
    first = cli.pids("--cluster", "one")
    cli.port_offset += 100
    second = cli.up("--profile", "single", "--cluster", "two")
    assert second["nameserver"].endswith(f":{9876 + cli.port_offset}")
    unnamed = cli.run("status")
    assert unnamed.returncode == 2
    assert "these run: one, two" in unnamed.stderr
    assert cli.run("down", "--cluster", "two").returncode == 0
    assert cli.pids("--cluster", "one") == first
    assert cli.status()["cluster"] == "one", "the only one that runs needs no name"
    assert cli.run("down").returncode == 0


def test_taken_port_is_refused_before_anything_starts(cli: Any) -> None:
    port = 10911 + cli.port_offset
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        done = cli.run("up", "--profile", "2m-2s", *cli.place())
    assert done.returncode == 1
    assert f"why: port {port} on 127.0.0.1 is held by" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert f"--port-offset {cli.port_offset + 100}" in done.stderr
    assert cli.leftover() == []
    cli.up("--profile", "single")
    cli.run("down")


def test_node_that_cannot_start_takes_the_others_with_it(cli: Any, tmp_path: Path) -> None:
    obstacle = tmp_path / "a file"
    obstacle.write_text("not a folder")
    done = cli.run("up", "--profile", "2m-2s", *cli.place(), "--set", f"broker-b-0:storePathRootDir={obstacle}")
    assert done.returncode == 1
    assert "rmqctl: error: broker-b-0 ended at start: exit code 1" in done.stderr
    assert "last lines of" in done.stderr
    assert str(obstacle) in done.stderr
    assert "Traceback" not in done.stderr
    assert cli.leftover() == []


def test_cluster_that_is_not_ready_in_time_is_taken_down_again(cli: Any) -> None:
    # The nameserver listens where the broker does not look for it.
    elsewhere = ["--set", "nameserver-0:bindAddress=127.0.0.2"]
    done = cli.run("up", "--timeout", "1", "--profile", "single", *cli.place(), *elsewhere)
    if "is not an address of this machine" in done.stderr + done.stdout:
        pytest.skip("this system has no second loopback address")
    assert done.returncode == 4
    assert "rmqctl: error: broker-a-0 did not become ready within 1 s" in done.stderr
    assert "why: nameserver-0 does not list it" in done.stderr
    assert cli.leftover() == []


def test_wrong_setting_starts_nothing_and_writes_nothing(cli: Any) -> None:
    done = cli.run("up", *cli.place(), "--set", "brokerIp1=10.0.0.1")
    assert done.returncode == 2
    assert "did you mean 'brokerIP1'?" in done.stderr
    assert not cli.home.exists()
    assert cli.leftover() == []


def test_home_with_a_path_too_long_for_a_socket_works(cli: Any) -> None:
    cli.environment["RMQCTL_HOME"] = str(cli.home / ("long" * 40))
    cli.up("--profile", "single")
    assert cli.status()["state"] == "running"
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


def test_home_that_cannot_be_written_is_named(cli: Any, tmp_path: Path) -> None:
    obstacle = tmp_path / "file"
    obstacle.write_text("")
    done = cli.run("up", *cli.place(), "--home", str(obstacle / "home"))
    assert done.returncode == 1
    assert f"cannot write in {obstacle / 'home'}" in done.stderr
    assert cli.leftover() == []


def test_purge_asks_and_then_deletes_the_stores_only(cli: Any) -> None:
    cli.up("--profile", "single")
    store = cli.home / "rmqctl" / "broker-a-0" / "store"
    unasked = cli.run("down", "--purge")
    assert unasked.returncode == 2
    assert "add --yes" in unasked.stderr
    assert cli.status()["state"] == "running", "nothing was done"
    done = cli.run("down", "--purge", "--yes", "--json")
    assert str(store) in json.loads(done.stdout)["purged"]
    assert not store.exists()
    assert (cli.home / "rmqctl" / "cluster.toml").exists()
    cli.up()
    cli.run("down")


def test_nodes_listen_on_their_address_and_loopback_only(cli: Any) -> None:
    done = cli.run("up", "--profile", "single", "--broker-ip", "127.0.0.3", "--port-offset", str(cli.port_offset))
    if "is not an address of this machine" in done.stderr:
        pytest.skip("this system has no second loopback address")
    assert done.returncode == 0, done.stderr
    for name, pid in cli.pids().items():
        sockets = [each for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        assert {each.laddr.ip for each in sockets} == {"127.0.0.1", "127.0.0.3"}, name
    cli.run("down")


def test_twenty_rounds_of_up_and_down_leave_nothing_behind(cli: Any) -> None:
    def files() -> set[str]:
        # Not a slave's tables: a round may end before or after the slave has taken its master's over.
        paths = {str(path.relative_to(cli.home)) for path in cli.home.rglob("*")}
        return {path for path in paths if "-1/store/config/" not in path}

    kept: set[str] = set()
    for number in range(ROUNDS):
        up = cli.run("up", "--profile", "2m-2s", *cli.place())
        assert up.returncode == 0, f"round {number}: {up.stderr}"
        down = cli.run("down")
        assert down.returncode == 0, f"round {number}: {down.stderr}"
        assert cli.leftover() == [], f"round {number}"
        if number == 1:
            kept = files()
    assert files() == kept
    for port in (9876, 9877, 10909, 10911, 10912, 10941):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port + cli.port_offset))


def test_two_ups_at_once_bring_up_one_cluster(cli: Any) -> None:
    commands = [cli.start("up", "--profile", "single", *cli.place(), "--json") for _ in range(2)]
    outputs = [command.communicate(timeout=60) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], outputs
    documents = [json.loads(out) for out, _ in outputs]
    assert sorted(document["started"] for document in documents) == [False, True]
    nodes = [{node["name"]: node["pid"] for node in document["nodes"]} for document in documents]
    assert nodes[0] == nodes[1] == cli.pids()
    cli.run("down")
    assert cli.leftover() == []


def test_down_while_a_cluster_comes_up_ends_both(
    cli: Any, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    # Never ready: the nameserver listens where the broker does not look for it.
    command = cli.start("up", *cli.place(), "--set", "nameserver-0:bindAddress=127.0.0.2")
    wait_until(lambda: command.poll() is not None or cli.status()["state"] == "starting", "the supervisor is there")
    if command.poll() is not None:
        pytest.skip("this system has no second loopback address")
    assert cli.run("down").returncode == 0
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "was taken down while it came up" in err
    assert cli.leftover() == []


def test_ctrl_c_while_a_cluster_comes_up_leaves_nothing(cli: Any) -> None:
    command = cli.start("up", "--profile", "2m-2s", *cli.place())
    # The first node is starting.
    _read_until(command, "nameserver")
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "Traceback" not in err
    assert cli.leftover() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground_stays_and_a_signal_takes_the_cluster_down(cli: Any, number: signal.Signals) -> None:
    command = cli.start("up", "--foreground", "--profile", "single", *cli.place())
    _read_until(command, "takes the cluster down")
    assert cli.status()["state"] == "running"
    command.send_signal(number)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 0
    assert err.index("broker-a-0: stopped") < err.index("nameserver-0: stopped")
    assert cli.leftover() == []


def test_killed_foreground_command_takes_its_cluster_with_it(
    cli: Any, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    command = cli.start("up", "--foreground", "--profile", "single", *cli.place())
    _read_until(command, "takes the cluster down")
    command.kill()
    command.communicate()
    wait_until(lambda: cli.leftover() == [], "the cluster is gone")


def test_down_ends_a_foreground_cluster(cli: Any) -> None:
    command = cli.start("up", "--foreground", "--profile", "single", *cli.place())
    _read_until(command, "takes the cluster down")
    assert cli.run("down").returncode == 0
    command.communicate(timeout=60)
    assert command.returncode == 0
    assert cli.leftover() == []


def test_live_progress_on_a_terminal(cli: Any) -> None:
    script = (
        "import os, pty, sys\n"
        "pid, fd = pty.fork()\n"
        "if pid == 0:\n"
        "    os.execv(sys.executable, [sys.executable, '-m', 'rmqctl', *sys.argv[1:]])\n"
        "data = b''\n"
        "while True:\n"
        "    try:\n"
        "        part = os.read(fd, 4096)\n"
        "    except OSError:\n"
        "        break\n"
        "    if not part:\n"
        "        break\n"
        "    data += part\n"
        "sys.stdout.buffer.write(data)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    environment = {**cli.environment, "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-c", script, "up", "--profile", "single", *cli.place()],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"\x1b[" in done.stdout, "a table that is redrawn"
    assert b"broker-a-0" in done.stdout
    assert b"ready" in done.stdout
    cli.run("down")


def _read_until(command: Any, text: str) -> None:
    said = []
    for line in command.stderr:
        if text in line:
            return
        said.append(line)
    command.wait()
    raise AssertionError(f"the command ended without saying {text!r}:\n{''.join(said)}")
