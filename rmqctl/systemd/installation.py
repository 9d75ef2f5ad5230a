"""Puts units where systemd finds them, and takes them away again."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rmqctl.errors import RmqctlError
from rmqctl.home import ClusterHome, write_atomically
from rmqctl.systemd.record import Installation, Scope, forget_installation, save_installation
from rmqctl.systemd.systemctl import journal_end, systemctl
from rmqctl.systemd.unit_file import UnitFile

_SYSTEM_UNITS = Path("/etc/systemd/system")


def install(home: ClusterHome, scope: Scope, units: Sequence[UnitFile], *, start: bool) -> Installation:
    """Write the units, enable them, and start them if asked to.

    Raises:
        RmqctlError: A folder cannot be written, or systemd refuses; its words are the reason.
    """
    installation = Installation(scope, tuple(unit.name for unit in units))
    folder = units_folder(scope)
    try:
        for unit in units:
            # For everybody to read, as all units are, and whatever the umask.
            write_atomically(folder / unit.name, unit.render().encode(), mode=0o644)
        save_installation(home, installation)
    except OSError as error:
        raise RmqctlError(f"cannot write {error.filename}", error.strerror) from None
    systemctl(scope, "daemon-reload")
    systemctl(scope, "enable", *installation.units)
    if start:
        _start(installation)
    return installation


def _start(installation: Installation) -> None:
    begun = int(time.time())
    try:
        systemctl(installation.scope, "start", installation.units[0])
    except RmqctlError as error:
        unit = installation.units[0]
        lines = journal_end(installation.scope, unit, begun)
        why = "\n".join(["last lines of its journal:", *(f"  {line}" for line in lines)]) if lines else error.why
        raise RmqctlError(
            f"{unit} is installed, but does not start; systemd goes on trying",
            why,
            f"see systemctl{' --user' if installation.scope is Scope.USER else ''} status {unit},"
            f" or take it away: {installation.uninstall_command}",
        ) from None


def uninstall(home: ClusterHome, installation: Installation) -> None:
    """Stop and disable the units and delete their files; stores stay.

    Raises:
        RmqctlError: systemd refuses; its words are the reason.
    """
    scope = installation.scope
    # One by one and in reverse: nodes stop when their target does, but may have been started by hand.
    for unit in reversed(installation.units):
        systemctl(scope, "disable", "--now", unit)
    for unit in installation.units:
        (units_folder(scope) / unit).unlink(missing_ok=True)
    systemctl(scope, "daemon-reload")
    forget_installation(home)


def units_folder(scope: Scope, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the administrator's, or a user's own, units are."""
    if scope is Scope.SYSTEM:
        return _SYSTEM_UNITS
    configuration = environment.get("XDG_CONFIG_HOME")
    return (Path(configuration) if configuration else Path.home() / ".config") / "systemd" / "user"
