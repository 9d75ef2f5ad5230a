"""Which store a command means, and what keeps it from being read."""

from pathlib import Path
from typing import Annotated

import typer

from rmqctl.errors import RmqctlError, UsageError
from rmqnode.store.errors import StoreError
from rmqnode.store.maintenance.discovery import UNKNOWN, ConfiguredSizes, discover_options
from rmqnode.store.options import StoreOptions

StoreArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The store's folder.", show_default=False)]
CommitLogOption = Annotated[
    Path | None, typer.Option("--commit-log", metavar="DIR", help="Folder of its commit log, if it lies elsewhere.")
]


def options_of(
    folder: Path, commit_log: Path | None, *, needs_log: bool = True, configured: ConfiguredSizes = UNKNOWN
) -> StoreOptions:
    """Folders and sizes of a store, as they are on disk; see `discover_options`.

    Raises:
        UsageError: There is no store.
        RmqctlError: It cannot be read.
    """
    try:
        return discover_options(folder, commit_log, needs_log=needs_log, configured=configured)
    except OSError as error:
        raise unreadable(folder, error) from None
    except StoreError as error:
        cure = "name the folder that holds commitlog/, consumequeue/ and config/, such as <node>/store"
        raise UsageError(f"{folder} cannot be opened as a store", str(error), cure) from None


def unreadable(folder: Path, error: StoreError | OSError) -> RmqctlError:
    """Say that a store could not be read, and why."""
    cure = "make its files readable and writable for you, and as its broker made them"
    return RmqctlError(f"{folder} cannot be read", str(error), cure)
