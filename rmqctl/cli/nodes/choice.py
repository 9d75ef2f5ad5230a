"""Which nodes a command means: by name, or by role and broker name together."""

from collections.abc import Sequence
from typing import Annotated

import typer

from rmqctl.cli.nodes.conf import find_node
from rmqctl.errors import UsageError
from rmqctl.profile.model import ClusterModel, Node, Role

NodesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NODE]…", help="Names of nodes, as in rmqctl status.")
]

RoleOption = Annotated[
    str | None,
    typer.Option("--role", metavar="ROLE", help="All nodes of a role: nameserver, master, slave, or broker for both."),
]

BrokerOption = Annotated[
    str | None, typer.Option("--broker", metavar="NAME", help="All nodes of a broker name; with --role, those of both.")
]

_ROLES: dict[str, tuple[Role, ...]] = {
    "nameserver": (Role.NAMESERVER,),
    "master": (Role.MASTER,),
    "slave": (Role.SLAVE,),
    "broker": (Role.MASTER, Role.SLAVE),
}


def choose_nodes(
    model: ClusterModel, names: Sequence[str] | None, role: str | None, broker: str | None, verb: str
) -> list[Node]:
    """The nodes that are meant, in start order.

    Args:
        model: The cluster.
        names: Their names.
        role: A role, a broker name or both choose them instead.
        broker: As above.
        verb: What is to be done to them, for errors.

    Raises:
        UsageError: Nothing was named, or something that the cluster does not have.
    """
    if names:
        if role or broker:
            raise UsageError("nodes were named twice", "by name, and by --role or --broker", "give one of them")
        chosen = {find_node(model, name).name for name in names}
        return [node for node in model.nodes if node.name in chosen]
    if not role and not broker:
        raise UsageError(
            f"rmqctl {verb} needs to know which nodes",
            f"this cluster has {', '.join(node.name for node in model.nodes)}",
            f"rmqctl {verb} {model.nodes[-1].name}, or --role slave, or --broker {model.brokers[0].broker_name}",
        )
    found = [node for node in model.nodes if _has_role(node, role) and broker in (None, node.broker_name)]
    if not found:
        said = [f"--role {role}"] * bool(role) + [f"--broker {broker}"] * bool(broker)
        names_of_brokers = dict.fromkeys(str(node.broker_name) for node in model.brokers)
        raise UsageError(
            f"no node of cluster {model.name} is meant by {' '.join(said)}",
            f"broker names: {', '.join(names_of_brokers)}; nodes: {', '.join(node.name for node in model.nodes)}",
        )
    return found


def _has_role(node: Node, role: str | None) -> bool:
    if role is None:
        return True
    if role not in _ROLES:
        raise UsageError(f"--role {role}: there is no such role", f"roles: {', '.join(_ROLES)}")
    return node.role in _ROLES[role]
