"""Which nodes start and stop after which."""

from collections.abc import Iterable

from rmqctl.profile.model import Node, Role

_START: tuple[tuple[Role, ...], ...] = ((Role.NAMESERVER,), (Role.MASTER, Role.SLAVE))
_STOP: tuple[tuple[Role, ...], ...] = ((Role.SLAVE,), (Role.MASTER,), (Role.NAMESERVER,))


def start_order(nodes: Iterable[Node]) -> list[list[str]]:
    """Names of the nodes in groups; a group starts when the one before it is ready.

    Brokers register with nameservers at start. Masters and slaves start together: a slave looks for its master
    again and again anyway.
    """
    return _groups(nodes, _START)


def stop_order(nodes: Iterable[Node]) -> list[list[str]]:
    """Names of the nodes in groups; a group stops when the one before it is gone.

    A slave goes before its master, so that the master is never seen without a reason; nameservers go last, so that
    brokers can unregister.
    """
    return _groups(nodes, _STOP)


def _groups(nodes: Iterable[Node], order: tuple[tuple[Role, ...], ...]) -> list[list[str]]:
    known = list(nodes)
    groups = [[node.name for node in known if node.role in roles] for roles in order]
    return [group for group in groups if group]
