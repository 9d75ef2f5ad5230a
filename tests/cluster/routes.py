"""What nameservers tell clients."""

from typing import Any

import trio

from rmqnode.net.client import RemotingClient
from rmqnode.protocol.bodies import Permission, TopicRouteData
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command


def write_permitted(cli: Any, broker_name: str) -> bool:
    """Whether the nameserver lets clients send to a broker's own topic."""

    async def ask() -> TopicRouteData:
        async with RemotingClient() as client:
            command = Command(code=RequestCode.GET_ROUTEINTO_BY_TOPIC, ext_fields={"topic": broker_name})
            return TopicRouteData.decode((await client.request(f"127.0.0.1:{9876 + cli.port_offset}", command)).body)

    (queues,) = trio.run(ask).queue_datas
    return bool(queues.perm & Permission.WRITE)
