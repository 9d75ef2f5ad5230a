"""Running systemds for tests: a user's manager, and the system's own in namespaces in which it is process 1.

Neither sees the machine's units, nor leaves anything on it: what they write to is theirs alone.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import rmqctl
import rmqnode
from tests.cluster.conftest import WaitUntil
from tests.interop.toolchains import require_tools

SYSTEMD = Path("/lib/systemd/systemd")
COMMAND_SECONDS = 120
BOOT_SECONDS = 30

BOOT_USER = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec {systemd} --user"

BOOT_SYSTEM = """
IFS='
'
mount -t proc proc /proc
# What the machine's own systemd may have in /run is hidden; so are units, and where services may write.
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/cache
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind -o ro /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount --bind /dev/null /dev/console

# An account that systemd makes up may read neither root's home nor a temporary folder of tests: these get
# parents of their own, which are open, and in them only what rmqctl needs.
mkdir -p /run/needed /run/units
number=0
for folder in $NEEDED; do
    number=$((number + 1))
    mkdir "/run/needed/$number"
    mount --bind "$folder" "/run/needed/$number"
done
for folder in $CLOSED; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
number=0
for folder in $NEEDED; do
    number=$((number + 1))
    mkdir -p "$folder"
    mount --bind "/run/needed/$number" "$folder"
done

# The targets that units with default dependencies ask for, without what the machine hangs into them.
for unit in sysinit.target basic.target multi-user.target network-online.target shutdown.target system.slice; do
    printf '[Unit]\\nDefaultDependencies=no\\n' >"/run/units/$unit"
done
export container=rmqctl SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/units SYSTEMD_GENERATOR_PATH=/run/none
exec {systemd} --system --unit=multi-user.target --log-target=console --show-status=no
"""


class Manager:
    """A running systemd and the commands that it is asked with."""

    scope: Sequence[str] = ()
    """What systemctl and `rmqctl systemd` are told in order to mean this manager."""
    _namespaces: Sequence[str] = ()

    def __init__(self, pid: int, environment: dict[str, str]) -> None:
        self._pid = pid
        self.environment = environment

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command where the manager runs."""
        return subprocess.run(
            ["nsenter", "--target", str(self._pid), *self._namespaces, "--", *command],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def rmqctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `rmqctl`; its nodes are where units of this manager keep them."""
        return self.run(sys.executable, "-m", "rmqctl", *arguments)

    def systemctl(self, *arguments: str) -> str:
        """What systemctl prints."""
        return self.run("systemctl", *self.scope, *arguments).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit)


class UserManager(Manager):
    """`systemd --user`, in a mount namespace in which it believes that systemd booted the machine."""

    scope = ("--user",)
    _namespaces = ("--mount",)


class SystemManager(Manager):
    """`systemd --system`, process 1 of a PID namespace. Pids that it tells mean something only to its commands."""

    _namespaces = ("--mount", "--pid", "--cgroup", "--uts", "--ipc")

    def write(self, path: str, text: str) -> None:
        """Write a file; its folder is made."""
        done = self.run("sh", "-euc", 'mkdir -p "${1%/*}"; cat >"$1"', "sh", path, stdin=text)
        assert done.returncode == 0, done.stderr

    def send_signal(self, pid: str, name: str) -> None:
        """Send a signal to one of its processes."""
        done = self.run("kill", f"-{name}", pid)
        assert done.returncode == 0, done.stderr


def is_root_with_systemd() -> bool:
    """Whether a systemd of one's own can be started at all."""
    require_tools("unshare", "nsenter", "systemctl")
    return os.geteuid() == 0 and SYSTEMD.exists()


@contextmanager
def user_manager(environment: dict[str, str], place: Path, wait_until: WaitUntil) -> Iterator[UserManager]:
    """A user's manager.

    Args:
        environment: Of its units and commands.
        place: A folder of its own, with a short path.
        wait_until: As the fixture.
    """
    for name in ("run", "config"):
        (place / name).mkdir(mode=0o700)
    environment = environment | {"XDG_RUNTIME_DIR": str(place / "run"), "XDG_CONFIG_HOME": str(place / "config")}
    boot = BOOT_USER.format(systemd=SYSTEMD)
    process = _start(["unshare", "--mount", "--propagation", "private", "sh", "-euc", boot], environment, place)
    manager = UserManager(process.pid, environment)
    try:
        _wait_booted(manager, process, place, wait_until)
        yield manager
    finally:
        process.terminate()
        process.wait(BOOT_SECONDS)


@contextmanager
def system_manager(environment: dict[str, str], place: Path, wait_until: WaitUntil) -> Iterator[SystemManager]:
    """The system's manager; the calling test is skipped where namespaces or control groups are not to be had.

    Args:
        environment: Of its commands.
        place: A folder of its own.
        wait_until: As the fixture.
    """
    with _control_group() as group:
        needed, closed = _needed_folders()
        boot = BOOT_SYSTEM.format(systemd=SYSTEMD)
        boot_environment = environment | {"NEEDED": "\n".join(needed), "CLOSED": "\n".join(closed)}
        unshare = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        enter = f'echo $$ >"{group}/cgroup.procs"; exec "$@"'
        command = ["sh", "-euc", enter, "sh", *unshare, "--cgroup", "--uts", "--ipc", "sh", "-euc", boot]
        process = _start(command, boot_environment, place)
        try:
            wait_until(lambda: process.poll() is not None or _systemd_below(process), "systemd is started")
            if process.poll() is not None:
                pytest.skip(f"a systemd of its own cannot be booted here: {(place / 'log').read_text().strip()}")
            manager = SystemManager(_systemd_below(process)[0].pid, environment)
            _wait_booted(manager, process, place, wait_until)
            yield manager
        finally:
            # Every process of the namespace goes with its first.
            for child in _systemd_below(process):
                child.kill()
            process.wait(BOOT_SECONDS)


def _start(command: list[str], environment: dict[str, str], place: Path) -> subprocess.Popen[bytes]:
    with (place / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _systemd_below(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children() if child.name() == SYSTEMD.name]


def _wait_booted(manager: Manager, process: subprocess.Popen[bytes], place: Path, wait_until: WaitUntil) -> None:
    def is_booted() -> bool:
        assert process.poll() is None, (place / "log").read_text()
        return manager.systemctl("is-system-running") in {"running", "degraded"}

    wait_until(is_booted, "systemd is there", BOOT_SECONDS)


@contextmanager
def _control_group() -> Iterator[Path]:
    """A control group of version 2 that becomes the root of all that a manager sees."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    roots = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    if not roots:
        pytest.skip("there are no control groups of version 2")
    try:
        group = Path(tempfile.mkdtemp(prefix="rmqctl-test-", dir=roots[0]))
        # As the root of all groups is: what units run may look at it.
        group.chmod(0o755)
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        yield group
    finally:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)


def _needed_folders() -> tuple[list[str], list[str]]:
    """Folders with everything that rmqctl needs to run, and those above them that are closed to others."""
    python = Path(sys.executable)
    code = {Path(sys.prefix), Path(sys.base_prefix), Path(rmqctl.__file__).parent, Path(rmqnode.__file__).parent}
    needed = sorted(code | {python.resolve().parent})
    closed = set()
    for folder in needed:
        above = [each for each in reversed(folder.parents) if not each.stat().st_mode & 0o001]
        closed.update(above[:1])
    outermost = [str(folder) for folder in sorted(closed) if not closed.intersection(folder.parents)]
    return [str(folder) for folder in needed if any(Path(each) in folder.parents for each in outermost)], outermost
