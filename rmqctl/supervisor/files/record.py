"""supervisor.json: which processes belong to a cluster, for whoever comes after the supervisor was killed."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from rmqctl.documents import decode_json
from rmqctl.home import write_atomically
from rmqctl.process_identity import ProcessIdentity
from rmqctl.supervisor.node_state import UNSEEN_EXIT, NodeHistory


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


SaveNodes = Callable[[dict[str, ProcessIdentity], list[str], dict[str, NodeHistory]], None]
"""Writes the nodes of a record: which process each is, which were stopped by hand, what they went through."""


def save_record(path: Path, record: SupervisorRecord) -> None:
    """Write the record. Not flushed to the disk: after a boot no pid in it means anything."""
    write_atomically(path, msgspec.json.encode(record), durable=False)


def load_record(path: Path) -> SupervisorRecord | None:
    """Read the record; None when there is none, or one that a crash left damaged."""
    try:
        return decode_json(path.read_bytes(), type=SupervisorRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
