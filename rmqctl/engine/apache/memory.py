"""Whether the machine has room for the heaps that a plan asks for: a sizing message instead of a frozen machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rmqctl.errors import RmqctlError
from rmqctl.profile.distribution import major_of
from rmqctl.profile.model import ClusterModel, Node

JVM_MIB, JVM_MIB_OF_5 = 64, 160
"""What a JVM takes beside heap and direct memory: classes, compiled code, stacks; from RocketMQ 5.0 on RocksDB too.

Measured: idle brokers have 125 (4.5.2), 240 (5.3.3) and 300 MiB (5.5.0) RSS with a heap of 128 MiB, not all of it used.
"""

_CGROUP = Path("/sys/fs/cgroup")
_MIB = 1 << 20


class Room(NamedTuple):
    """Memory that new processes can get."""

    mib: int
    reason: str
    """What it is limited by."""


def check_memory(model: ClusterModel, room: Room | None = None) -> None:
    """Refuse a plan whose Java nodes could take more memory than there is.

    Raises:
        RmqctlError: With the sum, the limit, and what fits.
    """
    nodes = [node for node in model.nodes if node.java is not None]
    needed = sum(_needed_mib(node) for node in nodes)
    room = available_memory() if nodes and room is None else room
    if room is None or needed <= room.mib:
        return
    raise RmqctlError(
        f"{len(nodes)} Java nodes can take {needed} MiB of memory, and {room.mib} MiB are available",
        f"{_sum(nodes)}; {room.reason}",
        'smaller nodes in the profile ([apache] heap = "64m", direct_memory = "32m"), a smaller profile'
        " (--profile single), or --engine embedded",
    )


def available_memory() -> Room:
    """What is available now: the machine's free memory, or less in a container."""
    import psutil

    machine = Room(psutil.virtual_memory().available // _MIB, "that is what this machine has free")
    return min([machine, *_cgroup_rooms()], key=lambda room: room.mib)


def _needed_mib(node: Node) -> int:
    assert node.java is not None, "the node runs on Java"
    return node.java.heap_mib + node.java.direct_memory_mib + _jvm_mib(node)


def _jvm_mib(node: Node) -> int:
    assert node.java is not None, "the node runs on Java"
    return JVM_MIB if major_of(node.java.version) < 5 else JVM_MIB_OF_5


def _sum(nodes: Sequence[Node]) -> str:
    sizes = {(node.java.heap_mib, node.java.direct_memory_mib, _jvm_mib(node)) for node in nodes if node.java}
    if len(sizes) != 1:
        return "heap, direct memory and what a JVM needs for itself, of each node"
    heap, direct, jvm = sizes.pop()
    return f"each {heap} MiB of heap, {direct} MiB of direct memory and {jvm} MiB for the JVM itself"


def _cgroup_rooms() -> list[Room]:
    """Limits of the control groups that this process is in, from its own up to the root."""
    try:
        membership = Path("/proc/self/cgroup").read_text()
    except OSError:
        return []
    rooms = []
    for line in membership.splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0":
            root, limit, usage = _CGROUP, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit, usage = _CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        own = root / path.lstrip("/")
        # In a container the path is that of the host; the root is then what limits.
        for folder in {own, *own.parents} if _is_folder(own) else {root}:
            room = _room_in(folder, limit, usage)
            if room is not None:
                rooms.append(room)
    return rooms


def _is_folder(path: Path) -> bool:
    """Whether it is one; no, if this process may not even look: a limit that cannot be read limits nothing here."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _room_in(folder: Path, limit_name: str, usage_name: str) -> Room | None:
    try:
        limit = (folder / limit_name).read_text().strip()
        if not limit.isdigit():
            return None
        used = int((folder / usage_name).read_text()) - _reclaimable(folder)
    except OSError:
        return None
    free = max(0, int(limit) - used)
    return Room(free // _MIB, f"{folder / limit_name} allows {int(limit) // _MIB} MiB")


def _reclaimable(folder: Path) -> int:
    """Page cache that the kernel gives back when somebody needs memory."""
    for line in (folder / "memory.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0
