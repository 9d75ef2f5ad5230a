"""Asks systemd: is it there, and everything that `systemctl` can be told."""

import os
import shutil
import subprocess
from pathlib import Path

from rmqctl.errors import ExitCode, RmqctlError
from rmqctl.systemd.record import Installation, Scope

_BOOTED = Path("/run/systemd/system")
"""There only while systemd is the machine's init, see sd_booted(3)."""

_SYSTEMCTL_SECONDS = 300
_JOURNAL_LINES = 8


def check_systemd(scope: Scope) -> None:
    """Raises RmqctlError where no systemd would run the units."""
    if shutil.which("systemctl") is None:
        raise RmqctlError("this machine has no systemd", "there is no systemctl", "rmqctl up")
    if not _BOOTED.is_dir():
        raise RmqctlError("this machine has no systemd", "it was booted with another init", "rmqctl up")
    if scope is Scope.SYSTEM and os.geteuid() != 0:
        raise RmqctlError(
            "system units can only be installed by root", cure="install them for yourself with --user, or use sudo"
        )


def systemd_version() -> int:
    """The version of systemd on this machine; 0 where it does not tell."""
    try:
        done = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    words = done.stdout.split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0


def is_active(installation: Installation) -> bool:
    """Whether systemd says that the first unit is up.

    Raises:
        RmqctlError: systemd does not answer.
    """
    state = systemctl(installation.scope, "show", "--property", "ActiveState", "--value", installation.units[0])
    return state.strip() == "active"


def journal_end(scope: Scope, unit: str, since: int) -> list[str]:
    """The last lines that a unit wrote since a moment, in seconds since 1970; none where the journal cannot be read."""
    user = ["--user"] if scope is Scope.USER else []
    chosen = ["--unit", unit, "--since", f"@{since}", "--lines", str(_JOURNAL_LINES)]
    command = ["journalctl", *user, *chosen, "--output", "cat", "--no-pager"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSTEMCTL_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()


def systemctl(scope: Scope, *arguments: str) -> str:
    """Run systemctl and return what it prints.

    Raises:
        RmqctlError: It fails; its words are the reason.
    """
    command = ["systemctl", *(["--user"] if scope is Scope.USER else []), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSTEMCTL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise RmqctlError(
            f"{' '.join(command)} did not end within {_SYSTEMCTL_SECONDS} s", exit_code=ExitCode.TIMEOUT
        ) from None
    if done.returncode != 0:
        raise RmqctlError(f"{' '.join(command)} failed", (done.stderr or done.stdout).strip() or None)
    return done.stdout
