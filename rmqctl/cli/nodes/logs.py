"""`rmqctl logs`: what the nodes of a cluster wrote, merged by time, each line with the name of its node."""

import heapq
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import Annotated

import typer

from rmqctl.cli.nodes.conf import find_node
from rmqctl.cli.nodes.log_records import LEVELS, LogFollower, LogRecord, moment_of, read_backwards, stamp_of
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption
from rmqctl.cli.output import narrate, pause, print_json_line, print_painted
from rmqctl.client.errors import InvalidArgument
from rmqctl.client.start_position import Since, parse_start
from rmqctl.errors import UsageError
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome
from rmqctl.profile.model import Node
from rmqctl.profile.stored import load_cluster
from rmqctl.target import choose_local_home

_FOLLOW_SECONDS = 0.2
_LINES = 20
_COLOURS = (36, 32, 33, 35, 34, 31)
_LEVEL_COLOURS = {"WARN": 33, "WARNING": 33, "ERROR": 31, "CRITICAL": 31, "FATAL": 31}

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only from then on: an age (10m, 2h, 1d), or an ISO 8601 time."),
]


def logs(
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE]…", help="Only these; all without.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is written.")] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=0, help="Last records of each node; default 20, all of --since."),
    ] = None,
    since: SinceOption = None,
    level: Annotated[
        str | None, typer.Option("--level", metavar="LEVEL", help="Only from this level on: INFO, WARN, ERROR …")
    ] = None,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print the last records that nodes wrote, in the order of their times, and with -f what follows until Ctrl-C."""
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    model = load_cluster(chosen).model
    meant = [find_node(model, name) for name in dict.fromkeys(nodes)] if nodes else list(model.nodes)
    printer = _Printer([node.name for node in meant], json_output)
    lowest = _parse_level(level)
    begin = None if since is None else stamp_of(parse_since(since))
    wanted = lines if lines is not None else None if begin else _LINES
    # Before anything is read, so that nothing written meanwhile is missed.
    followers = [_Follower(chosen, node, lowest) for node in meant] if follow else []
    chunks = [_last_records(chosen, node, wanted, begin, lowest) for node in meant]
    for record in heapq.merge(*chunks, key=lambda record: record.time):
        printer.show(record)
    if follow:
        _follow(followers, printer)


def parse_since(text: str) -> datetime:
    """A moment of the past, in local time; raises UsageError."""
    now = datetime.now().astimezone()
    with suppress(InvalidArgument):
        start = parse_start(text, now)
        if isinstance(start, Since):
            return datetime.fromtimestamp(start.timestamp_ms / 1000)
    raise UsageError(
        f"--since {text!r} is no time of the past",
        cure="an age such as 10m, 2h or 1d, or a time such as 2026-11-23T10:00",
    )


def _parse_level(text: str | None) -> str | None:
    if text is None:
        return None
    if text.upper() not in LEVELS:
        raise UsageError(f"--level {text}: there is no such level", f"levels: {', '.join(LEVELS)}")
    return text.upper()


def log_paths(home: ClusterHome, node: Node) -> list[Path]:
    """The logs of a node that people read; of Apache's nodes also where they say most."""
    console = home.node_log(node.name)
    if node.engine != "apache":
        return [console]
    from rmqctl.engine.apache.log_config import main_log

    return [console, console.parent / main_log(node.kind)]


def _last_records(
    home: ClusterHome, node: Node, count: int | None, begin: str | None, level: str | None
) -> list[LogRecord]:
    """The last records of a node that are wanted, in the order of their times."""
    logs = [_matching(read_backwards(node.name, path), begin, level) for path in log_paths(home, node)]
    newest_first = without_twins(heapq.merge(*logs, key=lambda record: record.time, reverse=True))
    return list(islice(newest_first, count))[::-1]


def _matching(records: Iterable[LogRecord], begin: str | None, level: str | None) -> Iterator[LogRecord]:
    recent = records if begin is None else takewhile(lambda record: record.time >= begin, records)
    return (record for record in recent if record.is_at_least(level))


def without_twins(records: Iterable[LogRecord]) -> Iterator[LogRecord]:
    """Leave out what a Java node wrote to its console and to a file: the same record at the same time."""
    moment, seen = "", set[str]()
    for record in records:
        if record.time != moment:
            moment, seen = record.time, set()
        if not record.time or record.text not in seen:
            yield record
        seen.add(record.text)


class _Follower:
    """New records of one node, from all its logs."""

    def __init__(self, home: ClusterHome, node: Node, level: str | None) -> None:
        self._followers = [LogFollower(node.name, path) for path in log_paths(home, node)]
        self._level = level

    def read_new(self) -> list[LogRecord]:
        new = [record for follower in self._followers for record in follower.read_new()]
        new.sort(key=lambda record: record.time)
        return [record for record in without_twins(new) if record.is_at_least(self._level)]


def _follow(followers: Sequence[_Follower], printer: "_Printer") -> None:
    narrate("following, Ctrl-C ends")
    try:
        while True:
            for record in heapq.merge(*(each.read_new() for each in followers), key=lambda record: record.time):
                printer.show(record)
            pause(_FOLLOW_SECONDS)
    except KeyboardInterrupt:
        # Ending is what a follower is asked to do: not an error.
        return


class _Printer:
    """Prints records: the name of the node before each line, if there are several."""

    def __init__(self, nodes: Sequence[str], as_json: bool) -> None:
        width = max(len(name) for name in nodes)
        self._as_json = as_json
        self._prefixes: dict[str, list[tuple[str, int | None]]] = {
            name: [(name.ljust(width), _COLOURS[index % len(_COLOURS)]), (" | ", None)] if len(nodes) > 1 else []
            for index, name in enumerate(nodes)
        }

    def show(self, record: LogRecord) -> None:
        """Print one record."""
        if self._as_json:
            print_json_line(record._asdict() | {"time": moment_of(record.time)})
            return
        for line in record.text.split("\n"):
            print_painted(*self._prefixes[record.node], (line, _LEVEL_COLOURS.get(record.level)))
        sys.stdout.flush()
