"""`rmqctl events`: the ledger of a cluster: every start, exit and change of a node, and who asked for it."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from rmqctl.cli.nodes.conf import find_node
from rmqctl.cli.nodes.log_records import LogFollower, read_backwards
from rmqctl.cli.nodes.logs import SinceOption, parse_since
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption
from rmqctl.cli.output import narrate, pause, print_json_line, print_result
from rmqctl.documents import decode_json
from rmqctl.home import DEFAULT_CLUSTER
from rmqctl.profile.stored import load_cluster
from rmqctl.supervisor.files.ledger import timestamp
from rmqctl.supervisor.node_state import NodeStatus
from rmqctl.target import choose_local_home

_FOLLOW_SECONDS = 0.1
_LINES = 50

Entry = dict[str, Any]


def events(
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE]…", help="Only of these; all without.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what happens.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="Last events to begin with; default 50, all of --since.")
    ] = None,
    since: SinceOption = None,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print what happened to a cluster and its nodes: starts, exits, changes, and who asked for them."""
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    model = load_cluster(chosen).model
    meant = {find_node(model, name).name for name in nodes or ()}
    begin = "" if since is None else timestamp(parse_since(since).timestamp())
    wanted = lines if lines is not None else None if begin else _LINES
    # Before anything is read, so that nothing that happens meanwhile is missed.
    follower = LogFollower("", chosen.ledger_file) if follow else None
    last: deque[Entry] = deque(maxlen=wanted)
    for entry in _entries(chosen.ledger_file):
        if _is_meant(entry, meant) and entry["time"] >= begin:
            last.append(entry)
    for entry in last:
        _show(entry, json_output)
    if follower is not None:
        _follow(follower, meant, json_output)


def _entries(path: Path) -> Iterator[Entry]:
    """All entries, the oldest first; the ledger is small."""
    for record in reversed(list(read_backwards("", path))):
        yield from _parse(record.text)


def _parse(text: str) -> Iterator[Entry]:
    for line in text.split("\n"):
        try:
            entry = decode_json(line)
        except msgspec.DecodeError:
            # Torn by a crash or a full disk.
            continue
        if isinstance(entry, dict) and isinstance(entry.get("time"), str):
            yield entry


def _is_meant(entry: Entry, nodes: set[str]) -> bool:
    return not nodes or entry.get("node") in nodes


def _follow(follower: LogFollower, nodes: set[str], json_output: bool) -> None:
    narrate("following, Ctrl-C ends")
    try:
        while True:
            for record in follower.read_new():
                for entry in _parse(record.text):
                    if _is_meant(entry, nodes):
                        _show(entry, json_output)
            pause(_FOLLOW_SECONDS)
    except KeyboardInterrupt:
        # Ending is what a follower is asked to do: not an error.
        return


def _show(entry: Entry, json_output: bool) -> None:
    if json_output:
        print_json_line(entry)
        return
    moment = str(entry["time"]).replace("T", " ")[:23]
    print_result(f"{moment}  {entry.get('node') or 'cluster':<14}  {describe_event(entry)}")


def describe_event(entry: Entry) -> str:
    """One line about an entry of the ledger, in words."""
    asked = f", by {entry['asked_by']}" if entry.get("asked_by") else ""
    match entry.get("event"):
        case "started":
            verb = "adopted" if entry.get("adopted") else "started"
            return f"{verb} as pid {entry.get('pid')}, configuration {entry.get('config') or 'unknown'}{asked}"
        case "exited":
            cause = f": it {entry['cause']}" if entry.get("cause") else ""
            return f"pid {entry.get('pid')} ended: {entry.get('exit')}{cause}{asked}"
        case "state":
            detail = f": {entry['detail']}" if entry.get("detail") else ""
            state = "in backoff" if entry.get("state") == NodeStatus.BACKOFF else entry.get("state")
            return f"is {state}{detail}"
        case "notice":
            return str(entry.get("text"))
        case "failed":
            return f"{entry.get('problem')}" + (f": {entry['lack']}" if entry.get("lack") else "")
        case other:
            return {"ready": "every node serves", "stopped": "is down"}.get(str(other), str(other))
