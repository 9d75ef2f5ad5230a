"""Tables of which every change is written to a file: off the loop, many changes with one write.

A change counts in memory as soon as it is made. Whoever promises that it lasts answers once it is written
(`WrittenTable.when_written`); until then its entry is among the `unwritten` ones. The text is made in slices, a worker
thread writes and syncs it, and what changes meanwhile goes into the next write. A write that fails takes back what it
was to write, so that no table speaks of what a restart forgets.
Before `keep_written` runs and after it has ended, at start, stop and in tools, a change is written before it counts.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
import trio

from rmqnode.net.slices import finish, finish_in_turns
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.routes import Reply, Request

logger = logging.getLogger(__name__)

V = TypeVar("V")

Done = Callable[[OSError | None], None]
"""Told that what was waited for is written, or why it was taken back."""

_PAUSE_SECONDS_MAX: Final = 1.0

_ABSENT: Final = object()


def changed_names(former: Mapping[str, object], entries: Mapping[str, object]) -> list[str]:
    """Return the names whose entries differ between two tables."""
    changed = [name for name, entry in entries.items() if former.get(name) != entry]
    return changed + [name for name in former if name not in entries]


class AfterWrite(msgspec.Struct, gc=False):
    """Outcome of a handler: go on with another one once a table is written, or answer that it could not be."""

    table: "WrittenTable[Any]"
    outcome: Any
    names: tuple[str, ...]
    failed: Callable[[OSError], Reply]

    def finish(self, request: Request[Any], finish: Callable[[Any, Request[Any]], None]) -> None:
        """Wait for the write, then hand the outcome on."""
        self.table.when_written(
            lambda error: finish(self.outcome if error is None else self.failed(error), request), self.names
        )


def after_write(
    table: "WrittenTable[Any]", outcome: Any, names: Iterable[str], failed: Callable[[OSError], Reply] | None = None
) -> Any:
    """Return an outcome that waits until the entries of these names are written; the outcome itself if they are."""
    if not table.unwritten:
        return outcome
    waited_for = tuple(names)
    if table.unwritten.keys().isdisjoint(waited_for):
        return outcome
    return AfterWrite(table, outcome, waited_for, failed or not_written)


def not_written(error: OSError) -> Reply:
    """Say that a change was taken back."""
    return Reply(ResponseCode.SYSTEM_ERROR, f"not changed, the file can't be written: {error}")


class TableFile(Protocol):
    """Where a table is kept."""

    def save(self, text: str) -> None:
        """Replace the content; on the disk when this returns. Raises OSError."""


class WrittenTable(Generic[V]):
    """Entries by name, and their file.

    Args:
        file: Replaced with each write.
        entries: What the file holds.
    """

    def __init__(self, file: TableFile, entries: dict[str, V]) -> None:
        self._file = file
        self._entries = entries
        self.unwritten: dict[str, object] = {}
        """Names that were changed since the last write began, or that are being written."""
        self._former: dict[str, object] = {}
        """What stood under the names that changed since the last write began."""
        self._being_written: dict[str, object] = {}
        self._waiting: list[Done] = []
        """For the next write."""
        self._waiting_now: list[Done] = []
        """For the write that is under way."""
        self._changed = trio.Event()
        self._is_served = False

    def _text_steps(self) -> Generator[None, None, bytes]:
        """Write the table as it is now as the text of its file; changes replace `_entries`, never change it."""
        raise NotImplementedError

    def _after_write(self) -> None:
        """A change has been written."""

    def when_written(self, done: Done, names: Iterable[str] | None = None) -> None:
        """Call `done` once the changes made so far are written or taken back; at once when there are none.

        Args:
            done: Told by the write that decides about the last of the changes.
            names: Of the entries that matter; None for all.
        """
        if not self.unwritten:
            done(None)
        elif self._being_written and (
            not self._former or (names is not None and self._former.keys().isdisjoint(names))
        ):
            # The write under way may be the last for long: nothing else would tell.
            self._waiting_now.append(done)
        else:
            self._waiting.append(done)

    def replace_entries(self, entries: dict[str, V], changed: Iterable[str]) -> None:
        """Let another set of entries count, in which the entries of the `changed` names are others.

        Raises:
            OSError: It can't be written, and nothing has changed; not raised while `keep_written` runs.
        """
        former, self._entries = self._entries, entries
        if self._is_served:
            for name in changed:
                self._former.setdefault(name, former.get(name, _ABSENT))
                self.unwritten[name] = None
            self._changed.set()
            return
        try:
            self._file.save(finish(self._text_steps()).decode())
        except OSError:
            self._entries = former
            raise
        self._after_write()

    async def keep_written(self) -> None:
        """Service: write what changes."""
        self._is_served = True
        try:
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                begun = trio.current_time()
                await self._write_once()
                # Of a long table that changes all the time half of the time is left for others.
                await trio.sleep(min(_PAUSE_SECONDS_MAX, trio.current_time() - begun))
        finally:
            self._is_served = False
            if self._former or self._being_written:
                self._write_at_the_end()

    async def _write_once(self) -> None:
        self._being_written, self._former = self._former, {}
        self._waiting_now, self._waiting = self._waiting, []
        error: OSError | None = None
        try:
            text = await finish_in_turns(self._text_steps())
            await trio.to_thread.run_sync(lambda: self._file.save(text.decode()))
        except OSError as failure:
            logger.error("table not written, its changes are taken back reason=%s", failure)
            error = failure
            self._take_back()
        self._being_written = {}
        self.unwritten = dict(self._former)
        if error is None:
            self._after_write()
        waiting, self._waiting_now = self._waiting_now, []
        for done in waiting:
            done(error)

    def _take_back(self) -> None:
        entries = dict(self._entries)
        for name, value in self._being_written.items():
            if name in self._former:
                # It was changed once more: should that fail too, this is what to go back to.
                self._former[name] = value
            elif value is _ABSENT:
                entries.pop(name, None)
            else:
                entries[name] = value  # type: ignore[assignment]
        self._entries = entries

    def _write_at_the_end(self) -> None:
        try:
            self._file.save(finish(self._text_steps()).decode())
        except OSError as error:
            logger.error("table not written at the end reason=%s", error)
            return
        self._former, self._being_written, self.unwritten = {}, {}, {}
        waiting = self._waiting_now + self._waiting
        self._waiting_now, self._waiting = [], []
        for done in waiting:
            done(None)
