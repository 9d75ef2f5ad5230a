"""What limits the brokers of a cluster, asked of the brokers themselves: for nodes that no supervisor looks after."""

from collections.abc import Mapping

import trio

from rmqctl.client.admin.replication import runtime_info
from rmqctl.node_limits import limits_in
from rmqnode.net.client import RemotingClient


async def ask_limits(addresses: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Ask all brokers at once; what limits each that is limited and says so.

    Args:
        addresses: Node → where it listens.
    """
    found: dict[str, dict[str, str]] = {}

    async def ask(node: str, address: str) -> None:
        limits = limits_in(await runtime_info(client, address) or {})
        if limits:
            found[node] = limits

    async with RemotingClient() as client, trio.open_nursery() as nursery:
        for node, address in addresses.items():
            nursery.start_soon(ask, node, address)
    return found
