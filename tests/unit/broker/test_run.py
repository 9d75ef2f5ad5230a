"""A broker as a process of its own: what it prints, how it stops, and how it says why it did not start."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a broker with a configuration file; killed after the test, if it still runs."""
    processes: list[subprocess.Popen[str]] = []

    def start(port: int, *lines: str) -> subprocess.Popen[str]:
        path = tmp_path / f"broker{len(processes)}.conf"
        base = (f"listenPort={port}", "brokerIP1=127.0.0.1", "bindAddress=127.0.0.1", "brokerName=broker-a")
        path.write_text("\n".join((*base, f"storePathRootDir={tmp_path / 'store'}", *lines)) + "\n")
        command = [sys.executable, "-m", "rmqnode", "broker", "-c", str(path)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        with process:
            if process.poll() is None:
                process.kill()


def wait_ready(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def end_of(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_broker_says_when_it_serves_and_stops_cleanly_by_signal(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    broker = start(port)
    assert wait_ready(broker) == f"The broker[broker-a, 127.0.0.1:{port}] boot success. serializeType=JSON\n"
    assert (tmp_path / "store" / "abort").exists()
    broker.send_signal(number)
    exit_code, errors = end_of(broker)
    assert (exit_code, "Traceback" in errors) == (0, False)
    assert not (tmp_path / "store" / "abort").exists()


def test_a_second_broker_on_the_same_store_does_not_start_and_harms_nothing(start: Start) -> None:
    first = start(free_port())
    wait_ready(first)
    exit_code, errors = end_of(start(free_port()))
    assert exit_code == 1
    assert "Traceback" not in errors
    assert "store" in errors.splitlines()[-1]
    assert first.poll() is None


def test_a_wrong_configuration_has_its_own_exit_code_and_names_the_line(start: Start, tmp_path: Path) -> None:
    exit_code, errors = end_of(start(free_port(), "flushDiskType=NEVER"))
    assert exit_code == 2
    assert "broker0.conf:6: flushDiskType" in errors
    assert "Traceback" not in errors


def test_a_taken_port_is_named(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        exit_code, errors = end_of(start(port))
    assert exit_code == 1
    assert errors.splitlines()[-1].endswith(f"can't listen on 127.0.0.1:{port}: Address already in use")
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_made_is_named_with_the_reason(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    exit_code, errors = end_of(start(free_port(), f"storePathRootDir={tmp_path / 'file' / 'store'}"))
    assert exit_code == 1
    assert re.search(rf"can't use {re.escape(str(tmp_path))}/file\S*: Not a directory$", errors.splitlines()[-1])
