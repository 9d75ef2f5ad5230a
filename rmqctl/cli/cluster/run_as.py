"""`rmqctl up --run-as ACCOUNT`: root brings a cluster up whose processes are somebody else's.

The command makes the home, gives it to the account, and becomes that account before it does anything else. So every
file and every process of the cluster is the account's, and nothing has to be handed over later.
"""

import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rmqctl.cli.output import narrate
from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import SYSTEM_HOMES, ClusterHome

_OPTION = "--run-as"
_OF_ROOT = ("XDG_", "SUDO_", "DBUS_SESSION_")
"""Variables that lead into folders of whoever gave the command."""


def homes_for(run_as: str | None, home: Path | None) -> Path | None:
    """The folder of homes: for another account that of units, unless one was named."""
    is_named = home is not None or "RMQCTL_HOME" in os.environ
    return SYSTEM_HOMES if run_as is not None and not is_named and os.geteuid() == 0 else home


def account_for(run_as: str | None, home: ClusterHome) -> pwd.struct_passwd | None:
    """The account to become: the one that was named, or for root the owner of a home; None to stay.

    Raises:
        UsageError: There is no such account, or who asks may not become it.
    """
    owner = home.folder.stat().st_uid if home.folder.is_dir() else os.geteuid()
    try:
        account = pwd.getpwnam(run_as) if run_as is not None else pwd.getpwuid(owner)
    except KeyError:
        if run_as is None:
            return None
        raise UsageError(f"there is no account {run_as}", cure=f"{_OPTION} with one of this machine") from None
    if account.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        if run_as is None:
            return None
        cure = f"sudo rmqctl up {_OPTION} {run_as}"
        raise UsageError(f"only root may use {_OPTION}", f"the nodes would be processes of {run_as}", cure)
    return account


def become(account: pwd.struct_passwd, home: ClusterHome, arguments: Sequence[str]) -> NoReturn:
    """Give the home to the account and run the command once more as that account.

    Args:
        account: Who it is.
        home: Of the cluster.
        arguments: Of the command.

    Raises:
        RmqctlError: The account can't read the code, or the home can't be made.
    """
    from rmqctl.systemd.account import check_code_is_open, code_of_this_process, hand_over_home

    check_code_is_open(code_of_this_process(Path(sys.executable)))
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        home.folder.mkdir(mode=0o700, exist_ok=True)
        if home.folder.stat().st_uid != account.pw_uid:
            hand_over_home(home, account.pw_name)
    except OSError as error:
        raise RmqctlError(f"{home.folder} can't be given to {account.pw_name}", str(error)) from None
    narrate(f"the nodes of cluster {home.name} run as {account.pw_name}, in {home.folder}")
    sys.stdout.flush()
    sys.stderr.flush()
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_OF_ROOT)}
    environment |= {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
    environment["RMQCTL_HOME"] = str(home.root)
    command = [sys.executable, "-P", "-m", "rmqctl", *without_option(arguments)]
    os.execve(sys.executable, command, environment)


def without_option(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command without `--run-as ACCOUNT`."""
    kept: list[str] = []
    skips = False
    for argument in arguments:
        if skips:
            skips = False
        elif argument == _OPTION:
            skips = True
        elif not argument.startswith(f"{_OPTION}="):
            kept.append(argument)
    return kept


def warn_of_root(is_new_home: bool) -> None:
    """Say once for a home that its nodes run as root, and what to do."""
    if is_new_home and os.geteuid() == 0:
        narrate("the nodes run as root; to let them run as an account of their own: rmqctl up --run-as ACCOUNT")
