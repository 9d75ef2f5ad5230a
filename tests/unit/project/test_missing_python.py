"""`scripts/rmqctl` on a machine that lacks what it needs: one sentence that says what was found and what to do."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest


class Machine:
    """A machine whose PATH holds the usual tools, and the Pythons that a test puts there."""

    def __init__(self, root: Path, base_python: str, checkout: Path, usual_tools: Path) -> None:
        self.bin = root / "bin"
        shutil.copytree(usual_tools, self.bin, symlinks=True)
        self.script = checkout / "scripts" / "rmqctl"
        self._base_python = base_python
        self._root = root

    def add_python(self, name: str, **shadows: str) -> Path:
        """Puts a Python there in which some modules are replaced: `shadows` gives their sources."""
        folder = self._root / f"{name}-modules"
        folder.mkdir()
        for module, source in shadows.items():
            (folder / f"{module}.py").write_text(source)
        return self.add_command(
            name, f'PYTHONPATH={shlex.quote(str(folder))} exec {shlex.quote(self._base_python)} "$@"'
        )

    def add_command(self, name: str, line: str) -> Path:
        command = self.bin / name
        command.write_text(f"#!/bin/sh\n{line}\n")
        command.chmod(0o755)
        return command

    def start(self, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.script, "--version"],
            env={"PATH": str(self.bin)} | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path, base_python, copy_checkout, usual_tools) -> Machine:
    return Machine(tmp_path, base_python, copy_checkout(tmp_path / "check out"), usual_tools)


def python_that_claims_to_be(major: int, minor: int) -> dict[str, str]:
    return {"sitecustomize": f"import sys\nsys.version_info = ({major}, {minor}, 2, 'final', 0)\n"}


PYTHON_WITHOUT_VENV = {"ensurepip": "raise ImportError\n"}


def assert_refused(result: subprocess.CompletedProcess[str], what: str, why: str, cure: str) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    first, second, third = result.stderr.splitlines()
    assert first == f"rmqctl: error: {what}"
    assert second.startswith("  why: ")
    assert why in second
    assert third.startswith("  try: ")
    assert cure in third


def test_without_any_python_it_says_which_names_it_looked_for(machine):
    machine.add_command("python3.13", "echo 'no such version' >&2; exit 127")  # as pyenv's stand-ins do
    assert_refused(
        machine.start(),
        "Python 3.11 or newer is needed",
        "none of python3.13, python3.12, python3.11 and python3 starts",
        "RMQCTL_PYTHON=/path/to/python3.11 scripts/rmqctl",
    )


def test_too_old_python_is_named_with_its_version(machine):
    machine.add_python("python3", **python_that_claims_to_be(3, 9))
    assert_refused(machine.start(), "Python 3.11 or newer is needed", "python3 is Python 3.9.2 (", "RMQCTL_PYTHON=")


def test_python_named_by_rmqctl_python_must_be_new_enough_even_if_a_better_one_is_there(machine):
    old = machine.add_python("python3", **python_that_claims_to_be(3, 10))
    machine.add_python("python3.11")
    result = machine.start(RMQCTL_PYTHON=str(old))
    assert_refused(result, "Python 3.11 or newer is needed", f"{old} is Python 3.10.2 (", "RMQCTL_PYTHON=/path")


def test_rmqctl_python_that_is_no_python_is_refused(machine):
    result = machine.start(RMQCTL_PYTHON="/nowhere/python3.11")
    assert_refused(
        result,
        "Python 3.11 or newer is needed",
        "RMQCTL_PYTHON=/nowhere/python3.11 is no Python that starts",
        "unset RMQCTL_PYTHON",
    )


def test_python_without_venv_is_named_with_what_to_install(machine):
    machine.add_python("python3.11", **PYTHON_WITHOUT_VENV)
    assert_refused(
        machine.start(),
        "a private environment cannot be made",
        "comes without the modules venv and ensurepip",
        "install the venv and ensurepip modules of Python 3.",
    )


def test_on_debian_python_without_venv_is_cured_by_the_name_of_its_package(machine):
    machine.add_python("python3.11", **PYTHON_WITHOUT_VENV)
    machine.add_command("apt-get", "exit 1")
    assert "try: apt-get install python3." in machine.start().stderr
    assert "-venv, and start again" in machine.start().stderr


def test_python_with_venv_is_preferred_to_a_newer_one_without(machine):
    machine.add_python("python3.13", **PYTHON_WITHOUT_VENV)
    machine.add_python("python3.11", sitecustomize="import sys\nsys._base_executable = '/the/chosen/python'\n")
    result = machine.start()
    assert result.returncode == 1
    # It was chosen, and is not really there.
    assert "making a private environment" in result.stderr
    assert "error: the private environment could not be made\n  why: /the/chosen/python -m venv said:" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_checkout_without_write_permission_is_named(machine):
    checkout = machine.script.parents[1]
    machine.add_python("python3.11")
    checkout.chmod(0o555)
    try:
        assert_refused(
            machine.start(),
            "the private environment cannot be made",
            f"folder {checkout} is not writable",
            "write access",
        )
    finally:
        checkout.chmod(0o755)
