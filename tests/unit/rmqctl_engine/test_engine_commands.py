"""`rmqctl engine` with a Maven mirror on loopback, found through the settings of Maven."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rmqctl.cli.app import run
from tests.unit.rmqctl_engine.conftest import MavenServer


@pytest.fixture(autouse=True)
def _mirror(maven: MavenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / ".m2" / "settings.xml"
    settings.parent.mkdir()
    mirror = f"<mirror><id>here</id><mirrorOf>*</mirrorOf><url>{maven.url}</url></mirror>"
    settings.write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RMQCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RMQCTL_HOME", str(tmp_path / "homes"))
    maven.publish_rocketmq("4.9.7")


def state_of(version: str, capsys: pytest.CaptureFixture[str], *options: str) -> str | None:
    capsys.readouterr()
    assert run(["engine", "list", "--json", *options]) == 0
    rows = json.loads(capsys.readouterr().out)
    return next((row["state"] for row in rows if row["version"] == version), None)


def test_version_is_available_then_installed_then_available_again(
    maven: MavenServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert state_of("4.9.7", capsys) == "available"
    assert maven.asked == [], "list asks nobody"
    assert run(["engine", "install", "apache", "--version", "4.9.7"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'cache' / 'apache' / '4.9.7'}\n"
    assert "4 jars are there, checksums verified" in told.err
    assert state_of("4.9.7", capsys) == "installed"
    assert run(["engine", "install", "apache", "--version", "4.9.7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["installed"] is False
    assert run(["engine", "remove", "apache", "--version", "4.9.7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] is True
    assert state_of("4.9.7", capsys) == "available"
    assert run(["engine", "remove", "apache", "--version", "4.9.7"]) == 0
    assert capsys.readouterr().err == "Apache RocketMQ 4.9.7 was not installed\n"


def test_every_published_version_is_listed_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert state_of("4.10.0", capsys) is None
    assert state_of("4.10.0", capsys, "--all") == "available"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["install", "apache", "--version", "4.9.8"], "there is no Apache RocketMQ 4.9.8"),
        (["install", "apache", "--version", "../4.9.7"], "'../4.9.7' is not a version"),
        (["remove", "apache", "--version", ".."], "'..' is not a version"),
        (["install", "embedded"], "comes with rmqctl"),
        (["install", "java"], "there is no engine 'java'"),
    ],
)
def test_what_cannot_be_is_a_usage_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["engine", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_up_without_network_says_what_is_missing_and_starts_nothing(maven: MavenServer, tmp_path: Path) -> None:
    maven.close()
    arguments = ["up", "--engine", "apache", "--version", "4.9.7", "--broker-ip", "127.0.0.1"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rmqctl", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert "rmqctl: error: Apache RocketMQ 4.9.7 is not installed and cannot be fetched" in done.stderr
    assert "why: here does not answer: Connection refused" in done.stderr
    assert "--rocketmq-home FOLDER" in done.stderr
    assert not list((tmp_path / "homes").rglob("cluster.toml"))
