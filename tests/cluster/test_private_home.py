"""Who may look into a cluster's home, and whose processes its nodes are."""

import os
import pwd
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rmqctl.errors import RmqctlError
from rmqctl.systemd.account import check_code_is_open, code_of_this_process
from tests.interop.toolchains import require_tools

ACCOUNT = "nobody"


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that leaves everything open."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, tuple[int, int]]:
    """Modes of the folders and of the files in a home, those that occur."""
    found: dict[str, set[int]] = {"folders": set(), "files": set()}
    for place in (folder, *folder.rglob("*")):
        mode = place.lstat().st_mode
        if not stat.S_ISSOCK(mode):
            found["folders" if stat.S_ISDIR(mode) else "files"].add(stat.S_IMODE(mode))
    return {kind: tuple(sorted(seen)) for kind, seen in found.items()}  # type: ignore[misc]


def use(cli: Any) -> None:
    assert cli.run("topic", "create", "secret", "--queues", "1").returncode == 0
    assert cli.run("send", "secret", "for nobody else").returncode == 0
    assert cli.run("stop", "broker-a-0").returncode == 0
    assert cli.run("start", "broker-a-0").returncode == 0


def test_nobody_else_reads_a_home_whatever_the_umask(cli: Any, careless: None) -> None:
    cli.up("--profile", "1m-1s")
    use(cli)
    assert modes(cli.home / "rmqctl") == {"folders": (0o700,), "files": (0o600,)}
    cli.run("down")
    assert modes(cli.home / "rmqctl") == {"folders": (0o700,), "files": (0o600,)}


def test_a_profile_lets_a_group_read(cli: Any, careless: None, tmp_path: Path) -> None:
    profile = tmp_path / "shared.toml"
    profile.write_text('[cluster]\nhome_mode = "0750"\n[[brokers]]\nname = "broker-a"\n')
    cli.up("--profile", str(profile))
    use(cli)
    found = modes(cli.home / "rmqctl")
    cli.run("down")
    assert found["folders"] == (0o750,)
    # The command's own lock is made before anything is known of the profile.
    assert set(found["files"]) <= {0o600, 0o640}
    assert stat.S_IMODE((cli.home / "rmqctl" / "broker-a-0" / "logs" / "broker-a-0.log").stat().st_mode) == 0o640
    profile.write_text('[cluster]\nhome_mode = "0777"\n[[brokers]]\nname = "broker-a"\n')
    wrong = cli.run("up", "--profile", str(profile), "--dry-run")
    assert (wrong.returncode, "cluster.home_mode" in wrong.stderr) == (2, True), wrong.stderr


def test_an_open_home_of_an_older_version_is_closed_by_the_next_up(cli: Any) -> None:
    cli.up("--profile", "single")
    cli.run("down")
    home = cli.home / "rmqctl"
    for place in (home, *home.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    first = cli.run("up")
    assert f"{home} was open to others (0755): it is 0700 now, with all that is in it" in first.stderr
    assert modes(home) == {"folders": (0o700,), "files": (0o600,)}
    home.chmod(0o755)
    running = cli.run("up")
    assert "was open to others" in running.stderr
    assert "was open to others" not in cli.run("up").stderr
    cli.run("down")


def test_a_planted_link_is_not_written_through(cli: Any, tmp_path: Path) -> None:
    cli.up("--profile", "single")
    cli.run("down")
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    home = cli.home / "rmqctl"
    for name in ("logs/events.jsonl", "broker-a-0/store/lock"):
        (home / name).unlink()
        (home / name).symlink_to(target)
    refused = cli.run("up")
    assert refused.returncode == 1
    assert "it is a link, which is not followed here" in refused.stderr
    assert target.read_bytes() == b"precious"
    (home / "broker-a-0/store/lock").unlink()
    assert cli.run("up").returncode == 0
    cli.run("down")
    assert target.read_bytes() == b"precious"


@pytest.mark.long
def test_java_nodes_make_files_for_their_owner_alone(cli: Any, careless: None) -> None:
    require_tools("java", "mvn")
    cli.up("--profile", "single", "--engine", "apache")
    assert cli.run("topic", "create", "secret", "--queues", "1").returncode == 0
    assert cli.run("send", "secret", "for nobody else").returncode == 0
    cli.run("down")
    assert modes(cli.home / "rmqctl") == {"folders": (0o700,), "files": (0o600,)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_root_lets_the_nodes_run_as_another_account_and_says_once_that_it_can(cli: Any) -> None:
    try:
        check_code_is_open(code_of_this_process(Path(sys.executable)))
        account = pwd.getpwnam(ACCOUNT)
    except (RmqctlError, KeyError) as error:
        pytest.skip(str(error))
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        cli.home = folder / "homes"
        cli.environment["RMQCTL_HOME"] = str(cli.home)
        up = cli.run("up", "--run-as", ACCOUNT, "--profile", "1m-1s", *cli.place())
        assert up.returncode == 0, up.stderr
        assert f"the nodes of cluster rmqctl run as {ACCOUNT}" in up.stderr
        assert "run as root" not in up.stderr
        uids = [tuple(process.uids()) for process in cli.processes()]
        groups = {tuple(process.gids()) for process in cli.processes()}
        assert (len(uids), set(uids)) == (5, {(account.pw_uid,) * 3})
        assert groups == {(account.pw_gid,) * 3}
        assert cli.run("send", "t", "x", "--create").returncode == 0
        cli.run("kill", "broker-a-0")
        cli.run("wait")
        again = cli.run("up")
        assert "is up already" in again.stderr, again.stderr
        home = cli.home / "rmqctl"
        assert {place.lstat().st_uid for place in (home, *home.rglob("*"))} == {account.pw_uid}
        assert cli.run("down").returncode == 0
        assert cli.run("up").returncode == 0, "the home's owner is known from now on"
        assert {process.uids().real for process in cli.processes()} == {account.pw_uid}
        assert cli.run("down").returncode == 0
        wrong = cli.run("up", "--run-as", "no-such-account")
        assert (wrong.returncode, "there is no account no-such-account" in wrong.stderr) == (2, True)
    finally:
        psutil.wait_procs(cli.processes(), timeout=10)
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="said to root alone")
def test_root_is_told_once_for_a_home_that_its_nodes_run_as_root(cli: Any) -> None:
    first = cli.run("up", "--profile", "single", *cli.place())
    assert "the nodes run as root" in first.stderr
    assert "rmqctl up --run-as ACCOUNT" in first.stderr
    cli.run("down")
    assert "the nodes run as root" not in cli.run("up").stderr
    cli.run("down")
