"""One configuration table on disk (`config/*.json`): replaced as a whole, the version before kept as `.bak`.

Knows bytes, not JSON: the caller hands text in and a parser for reading. At every moment of a save either the file or
its `.bak` is whole, and a file that can be read is never older than the last save that returned.

Source: ConfigManager#load, #persist, MixAll#string2File (RocketMQ 4.5.2), same names. Differs: Apache deletes the file
before it renames, and never syncs.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import MsgspecError

from rmqnode.files import write_anew
from rmqnode.protocol.errors import ProtocolError
from rmqnode.store.disk import naming
from rmqnode.store.errors import StoreError
from rmqnode.store.sync import sync_folder

T = TypeVar("T")


class ConfigFileCorrupt(StoreError):
    """Neither the file nor its backup can be read; starting empty would lose the table for good."""

    def __init__(self, path: Path, backup: Path, problem: str) -> None:
        self.path = path
        self.backup = backup
        self.problem = problem
        super().__init__(f"neither {path} nor {backup.name} beside it can be read: {problem}")


class ConfigFile:
    """The file at `path` with its `.bak`, and `.tmp` and `.bak.tmp` while saving."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backup = path.with_name(path.name + ".bak")
        self._temporary = path.with_name(path.name + ".tmp")
        self._former = path.with_name(path.name + ".bak.tmp")

    def load(self, parse: Callable[[bytes], T]) -> T | None:
        """Return the first of file and backup that `parse` accepts; None when neither exists.

        Args:
            parse: Reads the content; raises ValueError, ProtocolError or MsgspecError for what it does not accept.

        Raises:
            ConfigFileCorrupt: Something is there, but nothing that can be read.
        """
        problem = ""
        for path in (self.path, self.backup):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            if not content.strip():
                problem = problem or "the file is empty"
                continue
            try:
                return parse(content)
            except (ValueError, ProtocolError, MsgspecError) as error:
                problem = problem or str(error)
        if problem:
            raise ConfigFileCorrupt(self.path, self.backup, problem)
        return None

    def save(self, text: str) -> None:
        """Replace the content; on the disk when this returns. Blocks.

        Raises:
            OSError: The old content is still there, as the file or as its backup.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with naming(self._temporary):
                write_anew(self._temporary, text.encode())
        except OSError:
            # What is left of it would take the space that others need.
            self._temporary.unlink(missing_ok=True)
            raise
        self._former.unlink(missing_ok=True)
        has_former = self._keep_former()
        self._temporary.replace(self.path)
        sync_folder(self.path.parent)
        if has_former:
            self._former.replace(self.backup)

    def _keep_former(self) -> bool:
        """Give the present content a second name; the backup is replaced only once the new file is in place."""
        if not self.path.exists():
            return False
        try:
            os.link(self.path, self._former)
        except OSError:  # a file system without hard links
            write_anew(self._former, self.path.read_bytes())
        return True
