"""Which units run a cluster, as its home remembers it. Cheap to import: every command asks.

<home>/<cluster>/systemd.json    scope and names of the units, while they are installed
"""

import os
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from rmqctl.documents import decode_json
from rmqctl.errors import RmqctlError
from rmqctl.home import ClusterHome, write_atomically

_FILE_NAME = "systemd.json"

UNIT_VARIABLE = "RMQCTL_UNIT"
"""In the environment of what a unit runs: the unit's name."""


class Scope(StrEnum):
    """Whose systemd runs the units."""

    SYSTEM = "system"
    USER = "user"


class Installation(msgspec.Struct, frozen=True):
    """The units that run a cluster, the one to start and stop first."""

    scope: Scope
    units: tuple[str, ...]

    @property
    def is_per_node(self) -> bool:
        """Whether each node has a unit, below a target that comes first."""
        return len(self.units) > 1

    @property
    def uninstall_command(self) -> str:
        """The command that takes the units away."""
        return f"rmqctl systemd uninstall{' --user' if self.scope is Scope.USER else ''}"

    def systemctl_command(self, verb: str) -> str:
        """The command by which a user does something with the cluster."""
        return f"systemctl {'--user ' if self.scope is Scope.USER else ''}{verb} {self.units[0]}"


def load_installation(home: ClusterHome) -> Installation | None:
    """The units that the cluster belongs to; None when it belongs to none.

    Raises:
        RmqctlError: The file that says so is damaged.
    """
    try:
        return decode_json((home.folder / _FILE_NAME).read_bytes(), type=Installation)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.DecodeError as error:
        raise RmqctlError(
            f"{home.folder / _FILE_NAME} cannot be used",
            str(error),
            f"delete it, and the units rmqctl-{home.name}* that systemctl list-unit-files shows",
        ) from None


def save_installation(home: ClusterHome, installation: Installation) -> None:
    """Remember the units, for whoever the home belongs to: root writes it, the units read it."""
    path = home.folder / _FILE_NAME
    write_atomically(path, msgspec.json.encode(installation))
    if os.geteuid() == 0:
        owner = home.folder.stat()
        os.lchown(path, owner.st_uid, owner.st_gid)


def forget_installation(home: ClusterHome) -> None:
    """The units are gone."""
    (home.folder / _FILE_NAME).unlink(missing_ok=True)


def refuse_if_installed(home: ClusterHome, verb: str, environment: Mapping[str, str] = os.environ) -> None:
    """Leave a cluster that belongs to systemd to systemd: what it did not stop, it would start again.

    Args:
        home: Of the cluster.
        verb: What the user wants: `start` or `stop`.
        environment: Of this process; the unit itself may do what it likes.

    Raises:
        RmqctlError: The cluster belongs to units; says which command does it.
    """
    installation = load_installation(home)
    if installation is None or environment.get(UNIT_VARIABLE) in installation.units:
        return
    raise RmqctlError(
        f"cluster {home.name} is run by systemd",
        f"its unit is {installation.units[0]}",
        f"{installation.systemctl_command(verb)}, or take the unit away: {installation.uninstall_command}",
    )
