"""What tables have in common that are written to their file now and then, not at each change."""

from collections.abc import Callable

from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies import Body
from rmqnode.store.config_file import ConfigFile


class SavedTable:
    """A table that notes its changes in `_is_dirty` and says in `_body` what its file holds."""

    def __init__(self, file: ConfigFile) -> None:
        self._file = file
        self._is_dirty = False

    def _body(self) -> Body:
        raise NotImplementedError

    def take_changes(self) -> Callable[[], None] | None:
        """Return what writes the table as it is now to its file, for a worker thread; None when nothing changed.

        A write that fails leaves the table changed, so that the next one has it.
        """
        if not self._is_dirty:
            return None
        self._is_dirty = False
        text = fastjson.dumps(self._body(), pretty=True).decode()
        return lambda: self._write(text)

    def _write(self, text: str) -> None:
        try:
            self._file.save(text)
        except OSError:
            self._is_dirty = True
            raise
