"""`rmqctl logs`: what the nodes of a cluster wrote, each line with the name of its node."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from rmqctl.cli.conf import find_node
from rmqctl.cli.options import ClusterOption, HomeOption
from rmqctl.cli.output import is_terminal, narrate
from rmqctl.home import DEFAULT_CLUSTER
from rmqctl.profile.stored import load_cluster
from rmqctl.target import choose_local_home

_FOLLOW_SECONDS = 0.2
_BLOCK_BYTES = 1 << 16
_COLOURS = (36, 32, 33, 35, 34, 31)


def logs(
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="Only this node; all without it.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each node to begin with.")] = 20,
    cluster: ClusterOption = None,
    home: HomeOption = None,
) -> None:
    """Print the last lines that nodes wrote, and with -f what they go on writing until Ctrl-C."""
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    model = load_cluster(chosen).model
    nodes = [find_node(model, node)] if node else list(model.nodes)
    width = max(len(each.name) for each in nodes)
    readers = [
        LogReader(chosen.node_log(each.name), _prefix(each.name.ljust(width), index) if len(nodes) > 1 else "")
        for index, each in enumerate(nodes)
    ]
    for reader in readers:
        reader.print_last(lines)
    if not follow:
        return
    narrate("following, Ctrl-C ends")
    try:
        while True:
            for reader in readers:
                reader.print_new()
            time.sleep(_FOLLOW_SECONDS)
    except KeyboardInterrupt:
        # Ending is what a follower is asked to do: not an error.
        return


def _prefix(name: str, index: int) -> str:
    if not is_terminal(sys.stdout):
        return f"{name} | "
    return f"\x1b[{_COLOURS[index % len(_COLOURS)]}m{name}\x1b[0m | "


class LogReader:
    """Prints whole lines of one log file; a file that is not there yet, or starts anew, is no error."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._position = 0
        self._partial = b""

    def print_last(self, lines: int) -> None:
        """Print the last lines there are, and remember the place."""
        try:
            with self._path.open("rb") as log:
                tail, self._position = _read_tail(log.fileno(), log.seek(0, 2), lines)
        except FileNotFoundError:
            return
        self._print(tail)

    def print_new(self) -> None:
        """Print the whole lines that were written since."""
        try:
            size = self._path.stat().st_size
            if size < self._position:
                self._position, self._partial = 0, b""
            if size == self._position:
                return
            with self._path.open("rb") as log:
                log.seek(self._position)
                data = log.read()
        except FileNotFoundError:
            return
        self._position += len(data)
        *whole, self._partial = (self._partial + data).split(b"\n")
        self._print(whole)

    def _print(self, lines: list[bytes]) -> None:
        for line in lines:
            print(self._prefix + line.decode(errors="replace"))
        sys.stdout.flush()


def _read_tail(descriptor: int, size: int, lines: int) -> tuple[list[bytes], int]:
    """The last whole lines, and the position after them; reads backwards only as far as it must."""
    start, data = size, b""
    while start > 0 and data.count(b"\n") <= lines:
        step = min(_BLOCK_BYTES, start)
        start -= step
        data = os.pread(descriptor, step, start) + data
    *whole, rest = data.split(b"\n")
    if start > 0:
        whole = whole[1:]
    return (whole[-lines:] if lines else []), size - len(rest)
