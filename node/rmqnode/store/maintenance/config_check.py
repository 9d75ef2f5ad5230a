"""Checks the tables and marks beside the log and the queues as a broker reads them at its start; part of `verify`.

config/*.json    read as the broker reads it; one that neither the file nor its `.bak` gives stops a start
checkpoint       says how far log and queues are on disk
lock, abort      have to be files that a broker can open
broker.conf      when it is known: as at a start, and its sizes as the files have them
"""

import re
from pathlib import Path
from typing import Final, NamedTuple, Self

from msgspec import MsgspecError

from rmqnode.protocol.bodies import (
    Body,
    ConsumerFilterWrapper,
    ConsumerOffsetSerializeWrapper,
    DelayOffsetSerializeWrapper,
    SubscriptionGroupWrapper,
    TopicConfigSerializeWrapper,
)
from rmqnode.protocol.errors import ProtocolError
from rmqnode.store.checkpoint import CHECKPOINT_SIZE, StoreCheckpoint
from rmqnode.store.config_file import ConfigFile
from rmqnode.store.maintenance.problems import Problem

CONFIG_TABLES: Final[dict[str, type[Body]]] = {
    "topics.json": TopicConfigSerializeWrapper,
    "subscriptionGroup.json": SubscriptionGroupWrapper,
    "consumerOffset.json": ConsumerOffsetSerializeWrapper,
    "consumerFilter.json": ConsumerFilterWrapper,
    "delayOffset.json": DelayOffsetSerializeWrapper,
    "slaveCommits.json": ConsumerOffsetSerializeWrapper,
}
"""Every table that a broker reads at its start, and what it has to be."""


_CHARACTER: Final = re.compile(r"at character (\d+)")


class ConfigCheck:
    """Looks at what lies beside log and queues.

    Args:
        root: Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.topics: frozenset[str] = frozenset()
        """Names in `topics.json`, or in its backup if that is what the broker takes."""

    def run(self) -> None:
        """Look at everything."""
        folder = self._root / "config"
        if folder.exists() and not folder.is_dir():
            self._add(folder, 0, "is no folder: the broker does not start")
        else:
            for name, kind in CONFIG_TABLES.items():
                table = self._read_table(ConfigFile(folder / name), kind)
                if isinstance(table, TopicConfigSerializeWrapper):
                    self.topics = frozenset(table.topic_config_table)
        self._check_marks()
        self._check_checkpoint()

    def _add(self, path: Path, position: int, what: str) -> None:
        self.problems.append(Problem(path, position, what))

    # --- config/*.json -------------------------------------------------------------------------------------------

    def _read_table(self, file: ConfigFile, kind: type[Body]) -> Body | None:
        """Return what a broker takes: the table, else the one before; name each that it does not take."""
        present, former = _Reading.of(file.path, kind), _Reading.of(file.backup, kind)
        if present.table is not None:
            if former.problem is not None:
                self.notes.append(f"{file.backup}: {former.problem}: not needed, the next save replaces it")
            return present.table
        if present.is_blocked or (former.is_blocked and not present.is_blocked):
            blocked = file.path if present.is_blocked else file.backup
            self._add(blocked, 0, f"{present.problem or former.problem}: the broker does not start")
        elif former.table is not None:
            what = f"the broker takes {file.backup.name}, the version before the last change"
            if present.problem is None:
                self.notes.append(f"{file.path} is not there: {what}")
            else:
                self._add(file.path, present.position, f"{present.problem}: {what}")
        elif present.problem is not None:
            backup = f"{file.backup.name} is {'not there' if former.problem is None else 'no better'}"
            self._add(file.path, present.position, f"{present.problem}, and {backup}: the broker does not start")
        elif former.problem is not None:
            what = f"{former.problem}, and {file.path.name} is not there: the broker does not start"
            self._add(file.backup, former.position, what)
        return former.table

    # --- lock, abort, checkpoint ---------------------------------------------------------------------------------

    def _check_marks(self) -> None:
        for name in ("lock", "abort", "checkpoint", "coverage"):
            path = self._root / name
            if path.exists() and not path.is_file():
                self._add(path, 0, "is no file: the broker does not start")
        folder = self._root / "index"
        if folder.exists() and not folder.is_dir():
            self._add(folder, 0, "is no folder: the broker does not start")

    def _check_checkpoint(self) -> None:
        path = self._root / "checkpoint"
        if not path.is_file():
            return
        size = path.stat().st_size
        if size != CHECKPOINT_SIZE:
            what = f"has {size} bytes, expected were {CHECKPOINT_SIZE}"
            self._add(path, min(size, CHECKPOINT_SIZE), f"{what}: what it says is not sure, or not known")
            return
        checkpoint = readable_checkpoint(self._root)
        for position, name in ((0, "physic_timestamp"), (8, "logics_timestamp"), (16, "index_timestamp")):
            timestamp = getattr(checkpoint, name)
            if timestamp < 0:
                return self._add(path, position, f"{name} is {timestamp}, which is no time")


def readable_checkpoint(root: Path) -> StoreCheckpoint:
    """The checkpoint of a store; one that says nothing if it cannot be read."""
    try:
        return StoreCheckpoint.of(root)
    except OSError:
        return StoreCheckpoint(root)


class _Reading(NamedTuple):
    """What `ConfigFile.load` makes of one file."""

    table: Body | None = None
    """None when it is not there, too."""
    problem: str | None = None
    position: int = 0
    is_blocked: bool = False
    """The system does not let it be read: the broker then does not look at the backup."""

    @classmethod
    def of(cls, path: Path, kind: type[Body]) -> Self:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            return cls(problem=f"cannot be read: {error.strerror}", is_blocked=True)
        if not content.strip():
            return cls(problem="is empty")
        try:
            return cls(table=kind.decode(content))
        except (ValueError, ProtocolError, MsgspecError) as error:
            return cls(problem=f"is no {kind.__name__}: {error}", position=_position(str(error), content))


def _position(problem: str, content: bytes) -> int:
    """Byte of a file at which it is wrong, if the reader of JSON says at which character."""
    found = _CHARACTER.search(problem)
    return len(content.decode("utf-8", "replace")[: int(found[1])].encode()) if found else 0
