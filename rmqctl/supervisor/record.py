"""supervisor.json: which processes belong to a cluster, for whoever comes after the supervisor was killed."""

from pathlib import Path

import msgspec

from rmqctl.home import write_atomically
from rmqctl.process_identity import ProcessIdentity


class SupervisorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of a cluster."""

    supervisor: ProcessIdentity
    socket: str
    """Path of the control socket."""
    nodes: dict[str, ProcessIdentity] = {}
    kept_down: list[str] = []
    """Nodes that were stopped by hand."""

    @property
    def living_nodes(self) -> dict[str, ProcessIdentity]:
        """Those nodes that still run."""
        return {name: process for name, process in self.nodes.items() if process.is_alive()}


def save_record(path: Path, record: SupervisorRecord) -> None:
    """Write the record. Not flushed to the disk: after a boot no pid in it means anything."""
    write_atomically(path, msgspec.json.encode(record), durable=False)


def load_record(path: Path) -> SupervisorRecord | None:
    """Read the record; None when there is none, or one that a crash left damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SupervisorRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
