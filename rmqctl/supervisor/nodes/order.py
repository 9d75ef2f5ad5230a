"""Which nodes start and stop after which."""

from collections.abc import Iterable

from rmqctl.profile.model import Node, Role

_STOP = (Role.SLAVE, Role.MASTER, Role.NAMESERVER)


def start_order(nodes: Iterable[Node]) -> list[list[str]]:
    """Names of the nodes in groups; a group starts when the one before it is ready.

    Brokers register with nameservers at start. Masters and slaves start together: a slave looks for its master
    again and again anyway. A slave of Apache's does so every 30 s only, hence it starts when its master is there.
    """
    groups: tuple[list[str], list[str], list[str]] = ([], [], [])
    for node in nodes:
        if node.role is Role.NAMESERVER:
            groups[0].append(node.name)
        else:
            groups[2 if node.role is Role.SLAVE and node.engine == "apache" else 1].append(node.name)
    return [group for group in groups if group]


def stop_order(nodes: Iterable[Node]) -> list[list[str]]:
    """Names of the nodes in groups; a group stops when the one before it is gone.

    A slave goes before its master, so that the master is never seen without a reason; nameservers go last, so that
    brokers can unregister.
    """
    known = list(nodes)
    groups = [[node.name for node in known if node.role is role] for role in _STOP]
    return [group for group in groups if group]
