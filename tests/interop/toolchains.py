"""Runs Maven and Go builds for the interoperability tests, offline where their caches already suffice.

A missing tool skips the test that needs it; with `RMQCTL_REQUIRE_INTEROP=1`, as in CI, it fails the test instead.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.cache import CHECKOUT, built_once, digest_of

INTEROP = CHECKOUT / "tests" / "interop"
BUILD_TIMEOUT_SECONDS = 600


def require_tools(*tools: str) -> None:
    """Skip (or, where interoperability is required, fail) the calling test unless every tool is on the PATH."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing:
        return
    reason = f"{' and '.join(missing)} not found on the PATH"
    if os.environ.get("RMQCTL_REQUIRE_INTEROP") == "1":
        pytest.fail(f"{reason}, but RMQCTL_REQUIRE_INTEROP=1 asks for the interoperability tests")
    pytest.skip(reason)


def maven_folder(name: str, project: Path, **properties: str) -> Path:
    """Package the Maven project in `project` and return its build folder, which holds `classes/` and `jars/`.

    Args:
        name: The folder below `.cache/interop`.
        project: The folder that holds `pom.xml`.
        properties: Maven properties; a `_` in a name stands for a `.`.
    """
    definitions = [f"-D{key.replace('_', '.')}={value}" for key, value in properties.items()]
    sources = [path for path in project.rglob("*") if path.is_file()]

    def build(folder: Path) -> None:
        command = ["mvn", "-q", "-B", *definitions, f"-Dinterop.build={folder}", "package"]
        if _run([command[0], "-o", *command[1:]], project).returncode != 0:
            _checked(command, project)

    return built_once(name, digest_of(sources, *definitions), build)


def go_program(name: str, project: Path) -> Path:
    """Build the Go module in `project` and return the program's path."""
    sources = [path for path in project.rglob("*") if path.suffix in {".go", ".mod", ".sum"}]

    def build(folder: Path) -> None:
        _checked(["go", "build", "-o", str(folder / name), "."], project)

    return built_once(name, digest_of(sources), build) / name


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )


def _checked(command: list[str], folder: Path) -> None:
    result = _run(command, folder)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {result.returncode}:\n{result.stdout[-4000:]}")
