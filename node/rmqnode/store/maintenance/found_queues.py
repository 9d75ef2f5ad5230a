"""All consume queues of a store as they are on disk, for tools that only read; what does not fit is named."""

import os
from pathlib import Path

from rmqnode.store.maintenance.found_files import find_files
from rmqnode.store.maintenance.problems import Problem
from rmqnode.store.queue_table import QueueKey, QueueTable, names_a_queue
from rmqnode.store.queue_units import rounded_to_units


class FoundQueues:
    """Fills a table with the queues whose files fit.

    Args:
        folder: `consumequeue/` of the store.
        file_size: Of a queue file, in bytes.
        table: Of that folder; empty.
    """

    def __init__(self, folder: Path, file_size: int, table: QueueTable) -> None:
        self._folder = folder
        self._file_size = rounded_to_units(file_size)
        self._table = table
        self.problems: list[Problem] = []
        self.misfits: set[QueueKey] = set()
        """Queues whose files do not fit: not in the table, to be built anew."""

    def load(self) -> None:
        """Look at every folder."""
        for topic in self._folders(self._folder):
            for name in self._folders(self._folder / topic):
                if name.isascii() and name.isdecimal() and names_a_queue(topic, int(name)):
                    self._load_queue(topic, name)

    def _load_queue(self, topic: str, name: str) -> None:
        folder = self._folder / topic / name
        key = (topic, int(name))
        if name != str(key[1]):
            self.problems.append(Problem(folder, 0, f"is no name of a queue; that of queue {key[1]} is {key[1]}"))
            return
        problems = find_files(folder, self._file_size).problems
        if problems:
            self.problems += problems
            self.misfits.add(key)
            return
        queue = self._table.new(*key)
        assert queue is not None
        queue.load(repairs=False)
        self._table.by_key[key] = queue

    def _folders(self, folder: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems.append(Problem(folder, 0, f"cannot be read: {error.strerror}: the broker does not start"))
            return []
