"""The repository as a whole: nothing of one machine in it, and its documents name only what is there."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rmqctl
from rmqctl.cli.app import COMMANDS, GroupEntry

HOME_FOLDER = re.compile(rb"(?<![\w.$}])/(?:home|Users|root)/[\w.-]+")
CODE_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
MODULE_OR_FOLDER = re.compile(r"`(\w[\w./-]*(?:\.py|/))`")
DOCUMENTS = ("README.md", "docs/architecture.md", "docs/development.md")


@pytest.fixture(scope="module")
def repository_files(checkout: Path) -> list[Path]:
    """Every file that is in the repository, or would be after `git add --all`."""
    if not (checkout / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().rstrip("\0").split("\0")
    return [checkout / name for name in names if (checkout / name).is_file()]


def test_no_file_names_a_folder_of_the_machine_it_was_written_on(checkout, repository_files):
    here = {str(checkout).encode(), sys.prefix.encode(), sys.base_prefix.encode()} - {b"/usr", b"/usr/local"}
    found = []
    for path in repository_files:
        content = path.read_bytes()
        if HOME_FOLDER.search(content) or any(folder in content for folder in here):
            found.append(str(path.relative_to(checkout)))
    assert found == []


def test_version_is_the_same_everywhere(checkout):
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == rmqctl.__version__


def test_licence_is_apache_2(checkout):
    text = (checkout / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("Apache License\n                           Version 2.0")
    assert "END OF TERMS AND CONDITIONS" in text


def commands_in(document: str) -> list[list[str]]:
    """The rmqctl commands of a document's code blocks, as lists of words without the program."""
    lines = [line.strip().removeprefix("$ ") for block in CODE_BLOCK.findall(document) for line in block.splitlines()]
    commands = [command for line in lines for command in re.split(r" \| (?=rmqctl )", line)]
    words = [
        shlex.split(command, comments=True) for command in commands if re.match(r"(scripts/)?rmqctl( |$)", command)
    ]
    return [command[1:] for command in words]


def command_name(words: list[str]) -> list[str]:
    """The leading words that name a command, from the table of commands; fails if there is no such command."""
    if words[0].startswith("-"):
        return []
    entry = COMMANDS[words[0]]
    if not isinstance(entry, GroupEntry):
        return words[:1]
    assert words[1] in entry.commands, f"rmqctl {words[0]} has no command {words[1]}"
    return words[:2]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_in_the_documents_exist(checkout, document):
    for words in commands_in((checkout / document).read_text(encoding="utf-8")):
        name = command_name(words)
        help_text = subprocess.run(
            [sys.executable, "-P", "-m", "rmqctl", *name, "--help"],
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            encoding="utf-8",
            check=True,
            timeout=60,
        ).stdout
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", help_text), f"rmqctl {' '.join(name)} has no option {option}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_the_documents_link_to_exist(checkout, document):
    path = checkout / document
    missing = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_scripts_that_the_documents_mention_exist(checkout, document):
    mentioned = set(re.findall(r"\bscripts/[\w.]*\w", (checkout / document).read_text(encoding="utf-8")))
    assert [name for name in sorted(mentioned) if not (checkout / name).is_file()] == []


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_modules_and_folders_that_the_documents_name_exist(checkout, repository_files, document):
    files = [path.relative_to(checkout) for path in repository_files]
    there = {f"/{path}" for path in files} | {f"/{folder}/" for path in files for folder in path.parents}
    named = MODULE_OR_FOLDER.findall((checkout / document).read_text(encoding="utf-8"))
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in there)] == []


def test_readme_names_rocketmq_in_its_first_sentence_and_every_profile(checkout):
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    first_sentence = next(line for line in readme.splitlines() if line and not line.startswith(("#", "<", "[")))
    assert "Apache RocketMQ" in first_sentence
    for profile in (checkout / "profiles").glob("*.toml"):
        assert f"| `{profile.stem}`" in readme


def test_readme_shows_the_commands_of_the_first_minutes(checkout):
    shown = [command_name(words) for words in commands_in((checkout / "README.md").read_text(encoding="utf-8"))]
    for name in (["up"], ["topic", "create"], ["send"], ["tail"], ["status"], ["down"]):
        assert name in shown
