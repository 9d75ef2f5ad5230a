"""What tables have in common that are written to their file now and then, not at each change."""

from collections.abc import Callable, Generator

from rmqnode.net.slices import finish
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

    def _snapshot_steps(self) -> Generator[None, None, Body]:
        """Return what the file shall hold, as it was at some moment for each of its entries."""
        return self._body()
        yield

    def take_changes(self) -> Callable[[], None] | None:
        """Return what writes the table as it is now to its file, for a worker thread; None when nothing changed.

        A write that fails leaves the table changed, so that the next one has it.
        """
        return finish(self.take_changes_steps())

    def take_changes_steps(self) -> Generator[None, None, Callable[[], None] | None]:
        """The same with a yield wherever it may be interrupted."""
        if not self._is_dirty:
            return None
        self._is_dirty = False
        body = yield from self._snapshot_steps()
        text = yield from fastjson.dump_steps(body, pretty=True)
        return lambda: self._write(text)

    def _write(self, text: bytes) -> None:
        try:
            self._file.save(text.decode())
        except OSError:
            self._is_dirty = True
            raise
