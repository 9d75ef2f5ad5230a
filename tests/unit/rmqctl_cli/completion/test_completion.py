"""What Tab offers, without a cluster; with one: tests/cluster/test_completion.py."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rmqctl.cli.app import COMMANDS, GroupEntry, run
from rmqctl.cli.completion.words import candidates
from rmqctl.cli.completion.words import run as complete
from rmqctl.profile.library import profile_names


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RMQCTL_HOME", str(tmp_path))
    monkeypatch.delenv("NAMESRV_ADDR", raising=False)


def words(before: str, begun: str = "") -> list[str]:
    found = [candidate.word for candidate in candidates(before.split(), begun)]
    return [word for word in found if word.startswith(begun)]


def printed(
    shell: str, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    monkeypatch.setenv("_RMQCTL_COMPLETE", shell)
    assert complete(arguments) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out.splitlines()


def test_commands_come_from_the_table() -> None:
    assert words("") == list(COMMANDS)
    group = COMMANDS["group"]
    assert isinstance(group, GroupEntry)
    assert words("group") == list(group.commands)
    assert words("", "ta") == ["tail"]


def test_options_are_those_of_the_command_with_their_help() -> None:
    assert "--order-key" in words("send orders hello", "--")
    assert "--order-key" not in words("tail orders", "--")
    assert words("send", "--del") == ["--delay-level"]
    assert words("group", "--") == ["--help"]
    (option,) = [each for each in candidates(["send"], "--rate") if each.word == "--rate"]
    assert option.help == "At most R messages in a second."


@pytest.mark.parametrize(("before", "begun"), [("send b --format", ""), ("send b", "--format=")])
def test_choices_of_an_option_are_offered_behind_it(before: str, begun: str) -> None:
    assert [word.removeprefix("--format=") for word in words(before, begun)] == [
        "text",
        "json",
        "hex",
        "base64",
        "jsonl",
    ]


def test_profiles_are_known_without_a_cluster() -> None:
    assert words("up --profile") == sorted(profile_names())
    assert words("profile show", "2m-n") == ["2m-noslave"]
    assert words("completion") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    "before",
    ["tail", "send", "group describe", "conf show", "logs", "topic delete", "message get --topic", "up --cluster"],
)
def test_without_a_cluster_there_are_no_names_and_no_complaint(before: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words(before) == []
    assert words(f"{before} --nameserver 127.0.0.1:1") == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("before", ["nosuch", "topic nosuch", "tail --from", "send t body more", "profile show a b"])
def test_where_nothing_is_known_nothing_is_offered(before: str) -> None:
    assert words(before) == []


def test_the_first_argument_is_followed_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("rmqctl.cli.completion.words.names_of", lambda kind, rest: asked.append(kind.value) or ["x"])
    assert words("group reset-offset") == ["x"]
    assert words("group reset-offset --to earliest billing") == ["x"]
    assert asked == ["group", "topic"]


def test_each_shell_gets_its_own_form(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed("zsh", ["address"], monkeypatch, capsys) == [
        "address:Show which address clients will be told, and why."
    ]
    assert printed("fish", ["address"], monkeypatch, capsys) == [
        "address\tShow which address clients will be told, and why."
    ]
    assert printed("bash", ["rmqctl addr"], monkeypatch, capsys) == ["address"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("rmqctl group de", ["describe", "delete"]),
        ("rmqctl send b --format=js", ["json", "jsonl"]),
        ('rmqctl send b "an open quote', []),
        ("rmqctl group nosuch ", []),
    ],
)
def test_a_line_of_bash_is_split_as_bash_does(
    line: str, found: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed("bash", [line], monkeypatch, capsys) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_calls_rmqctl_in_the_form_that_is_answered(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert f"_RMQCTL_COMPLETE={shell}" in capsys.readouterr().out


def test_the_script_is_understood_by_bash() -> None:
    script = subprocess.run(
        [sys.executable, "-m", "rmqctl", "completion", "bash"], capture_output=True, text=True, check=True
    ).stdout
    program = f'rmqctl() {{ "{sys.executable}" -m rmqctl "$@"; }}\n{script}\n'
    program += "COMP_LINE='rmqctl profile s' COMP_POINT=16 COMP_WORDS=(rmqctl profile s) COMP_CWORD=2\n"
    program += '_rmqctl_completion; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("show\n", "")


def test_completing_a_command_loads_no_command() -> None:
    code = (
        "import sys; from rmqctl.__main__ import main; main(); print([m for m in sys.modules if m in ('trio', 'rich')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "gr"],
        env={**os.environ, "_RMQCTL_COMPLETE": "fish"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
