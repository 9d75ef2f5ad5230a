"""How far `rmqctl send` is: a bar on a terminal while many messages are sent, nothing elsewhere. On stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rmqctl.cli.messages.send.report import SendReport
from rmqctl.cli.output import is_terminal

if TYPE_CHECKING:
    from rich.table import Table

_REFRESHES_PER_SECOND = 8


@contextmanager
def shown_progress(report: SendReport, *, count: int | None, size_bytes: int | None) -> Iterator[None]:
    """Show how far the sending is for the length of a block.

    Args:
        report: Looked at several times a second.
        count: How many messages there are to send, when that is known.
        size_bytes: How much input there is, when that is known.
    """
    # What is typed at the terminal would be written over.
    if not is_terminal(sys.stderr) or (count is None and sys.stdin.isatty() and size_bytes is None):
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    spinner = Spinner("dots")

    def draw() -> "Table":
        row = Table.grid(padding=(0, 1))
        done = report.sent_count + report.failed_count
        total, completed = (count, done) if count is not None else (size_bytes, report.read_bytes)
        words = Text(f"{done}{'' if count is None else f' of {count}'}, {report.per_second:.0f} messages/s")
        if report.failed_count:
            words.append(f", {report.failed_count} failed", style="bold red")
        mark = spinner if total is None else ProgressBar(total=total, completed=min(completed, total), width=30)
        row.add_row(mark, words)
        return row

    with Live(
        get_renderable=draw,
        console=Console(stderr=True),
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield
