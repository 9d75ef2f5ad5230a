"""What the supervisor knows of processes and ports: identity, exits, holders, records."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import write_atomically
from rmqctl.process_identity import ProcessIdentity, identify, identify_self
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqctl.supervisor.exit_status import describe_exit
from rmqctl.supervisor.files.record import SupervisorRecord, load_record, retire_record, save_record
from rmqctl.supervisor.health.diagnosis import explain_failure, tail_of_log
from rmqctl.supervisor.launch.ports_in_use import check_ports_free, find_holder


def test_process_is_its_pid_and_its_start_time() -> None:
    own = identify_self()
    assert own.is_alive()
    assert not ProcessIdentity(own.pid, own.started + "1").is_alive(), "a pid that was used again"


def test_process_that_ended_is_not_alive_even_before_it_is_reaped() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = identify(process.pid)
    assert identity is not None
    assert identity.is_alive()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.is_alive()
    process.communicate()


@pytest.mark.parametrize(
    ("wait_status", "words"),
    [
        (0, "exit code 0"),
        (1 << 8, "exit code 1 (it refused to start, or failed)"),
        (2 << 8, "exit code 2 (its configuration is wrong)"),
        (99 << 8, "exit code 99"),
        (signal.SIGKILL, "killed by SIGKILL"),
    ],
)
def test_exit_is_told_in_words(wait_status: int, words: str) -> None:
    assert describe_exit(wait_status) == words


def test_record_is_read_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.json"
    gone = ProcessIdentity(1, "never")
    record = SupervisorRecord(
        supervisor=identify_self(), socket="/s", nodes={"broker-a-0": identify_self(), "broker-a-1": gone}
    )
    save_record(path, record)
    assert load_record(path) == record
    assert list(record.living_nodes) == ["broker-a-0"]
    path.write_bytes(b'{"supervisor":')
    assert load_record(path) is None
    assert load_record(tmp_path / "nothing") is None


@pytest.mark.parametrize("is_retired", [False, True])
def test_record_is_written_on_a_full_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_retired: bool
) -> None:
    path = tmp_path / "supervisor.json"
    record = SupervisorRecord(supervisor=identify_self(), socket="/s")
    save_record(path, record)
    if is_retired:
        retire_record(path)
        assert load_record(path) is None

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rmqctl.supervisor.files.record.write_atomically", refuse)
    later = SupervisorRecord(supervisor=identify_self(), socket="/s", kept_down=["broker-a-0"])
    save_record(path, later)
    assert load_record(path) == later
    assert path.stat().st_size == 4096


def test_file_that_has_the_content_already_needs_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cluster.toml"
    write_atomically(path, b"one")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rmqctl.home.write_anew", refuse)
    write_atomically(path, b"one", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600, "its permissions are set all the same"
    with pytest.raises(OSError, match="No space left") as raised:
        write_atomically(path, b"two")
    assert raised.value.filename == str(path)


def test_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two", durable=False)
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_taken_port_is_refused_with_the_name_and_pid_of_its_holder(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        plan = plan_cluster(
            UpOptions(home=tmp_path, broker_ip="127.0.0.1", set_options=[f"broker-a-0:listenPort={port}"])
        )
        with pytest.raises(RmqctlError, match="broker-a-0 cannot start") as caught:
            check_ports_free(plan.model, plan.model.nodes)
        assert f"port {port} on 127.0.0.1 is held by" in str(caught.value.why)
        assert f"(pid {os.getpid()})" in str(caught.value.why)
        assert "--port-offset 100" in str(caught.value.cure)
        found = find_holder("127.0.0.1", port)
        assert found is not None
        assert found.pid == os.getpid()
    assert find_holder("127.0.0.1", port) is None


def test_address_of_another_machine_is_refused_before_anything_starts(tmp_path: Path) -> None:
    plan = plan_cluster(UpOptions(home=tmp_path, broker_ip="203.0.113.7", port_offset=20000))
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.7") as caught:
        check_ports_free(plan.model, plan.model.nodes)
    assert "bindAddress" in str(caught.value.cure)


def test_failure_is_explained_by_the_last_error_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    log.write_text("old line\n")
    since = log.stat().st_size
    with log.open("a") as file:
        file.write("2026-01-01 00:00:00,000 INFO a starts\n")
        file.write("2026-01-01 00:00:00,000 ERROR rmqnode.run broker.conf:7: listenPort must be 1..65535\n")
        file.write("2026-01-01 00:00:00,000 INFO a ends\n")
    lines = tail_of_log(log, since)
    node = plan_cluster(UpOptions(home=tmp_path, broker_ip="127.0.0.1")).model.nodes[0]
    assert len(lines) == 3
    assert explain_failure(node, lines) == "broker.conf:7: listenPort must be 1..65535"
    assert explain_failure(node, ["something else"]) == "something else"
    assert explain_failure(node, []) is None
    assert tail_of_log(tmp_path / "nothing", 0) == []
