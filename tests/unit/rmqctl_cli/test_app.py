"""The command line's edge: what is imported when, and how errors end."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import rmqctl
from rmqctl.cli.app import COMMANDS, CommandEntry, GroupEntry, load_function, run
from rmqctl.errors import ExitCode


def entries() -> list[CommandEntry]:
    found: list[CommandEntry] = []
    for entry in COMMANDS.values():
        found += entry.commands.values() if isinstance(entry, GroupEntry) else [entry]
    return found


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.target)
def test_every_line_of_the_table_leads_to_a_command(entry: CommandEntry) -> None:
    command = load_function(entry)
    assert callable(command)
    assert command.__doc__, "its docstring is its help"


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == ExitCode.DONE
    assert capsys.readouterr().out == f"rmqctl {importlib.metadata.version('rmqctl')}\n"
    assert rmqctl.__version__ == importlib.metadata.version("rmqctl")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["topic", "--help"]])
def test_version_and_help_import_no_command(arguments: list[str]) -> None:
    code = (
        "import sys, json; from rmqctl.cli.app import run; run(sys.argv[1:]);"
        "print(); print(json.dumps([m for m in sys.modules if m.startswith(('rmqctl.', 'trio', 'rich', 'psutil'))]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    imported = json.loads(done.stdout.splitlines()[-1])
    assert set(imported) <= {"rmqctl.cli", "rmqctl.cli.app", "rmqctl.cli.output", "rmqctl.errors", "rmqctl.streams"}


@pytest.mark.parametrize("arguments", [["profile", "show", "nosuch", "--json"], ["status", "--json", "--jsn"]])
def test_a_failure_is_a_json_document_too_for_who_asked_for_json(
    arguments: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    code = run(arguments)
    said = capsysbinary.readouterr()
    error = json.loads(said.out)["error"]
    assert error["exit_code"] == code == ExitCode.USAGE
    assert list(error) == ["what", "why", "try", "exit_code"]
    assert f"rmqctl: error: {error['what']}" in said.err.decode()


def test_a_word_after_two_dashes_asks_for_no_json(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["profile", "show", "--", "--json"]) == ExitCode.USAGE
    assert capsysbinary.readouterr().out == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upp"], "No such command 'upp'"),
        (["topic"], "Missing command"),
        (["status", "--jsn"], "No such option: --jsn"),
        (["profile", "show"], "Missing argument"),
        (["up", "--timeout", "soon"], "Invalid value for '--timeout'"),
    ],
)
def test_usage_error_is_one_sentence_with_a_cure(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"rmqctl: error: {message}")
    assert "  try: rmqctl" in printed.err
    assert "Traceback" not in printed.err


def test_unexpected_error_is_told_as_a_defect_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RMQCTL_DEBUG", raising=False)
    monkeypatch.setattr("rmqctl.address.list_interfaces", lambda: 1 / 0)
    monkeypatch.setattr("rmqctl.cli.address.list_interfaces", lambda: 1 / 0)
    assert run(["address"]) == ExitCode.REFUSED
    printed = capsys.readouterr().err
    assert "ZeroDivisionError" in printed
    assert "Traceback" not in printed


def test_profile_list_is_plain_columns_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "list"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["profile", "what", "it", "is"]
    assert [line.split()[0] for line in lines[1:]] == ["1m-1s", "2m-2s", "2m-2s-sync", "2m-noslave", "single"]


def test_profile_show_names_the_source_of_a_value(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["profile", "show", "2m-2s-sync", "--home", str(tmp_path), "--broker-ip", "127.0.0.1"]
    assert run([*arguments, "--set", "broker-a-0:brokerPermission=4"]) == ExitCode.DONE
    printed = capsys.readouterr().out
    assert "brokerRole=SYNC_MASTER    # 2m-2s-sync: properties.masters.brokerRole" in printed
    assert "brokerPermission=4    # --set broker-a-0:brokerPermission=4" in printed
    assert list(tmp_path.iterdir()) == [], "showing writes nothing"


def test_commands_on_a_home_without_a_cluster_say_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    home = ["--home", str(tmp_path)]
    assert run(["status", *home]) == ExitCode.REFUSED
    assert "nothing is running" in capsys.readouterr().err
    assert run(["down", *home]) == ExitCode.DONE
    assert "was not running" in capsys.readouterr().err
    assert run(["status", "--json", *home]) == ExitCode.REFUSED
    assert json.loads(capsys.readouterr().out) == {
        "cluster": "rmqctl",
        "engine": "embedded",
        "state": "stopped",
        "problems": [],
        "nodes": [],
        "replication": [],
        "drift": [],
    }
    assert run(["logs", *home]) == ExitCode.REFUSED
    assert "never brought up" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
