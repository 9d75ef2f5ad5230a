"""One command's conversation with a cluster: find out which is meant, connect, do the work, disconnect.

This is where the synchronous command line meets the trio client.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from rmqctl.client.addresses import parse_remap
from rmqctl.client.client import Client
from rmqctl.client.connection import REQUEST_TIMEOUT_SECONDS, ClusterConnection
from rmqctl.target import Target, resolve_target
from rmqnode.logs import keep_last_resort_plain

T = TypeVar("T")

# Why a connection broke is part of the command's error; nobody needs the line of a server's log beside it.
logging.getLogger("rmqnode.net").setLevel(logging.CRITICAL)
keep_last_resort_plain()


def choose_target(
    cluster: str | None, nameserver: str | None, home: Path | None, remap: Sequence[str] | None = None
) -> Target:
    """Return the cluster that the options of a command mean; errors as `resolve_target` and `parse_remap`."""
    target = resolve_target(cluster=cluster, nameserver=nameserver, home=home)
    return target if not remap else msgspec.structs.replace(target, remap=parse_remap(remap))


def run_session(
    target: Target,
    work: Callable[[ClusterConnection], Awaitable[T]],
    *,
    request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> T:
    """Connect to a cluster and do some work on it; returns what the work returns.

    Raises:
        ClientError: What the work raised, as it is.
        KeyboardInterrupt: Ctrl-C.
    """
    return run_client_session(
        target, lambda client: work(client.connection), request_timeout_seconds=request_timeout_seconds
    )


def run_client_session(
    target: Target,
    work: Callable[[Client], Awaitable[T]],
    *,
    request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> T:
    """As `run_session`, for work that needs producers or consumers."""

    async def connect_and_work() -> T:
        async with Client(target.nameservers, timeout_seconds=request_timeout_seconds, remap=target.remap) as client:
            return await work(client)

    try:
        return trio.run(connect_and_work)
    except BaseExceptionGroup as group:
        # Ctrl-C may strike inside any task; the group around it says nothing to a user.
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None
        raise
