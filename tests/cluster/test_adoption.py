"""Nothing orphaned, nothing lost: whichever process is killed, nodes go on, and `up` takes them over as they are."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from rmqctl.home import ClusterHome
from rmqctl.supervisor.control.client import ask_status
from tests.cluster.profiles import write_profile

WaitUntil = Callable[[Callable[[], object], str], None]


def supervisor_of(cli: Any) -> psutil.Process:
    return psutil.Process(cli.record()["supervisor"]["pid"])


def zygote_of(cli: Any) -> psutil.Process:
    (zygote,) = supervisor_of(cli).children()
    return zygote


def kill_supervisor(cli: Any, wait_until: WaitUntil) -> None:
    supervisor_of(cli).kill()
    wait_until(lambda: cli.status()["state"] == "unsupervised", "status says that the supervisor is gone")


def test_nodes_whose_supervisor_was_killed_go_on_and_up_adopts_them_without_a_restart(
    cli: Any, wait_until: WaitUntil
) -> None:
    cli.up("--profile", "1m-1s")
    before = cli.pids()
    ages = {pid: psutil.Process(pid).create_time() for pid in before.values()}
    kill_supervisor(cli, wait_until)
    status = cli.run("status")
    assert status.returncode == 1
    assert "rmqctl up adopts them as they are" in status.stderr
    assert all(node["cpu_percent"] >= 0 for node in cli.status()["nodes"])
    assert cli.pids() == before
    done = cli.run("up", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["started"], document["state"]) == (False, "running")
    assert document["adopted"] == list(before)
    assert f"adopting nameserver-0 (pid {before['nameserver-0']})" in done.stderr
    status = cli.status()
    assert {node["name"]: node["pid"] for node in status["nodes"]} == before
    assert [node["restarts"] for node in status["nodes"]] == [0] * 3
    for node in status["nodes"]:
        assert abs(psutil.Process(node["pid"]).create_time() - ages[node["pid"]]) < 0.1
        assert node["uptime_seconds"] > 0
    assert '"adopted":true' in cli.run("events", "--json").stdout
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


def test_what_nodes_went_through_is_known_to_the_supervisor_that_adopts_them(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "1m-1s")
    first = cli.pids()
    os.kill(first["broker-a-0"], signal.SIGKILL)
    wait_until(lambda: cli.pids()["broker-a-0"] not in (first["broker-a-0"], None), "the master has another process")
    wait_until(lambda: cli.status()["state"] == "running", "all serve again")
    kill_supervisor(cli, wait_until)
    lost = cli.pids()["broker-a-1"]
    os.kill(lost, signal.SIGKILL)
    wait_until(lambda: cli.pids()["broker-a-1"] is None, "the slave is gone too")
    unseen = "exit code unknown: it ended while no supervisor ran"
    expected = {"nameserver-0": (0, None), "broker-a-0": (1, "killed by SIGKILL"), "broker-a-1": (0, unseen)}

    def told() -> dict[str, tuple[int, str | None]]:
        return {node["name"]: (node["restarts"], node["last_exit"]) for node in cli.status()["nodes"]}

    assert told() == expected, "also while there is no supervisor"
    assert cli.run("up").returncode == 0
    assert told() == expected
    zygote, supervisor = zygote_of(cli), supervisor_of(cli)
    zygote.kill()
    wait_until(lambda: [each.pid for each in supervisor.children()] not in ([zygote.pid], []), "another one forks")
    assert told() == expected, "a supervisor that becomes a fresh image keeps it too"
    exits = [json.loads(line) for line in cli.run("events", "--json", "broker-a-1").stdout.splitlines()]
    (seen,) = [entry for entry in exits if entry["event"] == "exited"]
    assert (seen["pid"], seen["exit"], seen["cause"]) == (lost, "exit code unknown", "ended while no supervisor ran")
    cli.run("down")
    cli.up()
    assert {restarts for restarts, _ in told().values()} == {0}, "taken down and up again, a cluster begins anew"
    cli.run("down")


def test_adopted_node_that_dies_comes_back_and_its_exit_code_is_unknown(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "1m-1s")
    kill_supervisor(cli, wait_until)
    assert cli.run("up").returncode == 0
    for name, pid in cli.pids().items():
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: pid not in cli.pids().values(), f"{name} has another process")
    wait_until(lambda: cli.status()["state"] == "running", "all serve again")
    status = cli.status()
    unknown = "exit code unknown (the process was adopted)"
    assert [(node["restarts"], node["last_exit"]) for node in status["nodes"]] == [(1, unknown)] * 3
    cli.run("down")
    assert cli.leftover() == []


def test_node_that_died_together_with_the_supervisor_is_started_and_the_rest_adopted(
    cli: Any, wait_until: WaitUntil
) -> None:
    cli.up("--profile", "1m-1s")
    before = cli.pids()
    supervisor_of(cli).kill()
    os.kill(before["broker-a-0"], signal.SIGKILL)
    wait_until(lambda: len(cli.processes()) == 2, "only two nodes are left")
    assert cli.run("up").returncode == 0
    after = cli.pids()
    assert {name for name in before if before[name] != after[name]} == {"broker-a-0"}
    assert cli.status()["state"] == "running"
    cli.run("down")


def test_node_that_was_stopped_by_hand_stays_stopped_through_an_adoption(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "1m-1s")
    assert cli.run("stop", "broker-a-1").returncode == 0
    kill_supervisor(cli, wait_until)
    done = cli.run("up")
    assert (done.returncode, "broker-a-1 was stopped by hand" in done.stderr) == (1, True)
    assert cli.run("start", "broker-a-1").returncode == 0
    cli.run("down")


def test_up_that_adopts_does_not_end_nodes_that_are_not_ready(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "single")
    before = cli.pids()
    kill_supervisor(cli, wait_until)
    os.kill(before["broker-a-0"], signal.SIGSTOP)
    done = cli.run("up", "--timeout", "3")
    assert done.returncode == 1
    assert "broker-a-0 did not become ready within 3 s: it " in done.stderr
    assert cli.pids() == before
    os.kill(before["broker-a-0"], signal.SIGCONT)
    assert cli.run("wait").returncode == 0
    assert cli.pids() == before
    cli.run("down")


def test_process_that_forks_nodes_is_replaced_and_nodes_go_on(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "1m-1s")
    before = cli.pids()
    supervisor, old = supervisor_of(cli).pid, zygote_of(cli)
    home = ClusterHome(cli.home, "rmqctl")
    states = {"running"}
    old.kill()

    def is_replaced() -> bool:
        assert home.is_supervised(), "at no moment a command could think that nobody supervises the cluster"
        states.add(ask_status(home).state)
        children = psutil.Process(supervisor).children()
        return len(children) == 1 and children[0].pid != old.pid

    wait_until(is_replaced, "another process forks nodes")
    done = cli.run("up")
    assert done.returncode == 0, done.stderr
    assert cli.run("wait").returncode == 0
    assert states <= {"running", "starting"}
    assert cli.pids() == before
    assert cli.record()["supervisor"]["pid"] == supervisor, "the supervisor is the same process"
    os.kill(before["broker-a-0"], signal.SIGKILL)
    wait_until(lambda: cli.pids()["broker-a-0"] not in (before["broker-a-0"], None), "a killed node comes back")
    wait_until(lambda: cli.status()["state"] == "running", "all serve")
    assert "another one takes its place" in cli.run("events").stdout
    # What the supervisor kept through its change of image, the lock and the socket, ends with it.
    serving = cli.pids()
    kill_supervisor(cli, wait_until)
    assert cli.run("up").returncode == 0
    assert cli.pids() == serving
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


def test_supervisor_and_the_process_that_forks_nodes_die_together(cli: Any, wait_until: WaitUntil) -> None:
    cli.up("--profile", "single")
    before = cli.pids()
    zygote, supervisor = zygote_of(cli), supervisor_of(cli)
    zygote.kill()
    supervisor.kill()
    wait_until(lambda: cli.status()["state"] == "unsupervised", "status says so")
    assert cli.run("up").returncode == 0
    assert cli.pids() == before
    cli.run("down")
    assert cli.leftover() == []


def test_second_supervisor_of_a_home_is_refused(cli: Any) -> None:
    cli.up("--profile", "single")
    before = {process.pid for process in cli.processes()}
    record = cli.home / "rmqctl" / "supervisor.json"
    content = record.read_bytes()
    # A damaged record must not make anybody believe that nothing runs: the lock decides.
    record.write_bytes(b"{")
    assert "is up already" in cli.run("up").stderr
    record.write_bytes(content)
    assert {process.pid for process in cli.processes()} == before
    cli.run("down")


@pytest.mark.parametrize("kind", ["supervisor", "zygote", "nameserver-0", "broker-a-0", "everything"])
def test_kill_in_the_middle_of_up_leaves_a_home_that_up_can_start_from(
    cli: Any, tmp_path: Path, wait_until: WaitUntil, kind: str
) -> None:
    command = cli.start("up", "--profile", write_profile(tmp_path, slaves=1), *cli.place())
    record = cli.home / "rmqctl" / "supervisor.json"
    wait_until(
        lambda: command.poll() is not None or (record.exists() and "broker-a-0" in cli.record()["nodes"]),
        "the broker has a process",
    )
    if command.poll() is None:
        if kind == "everything":
            victims = [process for process in cli.processes() if process.pid != command.pid]
        elif kind in ("supervisor", "zygote"):
            victims = [supervisor_of(cli) if kind == "supervisor" else zygote_of(cli)]
        else:
            victims = [psutil.Process(cli.record()["nodes"][kind]["pid"])]
        for victim in victims:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
    command.communicate(timeout=120)
    done = cli.run("up")
    assert done.returncode == 0, done.stderr
    assert cli.status()["state"] == "running"
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []
