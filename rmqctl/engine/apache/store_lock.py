"""Whether another broker has the store of a node that is about to start.

A Java broker takes its lock only after it has loaded and recovered the store, so a second one has already cut and
rewritten what it liked before it is refused. Hence nothing of Apache's is started on a store whose lock is held.

Source: `DefaultMessageStore#start` (RocketMQ 4.5.2): an exclusive POSIX lock of byte 0 of `<store root>/lock`.
"""

import fcntl
import os
from pathlib import Path

from rmqctl.errors import RmqctlError
from rmqctl.profile.model import ClusterModel
from rmqnode.files import open_below


def check_stores_free(model: ClusterModel) -> None:
    """Refuse to start brokers of Apache's on stores that are in use.

    Raises:
        RmqctlError: Names the node, the store and the process that has it.
    """
    for node in model.nodes:
        if node.engine == "apache" and "storePathRootDir" in node.properties:
            root = Path(node.properties["storePathRootDir"])
            lock = root / "lock"
            if is_locked(lock):
                holder = _holder(lock)
                named = "another broker" if holder is None else f"pid {holder}"
                raise RmqctlError(
                    f"{node.name} cannot start",
                    f"its store {root} is in use by {named}",
                    f"stop {named}, or give the node another store: --set {node.name}:storePathRootDir=FOLDER",
                )


def is_locked(lock: Path) -> bool:
    """Whether a broker, of whichever engine, holds the lock."""
    try:
        descriptor = open_below(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(descriptor)
    return False


def _holder(lock: Path) -> int | None:
    """The pid that has the lock, where the system tells: the table of Linux names it by inode."""
    try:
        inode = lock.stat().st_ino
        table = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in table.splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[1] == "POSIX" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None
