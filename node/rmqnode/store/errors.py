"""What can go wrong with a store directory: values first, the sentence made here.

Refused puts and empty reads are ordinary results (`PutStatus`, `GetStatus`), not errors.
"""

from pathlib import Path


class StoreError(Exception):
    """A store directory cannot be used as it is."""


class StoreLocked(StoreError):
    """Another process has the store open."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.path = path
        self.pid = pid
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"the store {path.parent} is in use by {holder} (lock file {path.name})")


class StoreFileMismatch(StoreError):
    """A file of the commit log or of a consume queue is not what its folder allows."""

    def __init__(self, path: Path, problem: str, *, is_cut_short: bool = False, is_gap: bool = False) -> None:
        self.path = path
        self.problem = problem
        self.is_cut_short = is_cut_short
        """The last file is too short, and nothing else is wrong: its end may have been lost."""
        self.is_gap = is_gap
        """The file before this one is not there."""
        super().__init__(f"{path}: {problem}")


class StoreIncomplete(StoreFileMismatch):
    """The commit log lacks messages that other files of the store speak of; a start would give them up for good.

    Args:
        path: The folder or file that is gone, empty or too short.
        missing: What is missing.
        slave_root: Of a slave: the folder of its store.
    """

    def __init__(self, path: Path, missing: str, slave_root: Path | None = None) -> None:
        self.missing = missing
        advice = (
            "put the files back, or start once without these messages: "
            "rmqctl start NODE --accept-loss (rmqnode broker --accept-loss)"
        )
        if slave_root is not None:
            advice += (
                f"; the master of this slave may hold them: move {slave_root} away and start, "
                "and the slave follows its master anew"
            )
        super().__init__(path, f"{missing}; {advice}")

    def of_slave(self, root: Path) -> "StoreIncomplete":
        """The same, said to who runs a slave with this store folder."""
        return StoreIncomplete(self.path, self.missing, root)


class UnsupportedRecord(StoreError):
    """The commit log holds a record form that only later versions know; cutting it would lose messages."""

    def __init__(self, physical_offset: int, form: str) -> None:
        self.physical_offset = physical_offset
        self.form = form
        super().__init__(
            f"the commit log holds a record with {form} at physical offset {physical_offset}: "
            "it was written by a later version and cannot be opened here"
        )


class ReplicaMismatch(StoreError):
    """Bytes from a master that cannot belong to this log: another place, another file size."""

    def __init__(self, physical_offset: int, problem: str) -> None:
        self.physical_offset = physical_offset
        self.problem = problem
        super().__init__(problem)
