"""`rmqctl conf show`: the configuration file of a node, as it is on disk."""

import difflib
from typing import Annotated

import typer

from rmqctl.cli.nodes.drift_text import narrate_drift
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption
from rmqctl.cli.output import print_json, print_lines
from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import DEFAULT_CLUSTER
from rmqctl.profile.drift import find_drift
from rmqctl.profile.model import ClusterModel, Node
from rmqctl.profile.stored import load_cluster
from rmqctl.target import choose_local_home


def show(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of a node, as in rmqctl status.")],
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print the broker.conf or nameserver.conf of a node."""
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    model = load_cluster(chosen).model
    found = find_node(model, node)
    drift = [each for each in find_drift(model, chosen) if each.node == found.name]
    path = chosen.node_folder(found.name) / found.conf_name
    if json_output:
        print_json({"node": found.name, "path": str(path), "properties": found.properties, "drift": drift})
        return
    try:
        text = path.read_text(errors="backslashreplace")
    except OSError as error:
        raise RmqctlError(f"cannot read {path}", error.strerror, "rmqctl up writes it again") from None
    print_lines(text.removesuffix("\n"))
    narrate_drift(drift)


def find_node(model: ClusterModel, name: str) -> Node:
    """The node of that name; raises UsageError with the nearest names."""
    found = model.node(name)
    if found is not None:
        return found
    names = [node.name for node in model.nodes]
    near = difflib.get_close_matches(name, names, 1, 0.5)
    raise UsageError(
        f"cluster {model.name} has no node {name!r}",
        f"nodes: {', '.join(names)}",
        f"did you mean {near[0]!r}?" if near else None,
    )
