"""The account that system units run as: that it exists, may read the code, and owns the cluster's home."""

import os
import pwd
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import rmqctl
import rmqnode
from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import SYSTEM_HOMES, ClusterHome
from rmqctl.systemd.units import UnitOptions


def check_account(options: UnitOptions, home: ClusterHome) -> None:
    """Raises RmqctlError for an account that cannot run the cluster."""
    if options.run_as is None:
        if home.root != SYSTEM_HOMES:
            raise UsageError(
                f"an account that systemd makes up cannot keep a cluster in {home.root}",
                f"it only has {SYSTEM_HOMES}",
                "name the account with --run-as, or leave out --home",
            )
        check_code_is_open(
            options.code, "the units would need it as an account that systemd makes up", ", or name one with --run-as"
        )
        return
    try:
        pwd.getpwnam(options.run_as)
    except KeyError:
        raise UsageError(f"there is no account {options.run_as}", cure="--run-as with one of this machine") from None


def check_code_is_open(
    code: Iterable[Path], whose: str = "the nodes would need it as another account", or_else: str = ""
) -> None:
    """Raises RmqctlError for code that an account which is not its owner cannot read."""
    for file in code:
        closed = _closed_to_others(file)
        if closed is not None:
            raise RmqctlError(
                f"{closed} is closed to other accounts",
                f"{file} is in there, and {whose}",
                f"install rmqctl and its Python in a place for everybody, /opt for instance{or_else}",
            )


def code_of_this_process(python: Path) -> tuple[Path, ...]:
    """The files without which an interpreter does not run rmqctl.

    Args:
        python: As it is called; in a virtual environment a link, to an interpreter which may be anywhere.
    """
    # The standard library stays with the interpreter that the environment was made from.
    return (python, python.resolve(), Path(sys.base_prefix), Path(rmqctl.__file__), Path(rmqnode.__file__))


def hand_over_home(home: ClusterHome, run_as: str | None) -> None:
    """Give everything in the cluster's home to the account.

    One that systemd makes up gets everything from systemd when it has nothing yet. Later systemd looks only at the
    owner of the folder of all homes, so what root has written since goes to that owner here.
    """
    user, group = _owner_of(home.root) if run_as is None else _ids_of(run_as)
    for folder, _, files in os.walk(home.folder):
        for place in (folder, *(os.path.join(folder, name) for name in files)):
            # Of a link the link itself, not what it leads to.
            os.lchown(place, user, group)


def _owner_of(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_uid, found.st_gid


def _ids_of(name: str) -> tuple[int, int]:
    account = pwd.getpwnam(name)
    return account.pw_uid, account.pw_gid


def _closed_to_others(path: Path) -> Path | None:
    """The first folder on the way to a file that only its owner and group may enter."""
    for folder in reversed(path.absolute().parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None
