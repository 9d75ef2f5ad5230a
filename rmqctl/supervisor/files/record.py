"""supervisor.json: which processes belong to a cluster, for whoever comes after the supervisor was killed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from rmqctl.documents import decode_json
from rmqctl.home import write_atomically
from rmqctl.process_identity import ProcessIdentity
from rmqctl.supervisor.node_state import UNSEEN_EXIT, NodeHistory
from rmqnode.files import open_below

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class SupervisorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of a cluster."""

    supervisor: ProcessIdentity
    socket: str
    """Path of the control socket."""
    nodes: dict[str, ProcessIdentity] = {}
    kept_down: list[str] = []
    """Nodes that were stopped by hand."""
    histories: dict[str, NodeHistory] = {}
    """What each node went through."""

    def history_of(self, node: str) -> NodeHistory:
        """What a node went through, its end included if nobody saw it."""
        history = self.histories.get(node, NodeHistory())
        if node in self.nodes and not self.nodes[node].is_alive():
            return msgspec.structs.replace(history, last_exit=UNSEEN_EXIT)
        return history

    @property
    def living_nodes(self) -> dict[str, ProcessIdentity]:
        """Those nodes that still run."""
        return {name: process for name, process in self.nodes.items() if process.is_alive()}


SaveNodes = Callable[[dict[str, ProcessIdentity], list[str], dict[str, NodeHistory]], bool]
"""Writes the nodes of a record: which process each is, which were stopped by hand, what they went through.

Returns whether it could; otherwise it is to be tried again.
"""

_BLOCK_SIZE = 4096
"""The record ends with blanks up to a multiple of this, so that it has room to grow where the disk has none."""


def save_record(path: Path, record: SupervisorRecord) -> None:
    """Write the record. Not flushed to the disk: after a boot no pid in it means anything.

    On a full disk it is written over the former one, or over what `retire_record` left: that takes no space.

    Raises:
        OSError: The former one is as it was.
    """
    content = msgspec.json.encode(record)
    content += b" " * (-len(content) % _BLOCK_SIZE)
    try:
        write_atomically(path, content, durable=False)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        if path.exists():
            _overwrite(path, content)
        else:
            _overwrite(_spare(path), content)
            _spare(path).replace(path)


def retire_record(path: Path) -> None:
    """Let there be no record any more, but keep its space for the next one."""
    if path.exists():
        path.replace(_spare(path))


def _spare(path: Path) -> Path:
    return path.with_name(f".{path.name}.spare")


def _overwrite(path: Path, content: bytes) -> None:
    descriptor = open_below(path, os.O_RDWR)
    try:
        # Fails before anything is changed where the file would need more blocks.
        os.posix_fallocate(descriptor, 0, len(content))
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def load_record(path: Path) -> SupervisorRecord | None:
    """Read the record; None when there is none, or one that a crash left damaged."""
    try:
        return decode_json(path.read_bytes(), type=SupervisorRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
