"""Where a cluster lives on disk: its folder, the names in it, and how its files are written.

    <home>/<cluster>/cluster.toml         what was resolved for the cluster: profile, settings, ports, nodes
    <home>/<cluster>/supervisor.json      pid and start time of the supervisor and of every node
    <home>/<cluster>/supervisor.lock      held by the running supervisor
    <home>/<cluster>/change.lock          held by the command that brings the cluster up
    <home>/<cluster>/supervisor.sock      its control socket (in a short run-time folder when this path is too long)
    <home>/<cluster>/logs/supervisor.log
    <home>/<cluster>/logs/events.jsonl    every start, exit and change of a node
    <home>/<cluster>/<node>/              broker.conf or nameserver.conf, store/, logs/

Not responsible for what the files say: `rmqctl.profile.stored` and `rmqctl.supervisor.files.record` know that.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqnode.files import open_below, write_anew

DEFAULT_CLUSTER = "rmqctl"
"""Name of the cluster home when neither the profile nor `--cluster` gives one."""

SYSTEM_HOMES = Path("/var/lib/rmqctl")
"""The folder of cluster homes for units of the system, systemd's StateDirectory."""

CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What a cluster home may be called: it becomes a folder and a word in commands."""

_ROOM = "make room on that disk, or choose another folder with --home"

_SOCKET_PATH_BYTES_MAX = 100
"""A socket's path may have 104 bytes on macOS and 108 on Linux, with its end mark."""


def homes_root(home: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds all cluster homes: `--home`, else RMQCTL_HOME, else the platform's user data folder."""
    chosen = home or environment.get("RMQCTL_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("rmqctl", appauthor=False))


def homes_roots(home: Path | None, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Where clusters are looked for: in `homes_root`, and unless that was named also where units of the system are."""
    own = homes_root(home, environment)
    is_named = home is not None or bool(environment.get("RMQCTL_HOME"))
    # Only root may look there, unless the units run as an account of the machine.
    return [own] if is_named or not os.access(SYSTEM_HOMES, os.R_OK | os.X_OK) else [own, SYSTEM_HOMES]


class ClusterHome:
    """The folder of one cluster. Creating the object creates nothing on disk."""

    def __init__(self, root: Path, name: str) -> None:
        if not CLUSTER_NAME.fullmatch(name):
            raise UsageError(
                f"cluster name {name!r} is not allowed",
                "it names a folder: letters, digits, '_', '.', '-', at most 64 of them",
                "choose another name with --cluster",
            )
        self.name = name
        self.root = root
        self.folder = root / name
        self.cluster_file = self.folder / "cluster.toml"
        self.record_file = self.folder / "supervisor.json"
        self.lock_file = self.folder / "supervisor.lock"
        self.change_lock_file = self.folder / "change.lock"
        self.supervisor_log = self.folder / "logs" / "supervisor.log"
        self.ledger_file = self.folder / "logs" / "events.jsonl"

    def node_folder(self, node: str) -> Path:
        """Folder of one node: its configuration, store and logs."""
        return self.folder / node

    def node_log(self, node: str) -> Path:
        """The file that a node's stdout and stderr are appended to."""
        return self.folder / node / "logs" / f"{node}.log"

    @property
    def socket_file(self) -> Path:
        """The control socket: in the home, or in a short run-time folder if the path is too long for a socket."""
        inside = self.folder / "supervisor.sock"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_BYTES_MAX:
            return inside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return _short_runtime_folder() / f"{digest}.sock"

    def is_supervised(self) -> bool:
        """Whether a supervisor runs for this home: it holds the lock for as long as it lives."""
        try:
            lock = open_below(self.lock_file, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    @contextmanager
    def change_lock(self, timeout_seconds: float) -> Iterator[None]:
        """Hold off other commands that would bring this cluster up at the same time.

        Raises:
            RmqctlError: One of them is at work for longer than the timeout; or the home cannot be written.
        """
        lock = self._open_change_lock()
        deadline = time.monotonic() + timeout_seconds
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RmqctlError(
                            f"cluster {self.name} is being brought up by another rmqctl",
                            f"{self.change_lock_file} is locked for {timeout_seconds:g} s already",
                            "wait for it, or see what it does: rmqctl status",
                            ExitCode.TIMEOUT,
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(lock)

    def _open_change_lock(self) -> int:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # Closed from the first moment; what the profile says of the mode comes later.
            self.folder.mkdir(mode=0o700, exist_ok=True)
            return open_below(self.change_lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise not_writable(error, self.folder) from None


def all_cluster_homes(roots: Iterable[Path]) -> list[ClusterHome]:
    """The homes below these folders in which a cluster was ever brought up, each folder's sorted by name."""
    return [home for root in roots for home in _cluster_homes(root)]


def _cluster_homes(root: Path) -> list[ClusterHome]:
    if not root.is_dir():
        return []
    names = sorted(entry.name for entry in root.iterdir() if (entry / "cluster.toml").is_file())
    return [ClusterHome(root, name) for name in names if CLUSTER_NAME.fullmatch(name)]


def not_writable(error: OSError, folder: Path) -> RmqctlError:
    """What a user is told of a home that something cannot be written in."""
    from rmqnode.store.disk import NOT_WRITABLE, describe_file_system

    what = f"cannot write in {folder if error.filename is None else os.fsdecode(error.filename)}"
    if error.errno in NOT_WRITABLE:
        return RmqctlError(what, f"{error.strerror} ({describe_file_system(folder)})", _ROOM)
    return RmqctlError(what, error.strerror, "make the folder writable for you, or choose another with --home")


def write_atomically(path: Path, content: bytes, *, durable: bool = True, mode: int | None = None) -> None:
    """Replace a file in one step: a reader sees the old or the new content, never a part.

    A file that has this content already is left alone, so that a full disk does not matter where nothing changes.

    Args:
        path: The file; folders above it are created.
        content: Its whole new content.
        durable: Flush it to the disk, so that the same holds after a power loss. Not needed for what the next
            `up` writes anew, or what means nothing after a boot.
        mode: Of the file; None for what the umask leaves.
    """
    if _has_content(path, content):
        if mode is not None:
            path.chmod(mode)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_anew(temporary, content, durable=durable)
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # The system names no file where it refuses the bytes, and a temporary one says nothing to anybody.
        error.filename, error.filename2 = str(path), None
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _has_content(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _short_runtime_folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"
    return Path(base) / f"rmqctl-{os.getuid()}"
