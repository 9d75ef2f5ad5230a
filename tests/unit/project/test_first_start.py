"""`scripts/rmqctl` in a fresh checkout: the private environment is made once, kept up to date, and repaired."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rmqctl import __version__

Environ = dict[str, str]


def start(script: Path, environ: Environ, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, "--version"], env=environ, cwd=cwd, capture_output=True, text=True, timeout=180, check=False
    )


def assert_started(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"rmqctl {__version__}\n"


@pytest.fixture(scope="module")
def machine_environ(clean_environ, usual_tools) -> Environ:
    """Nothing but the usual tools in PATH, and a Python that is named."""
    return clean_environ | {"PATH": str(usual_tools)}


@pytest.fixture(scope="module")
def first_starts(copy_checkout, machine_environ, tmp_path_factory) -> tuple[Path, list[str]]:
    """A checkout below folders with spaces after two first starts at once, and what each said on stderr."""
    script = copy_checkout(tmp_path_factory.mktemp("first start") / "my checkout") / "scripts" / "rmqctl"
    starts = [
        subprocess.Popen(
            [script, "--version"], env=machine_environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=180) for process in starts]
    for process, (stdout, stderr) in zip(starts, outputs, strict=True):
        assert_started(subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr))
    return script, [stderr for _, stderr in outputs]


@pytest.fixture
def script(first_starts) -> Path:
    return first_starts[0]


def test_of_two_first_starts_at_once_one_makes_the_environment_and_both_work(first_starts):
    script, said = first_starts
    waited, made = sorted(said, key=lambda text: "making a private environment" in text)
    assert f"making a private environment in {script.parents[1] / '.venv'}" in made
    assert len(made.splitlines()) == 3
    assert "waiting for it" in waited
    assert len(waited.splitlines()) == 1


def test_second_start_installs_nothing_and_says_nothing(script, machine_environ):
    stamp = script.parents[1] / ".venv" / ".rmqctl-run"
    written_at = stamp.stat().st_mtime_ns
    result = start(script, machine_environ)
    assert_started(result)
    assert result.stderr == ""
    assert stamp.stat().st_mtime_ns == written_at


def test_start_through_symbolic_links_from_a_folder_with_modules_of_the_same_names(script, machine_environ, tmp_path):
    bin_folder = tmp_path / "user's bin"
    bin_folder.mkdir()
    (bin_folder / "absolute").symlink_to(script)
    (bin_folder / "rmqctl").symlink_to("absolute")
    for name in ("rmqctl.py", "typer.py", "trio.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
    result = start(bin_folder / "rmqctl", machine_environ | {"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    assert_started(result)
    assert result.stderr == ""


def test_changed_pyproject_is_installed_again_even_if_a_dead_start_left_its_lock(script, machine_environ):
    checkout = script.parents[1]
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "\n# changed\n")
    lock = checkout / ".cache" / "environment.lock"
    lock.symlink_to("1 123456789")  # pid 1 is alive, but did not start then: another process had that number
    result = start(script, machine_environ)
    assert_started(result)
    assert "updating the private environment" in result.stderr
    assert "making" not in result.stderr
    assert not lock.is_symlink()
    assert start(script, machine_environ).stderr == ""


def test_copied_checkout_makes_its_own_environment_after_a_failed_download_and_an_interrupted_start(
    script, machine_environ, tmp_path
):
    copy = tmp_path / "copied checkout"
    shutil.copytree(script.parents[1], copy, symlinks=True)
    copied_script = copy / "scripts" / "rmqctl"
    offline = machine_environ | {"PIP_FIND_LINKS": tmp_path.as_uri()}
    for what_it_does in ("making a private", "updating the private"):
        failed = start(copied_script, offline)
        assert failed.returncode == 1
        assert failed.stdout == ""
        assert f"{what_it_does} environment in {copy / '.venv'}" in failed.stderr
        assert "error: pip could not install rmqctl and its libraries" in failed.stderr
        assert "No matching distribution found" in failed.stderr
        assert "try: check the network" in failed.stderr
    # As a start leaves it that was killed while pip worked.
    (copy / ".cache" / "environment.unfinished").touch()
    shutil.rmtree(next((copy / ".venv" / "lib").glob("python*/site-packages/pip")))
    result = start(copied_script, machine_environ)
    assert_started(result)
    assert "making a private environment" in result.stderr
    assert start(copied_script, machine_environ).stderr == ""
