"""Whether an account that systemd makes up can run rmqctl where it is installed."""

import os
import pwd
from pathlib import Path

import pytest

from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import SYSTEM_HOMES, ClusterHome
from rmqctl.systemd.account import check_account, code_of_this_process, hand_over_home
from rmqctl.systemd.record import Installation, Scope, save_installation
from rmqctl.systemd.units import UnitOptions

HOME = ClusterHome(SYSTEM_HOMES, "rmqctl")


def options(code: tuple[Path, ...], run_as: str | None = None) -> UnitOptions:
    return UnitOptions(scope=Scope.SYSTEM, per_node=False, python=code[0], code=code, run_as=run_as)


def test_python_behind_a_link_into_a_closed_folder_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    interpreter = closed / "python3"
    interpreter.write_text("")
    link = tmp_path / "python3"
    link.symlink_to(interpreter)
    code = code_of_this_process(link)
    assert interpreter in code
    with pytest.raises(RmqctlError, match="closed to other accounts") as caught:
        check_account(options((interpreter,)), HOME)
    assert caught.value.cure is not None
    assert "--run-as" in caught.value.cure


def test_account_is_one_of_the_machine_or_made_up_for_the_folder_it_has(tmp_path: Path) -> None:
    code = (Path("/usr/bin/env"),)
    check_account(options(code), HOME)
    check_account(options(code, run_as="root"), ClusterHome(tmp_path, "rmqctl"))
    for wrong, home in ((options(code, run_as="no-such-account"), HOME), (options(code), ClusterHome(tmp_path, "x"))):
        with pytest.raises(UsageError):
            check_account(wrong, home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_into_a_home_goes_to_whom_systemd_gave_it_before(tmp_path: Path) -> None:
    homes = tmp_path / "homes"
    home = ClusterHome(homes, "rmqctl")
    home.folder.mkdir(parents=True)
    os.chown(homes, 61_234, 61_235)
    (home.folder / "cluster.toml").write_text("")
    hand_over_home(home, None)
    save_installation(home, Installation(Scope.SYSTEM, ("rmqctl-rmqctl.service",)))
    for path in (home.folder, *home.folder.iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (61_234, 61_235), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_account_that_is_named_may_read_which_units_it_runs_in(tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody")
    home = ClusterHome(tmp_path, "rmqctl")
    home.folder.mkdir()
    hand_over_home(home, account.pw_name)
    save_installation(home, Installation(Scope.SYSTEM, ("rmqctl-rmqctl.service",)))
    for path in (home.folder, *home.folder.iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (account.pw_uid, account.pw_gid), path
