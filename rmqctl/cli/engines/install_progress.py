"""Shows how far the installation of an engine is: a bar on a terminal, plain lines elsewhere; both on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rmqctl.cli.output import is_terminal, narrate

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from rmqctl.engine.apache.install import InstallProgress

_MEGABYTE = 1_000_000


@contextmanager
def open_install_progress(version: str) -> Iterator["InstallProgress"]:
    """Say what is about to be fetched, and show it."""
    narrate(f"Apache RocketMQ {version} is not installed: fetching it from Maven Central")
    if not is_terminal(sys.stderr):
        yield InstallLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = InstallBar(progress, progress.add_task("working out what it needs", total=None))
        yield bar
    bar.narrate_sum()


class InstallLines:
    """A line for the beginning and one for the end."""

    def __init__(self) -> None:
        self._jars = 0
        self._fetched = 0
        self._size_bytes = 0

    def resolved(self, jars: int) -> None:
        """Note how many jars there are."""
        self._jars = jars

    def received(self, size_bytes: int) -> None:
        """Count bytes."""
        self._size_bytes += size_bytes

    def fetched(self, name: str) -> None:
        """Say so when the last one is there."""
        self._fetched += 1
        if self._fetched == self._jars:
            self.narrate_sum()

    def narrate_sum(self) -> None:
        """What was fetched."""
        narrate(f"{self._fetched} jars are there, checksums verified, {self._size_bytes / _MEGABYTE:.1f} MB fetched")


class InstallBar(InstallLines):
    """A bar that moves with every jar."""

    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        super().__init__()
        self._progress = progress
        self._task = task

    def resolved(self, jars: int) -> None:
        """Now the length of the bar is known."""
        super().resolved(jars)
        self._progress.update(self._task, total=jars)

    def received(self, size_bytes: int) -> None:
        """Show the sum."""
        super().received(size_bytes)
        self._progress.update(self._task, description=f"{self._size_bytes / _MEGABYTE:.1f} MB")

    def fetched(self, name: str) -> None:
        """Move the bar."""
        self._fetched += 1
        self._progress.advance(self._task)
