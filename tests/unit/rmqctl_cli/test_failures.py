"""How commands end when a standard stream or a file fails them, and what unknown words are answered with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rmqctl.cli.app import run
from rmqctl.errors import ExitCode

FULL_DEVICE = Path("/dev/full")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `rmqctl` is ours."""
    words = f'rmqctl() {{ "{sys.executable}" -m rmqctl "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", ["completion bash", "profile list", "profile show 2m-2s --json"])
def test_a_reader_that_has_gone_is_no_failure(command: str) -> None:
    done = shell(f"rmqctl {command} | true; echo ${{PIPESTATUS[@]}}")
    assert done.stdout == "0 0\n"
    assert done.stderr == ""


@pytest.mark.skipif(not FULL_DEVICE.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("options", ["", "--json"])
def test_a_result_that_cannot_be_written_is_told_and_is_no_defect(options: str) -> None:
    done = shell(f"rmqctl profile list {options} > /dev/full")
    assert done.returncode == ExitCode.REFUSED
    assert done.stderr.startswith("rmqctl: error: something could not be written\n  why: No space left on device")
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr


def test_closed_standard_streams_harm_nothing() -> None:
    assert shell("rmqctl profile list >&-").returncode == 0
    without_stderr = shell("rmqctl profile show nosuch --json 2>&-")
    assert without_stderr.returncode == ExitCode.USAGE
    assert json.loads(without_stderr.stdout)["error"]["exit_code"] == ExitCode.USAGE, "and nothing else on stdout"
    assert shell("rmqctl profile list --json <&-").returncode == 0


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "cluster.toml"))

    monkeypatch.setattr("rmqctl.cli.address.list_interfaces", refuse)
    assert run(["address"]) == ExitCode.REFUSED
    said = capsys.readouterr().err
    assert f"can't use {tmp_path / 'cluster.toml'}" in said
    assert "why: Permission denied" in said
    assert "defect" not in said


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["stauts"], "rmqctl status, or rmqctl --help"),
        (["topic", "creat", "x"], "rmqctl topic create, or rmqctl topic --help"),
        (["xyzzy"], "rmqctl --help"),
    ],
)
def test_a_word_that_is_nearly_a_command_is_answered_with_the_command(
    arguments: list[str], cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    assert capsys.readouterr().err.splitlines()[-1] == f"  try: {cure}"


@pytest.mark.parametrize("option", ["--nameserver", "--cluster", "--home"])
def test_an_empty_option_means_no_other_cluster(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topic", "list", option, ""]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert option in said
    assert "it is empty" in said


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["send", "orders", "--count", "1.5"], "Invalid value for '--count': '1.5' is no whole number"),
        (["logs", "-n", "-1"], "Invalid value for '--lines' / '-n': -1 is below 0"),
        (["send", "orders", "x", "-v", "-q"], "--verbose and --quiet were both given"),
        (["tail", "orders", "--from", "-5m", "--until", "-10m"], "--until lies before --from"),
        (["profile", "show", "single", "--port-offset", "-100"], "--port-offset -100 is not 0, 100, 200 …"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_plain_words(
    arguments: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--home", str(tmp_path)]) == ExitCode.USAGE
    assert f"rmqctl: error: {what}" in capsys.readouterr().err
