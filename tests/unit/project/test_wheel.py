"""The wheel, alone in an empty environment away from the checkout, is a working rmqctl."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ports import free_port_offset

RunInstalled = Callable[..., subprocess.CompletedProcess[str]]

EMBEDDED_PROFILES = {"single", "1m-1s", "2m-noslave", "2m-2s", "2m-2s-sync"}


def test_wheel_holds_both_packages_the_profiles_and_the_licence_and_nothing_else(built_wheel):
    names = zipfile.ZipFile(built_wheel).namelist()
    top_level = {name.split("/")[0] for name in names}
    assert {"rmqctl", "rmqnode"} < top_level
    assert len(top_level) == 3  # and the metadata
    assert {f"rmqctl/profiles/{name}.toml" for name in EMBEDDED_PROFILES} <= set(names)
    assert {"rmqctl/py.typed", "rmqnode/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def run_installed(built_wheel, wheelhouse, clean_environ, base_python, tmp_path_factory) -> RunInstalled:
    """Runs a console script of an environment into which only the wheel was installed.

    The folder it runs in holds modules of familiar names, as a user's folder may: nothing may import those.
    """
    folder: Path = tmp_path_factory.mktemp("installed wheel")
    for name in ("rmqctl.py", "rmqnode.py", "trio.py", "typer.py"):
        (folder / name).write_text("raise SystemExit('the wrong module')\n")
    subprocess.run([base_python, "-m", "venv", folder / "env"], check=True, capture_output=True, timeout=120)
    subprocess.run(
        [folder / "env" / "bin" / "python", "-m", "pip", "install", "--quiet", built_wheel],
        env=clean_environ,
        check=True,
        timeout=180,
    )

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [folder / "env" / "bin" / script, *arguments],
            env=clean_environ | {"RMQCTL_HOME": str(folder / "home")},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run


def test_installed_wheel_knows_its_profiles(run_installed):
    result = run_installed("rmqctl", "profile", "list", "--json")
    assert result.returncode == 0, result.stderr
    assert {profile["name"] for profile in json.loads(result.stdout)} >= EMBEDDED_PROFILES


def test_installed_wheel_brings_a_cluster_up_and_down(run_installed):
    address = ("--broker-ip", "127.0.0.1", "--port-offset", str(free_port_offset()))
    up = run_installed("rmqctl", "up", "--profile", "1m-1s", *address)
    try:
        assert up.returncode == 0, up.stderr
        status = json.loads(run_installed("rmqctl", "status", "--json").stdout)
        assert [node["state"] for node in status["nodes"]] == ["ready"] * 3
    finally:
        down = run_installed("rmqctl", "down", "--purge", "--yes")
    assert down.returncode == 0, down.stderr


def test_installed_node_script_explains_itself(run_installed):
    result = run_installed("rmqnode", "--help")
    assert result.returncode == 0, result.stderr
    assert "broker" in result.stdout
    assert "nameserver" in result.stdout
    assert sys.prefix not in result.stdout
