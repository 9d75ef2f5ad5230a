"""How a store is opened: the `abort` file that tells the next start of a crash, and what a full disk makes of it.

Two things have to be written before a store may take messages: `abort`, and the units that a crash left missing. Where
the disk has no space for them the store opens for reading only. It then changes nothing on the disk, so it needs no
`abort`; units are held in memory (`stand_in`). Whoever owns it closes it and opens it again when there is room.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rmqnode.files import open_below
from rmqnode.store.disk import DISK_FULL
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.stand_in import StandIns


class Opening:
    """The opening of one store directory.

    Args:
        root: Where `abort` lies.
        budget: Of the store's files; it gets the stand-ins.
    """

    def __init__(self, root: Path, budget: MappingBudget) -> None:
        self._root = root
        self._abort_path = root / "abort"
        self._stand_ins = budget.stand_ins = StandIns()
        self._lacks_abort = False

    @property
    def was_clean(self) -> bool:
        """Whether whoever had the store open before closed it."""
        return not self._abort_path.exists()

    @property
    def is_read_only(self) -> bool:
        """Whether something could not be written that has to be there before messages are taken."""
        return self._lacks_abort or self._stand_ins.is_any

    @property
    def missing_bytes(self) -> int:
        """How much disk space was missing; 0 also when only a file could not be made."""
        return self._stand_ins.bytes_used

    @contextmanager
    def begun(self) -> Iterator[None]:
        """The recovery, from the moment on that a crash shows in `abort`.

        Raises:
            OSError: Another failure than that of a full disk, at making `abort`.
        """
        try:
            # Before the first change, so that a crash from here on is met as one.
            os.close(open_below(self._abort_path, os.O_WRONLY | os.O_CREAT))
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._lacks_abort = True
        with self._stand_ins.allowed():
            yield

    def note_clean_stop(self) -> None:
        """Everything is on the disk."""
        self._abort_path.unlink(missing_ok=True)

    def refuse_writes(self) -> None:
        """Raise OSError if the store is open for reading only."""
        if self.is_read_only:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._root))
