"""Runs the chosen sections for every engine and prints a table, or JSON."""

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from rmqctl.profile.schema import ENGINES
from scripts.benchmark.engines import engines
from scripts.benchmark.sections import NEED_JAVA, SECTIONS, Rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure what rmqctl promises.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this one (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    chosen = options.sections or list(SECTIONS)
    for name in chosen:
        if name not in SECTIONS:
            parser.error(f"no section {name!r}: choose of {', '.join(SECTIONS)}")

    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    needing = [name for name in chosen if name in NEED_JAVA]
    if missing and needing:
        parser.error(f"{', '.join(needing)}: {' and '.join(missing)} not found on the PATH")
    try:
        columns = measure(chosen, options.engine or ENGINES)
    except RuntimeError as error:
        sys.exit(f"scripts/bench: error: {error}")
    if options.json:
        print(json.dumps({"machine": platform.platform(), "python": platform.python_version(), "engines": columns}))
    else:
        _print_table(columns)


def measure(sections: list[str], names: Sequence[str]) -> dict[str, Rows]:
    """Run the sections for each engine; return the rows by engine."""
    columns: dict[str, Rows] = {}
    for engine in engines(names):
        rows = columns.setdefault(engine.name, {})
        for name in sections:
            print(f"{engine.name}: {name} …", file=sys.stderr, flush=True)
            rows |= SECTIONS[name](engine)
    return columns


def _print_table(columns: dict[str, Rows]) -> None:
    ratio = ["ratio"] if len(columns) == 2 else []
    table = Table("", *(f"[bold]{name}" for name in (*columns, *ratio)))
    for row in dict.fromkeys(row for rows in columns.values() for row in rows):
        values = [rows.get(row) for rows in columns.values()]
        table.add_row(row, *map(_text, values), *(_ratio(*values) for _ in ratio))
    Console().print(table)


def _ratio(first: float | None, second: float | None) -> str:
    """The first column as a multiple of the second."""
    return "-" if first is None or not second else f"{first / second:.2f}"


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


if __name__ == "__main__":
    main()
