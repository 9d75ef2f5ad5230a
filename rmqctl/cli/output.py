"""Everything that a command prints: results to stdout, narration and errors to stderr.

Names and remarks come from servers, and whoever reaches a server may have made them up. So all text goes through this
module, and what a terminal would act on is shown as an escape (`rmqnode.plain_text`), in a pipe as well; only bodies of
messages that were asked for raw are not touched. Tables and colours are for terminals; a pipe gets plain columns,
`--json` gets JSON. `rich` is imported only when a table goes to a terminal.
"""

import os
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TextIO

import msgspec

from rmqctl.errors import RmqctlError, UsageError
from rmqnode.plain_text import escape_controls, escape_lines, plain_json, shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_LAST_COLUMN_WIDTH_MIN: Final = 24
"""The last column, often prose, is folded into what a terminal leaves for it, but not narrower than this."""

_CELL_LENGTH_MAX: Final = 300
"""Every name that a broker takes is shorter; a longer cell would widen all rows of its column."""

_STYLES: Final[Mapping[str, str]] = {
    "ready": "green",
    "starting": "cyan",
    "stopping": "cyan",
    "draining": "cyan",
    "backoff": "yellow",
    "limited": "yellow",
    "exited": "yellow",
    "unsupervised": "yellow",
    "failed": "bold red",
}
"""Cells that are states, on a terminal."""


def narrate(text: str) -> None:
    """Tell the user in one line what is going on; never part of the result."""
    print(escape_controls(text), file=sys.stderr, flush=True)


def print_error(error: RmqctlError) -> None:
    """Write the error to stderr: what, why, what to do."""
    lines = [f"rmqctl: error: {error.what}"]
    if error.why:
        lines.append("  why: " + error.why)
    if error.cure:
        lines.append("  try: " + error.cure)
    # A line of what a server said is indented: it is not taken for one of ours.
    print("\n".join(escape_lines(line).replace("\n", "\n       ") for line in lines), file=sys.stderr, flush=True)


def print_result(text: str) -> None:
    """Write one line of the result to stdout."""
    print(escape_controls(text))


def print_lines(text: str) -> None:
    """Write a text of several lines to stdout: a file, a script."""
    print(escape_lines(text))


def print_painted(*pieces: tuple[str, int | None]) -> None:
    """Write one line of pieces to stdout, each in a colour of ANSI's on a terminal."""
    in_colour = is_terminal(sys.stdout)
    print("".join(_painted(escape_controls(text), colour if in_colour else None) for text, colour in pieces))


def print_json(document: object) -> None:
    """Write one indented JSON document to stdout; takes whatever msgspec encodes (structs, dicts, lists …)."""
    _write_bytes(plain_json(msgspec.json.format(msgspec.json.encode(document), indent=2)))


def print_json_line(document: object) -> None:
    """Write one line of JSON to stdout and flush it: the form of results that go on arriving."""
    _write_bytes(plain_json(msgspec.json.encode(document)))


def print_json_error(error: RmqctlError) -> None:
    """Write the error to stdout as one line of JSON, so that whoever parses it always finds a document."""
    told = {"what": error.what, "why": error.why, "try": error.cure, "exit_code": error.exit_code}
    print_json_line({"error": told})


def print_bytes_line(line: bytes) -> None:
    """Write one line of the result to stdout as it is: bodies need not be text."""
    _write_bytes(line)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to stdout: drawn on a terminal, aligned plain columns in a pipe."""
    columns, rows = _plain_table(columns, rows)
    if is_terminal(sys.stdout):
        _print_rich_table(columns, rows)
        return
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class TextTable(NamedTuple):
    """Columns and rows of cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Screen(NamedTuple):
    """What is drawn at once, from top to bottom."""

    heading: Sequence[str]
    tables: Sequence[TextTable]
    notes: Sequence[str]


def show_again_and_again(draw: Callable[[], Screen], interval_seconds: float) -> NoReturn:
    """Show what `draw` returns on stdout again and again, in place on a terminal; ends with KeyboardInterrupt."""
    if not is_terminal(sys.stdout):
        while True:
            screen = draw()
            for line in screen.heading:
                print_result(line)
            for table in screen.tables:
                print_table(table.columns, table.rows)
            for line in screen.notes:
                print_result(line)
            print(flush=True)
            pause(interval_seconds)
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(_drawn(draw(), console), console=console, auto_refresh=False, screen=True) as live:
        while True:
            pause(interval_seconds)
            live.update(_drawn(draw(), console), refresh=True)


def confirm(question: str, *, yes: bool, refused: str) -> bool:
    """Ask before something is destroyed.

    Args:
        question: Names the target: what would be destroyed, where.
        yes: The user answered already, with `--yes`.
        refused: What the error says when there is nobody to ask.

    Raises:
        UsageError: stdin is not a terminal, so nobody can answer.
    """
    if yes:
        return True
    if not is_terminal(sys.stdin):
        raise UsageError(refused, "stdin is not a terminal, so nobody can answer", "add --yes")
    print(f"{escape_controls(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise


def confirm_or_refuse(question: str, *, yes: bool, refused: str, kept: str) -> None:
    """Ask as `confirm` does, and go on only with a yes.

    Args:
        question: As for `confirm`.
        yes: As for `confirm`.
        refused: As for `confirm`.
        kept: What the error says of the target when the answer is no.

    Raises:
        UsageError: As `confirm`.
        RmqctlError: The answer was no.
    """
    if not confirm(question, yes=yes, refused=refused):
        raise RmqctlError(kept, "the question was not answered with yes")


def pause(seconds: float) -> None:
    """Wait; raises BrokenPipeError as soon as whoever reads stdout has gone, even if there is nothing to write."""
    poll = select.poll()
    # No event is asked for: only a reader that went away is told (POLLERR, POLLHUP).
    poll.register(sys.stdout.fileno(), 0)
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(seconds * 1000)):
        raise BrokenPipeError


def forget_stdout() -> None:
    """Send what is still to be printed nowhere: whoever read stdout has read enough (`| head`)."""
    # Python would complain about the closed pipe once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads (or types into) this stream: a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _write_bytes(document: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(document + b"\n")
    sys.stdout.buffer.flush()


def _plain_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    return columns, [[escape_controls(shortened(cell, _CELL_LENGTH_MAX)) for cell in row] for row in rows]


def _painted(text: str, colour: int | None) -> str:
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"


def _drawn(screen: Screen, console: "Console") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(escape_controls(line), "bold") for line in screen.heading]
    for table in screen.tables:
        columns, rows = _plain_table(table.columns, table.rows)
        drawn, width = _rich_table(columns, rows), _width_min(columns, rows)
        if width > console.width:
            # Cut off at the right: squeezed columns would say nothing at all.
            drawn.width = width
        parts += ["", drawn]
    if screen.notes:
        parts += ["", *(Text(escape_controls(line), "yellow") for line in screen.notes)]
    return Group(*parts, "", Text("Ctrl-C ends", "dim"))


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, _STYLES.get(cell.partition(",")[0], "")) for cell in row))
    return table


def _print_rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console

    table = _rich_table(columns, rows)
    console = Console()
    # Better a line that the terminal breaks than an address broken inside its column: it could not be copied.
    console.width = max(console.width, _width_min(columns, rows))
    console.print(table)


def _width_min(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """What a table needs so that only its last column is folded, and that not too much."""
    widths = [max(len(row[i]) for row in [columns, *rows]) + len("  ") for i in range(len(columns))]
    return sum(widths[:-1]) + min(widths[-1], _LAST_COLUMN_WIDTH_MIN)
