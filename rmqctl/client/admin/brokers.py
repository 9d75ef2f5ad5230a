"""Asking single brokers: how they are configured, what they do, which producers are connected to them.

A broker is meant by its broker name: the master, or the slave with a broker id.
Source: `DefaultMQAdminExtImpl` (RocketMQ 4.5.2).
"""

from collections.abc import Mapping
from typing import Final

from rmqctl.client.admin.groups import GroupMember, member_of
from rmqctl.client.admin.topology import topology_of
from rmqctl.client.connection import SUCCESS, ClusterConnection
from rmqctl.client.errors import InvalidArgument, NoMaster
from rmqctl.client.routes import MASTER_ID
from rmqnode.protocol.bodies import ClusterInfo, KVTable, ProducerConnection
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import GetProducerConnectionListRequestHeader

_KNOWN_OR_NOT: Final = SUCCESS | {int(ResponseCode.SYSTEM_ERROR)}


class BrokerAdmin:
    """Requests to single brokers of one cluster.

    All methods raise InvalidArgument for a broker that is not registered, NoMaster for one without a master, and what
    `ClusterConnection.ask_broker` raises.
    """

    def __init__(self, connection: ClusterConnection) -> None:
        self._connection = connection

    async def config(self, broker: str, broker_id: int = MASTER_ID) -> dict[str, str]:
        """Return the configuration that a broker has now, by Apache's own keys."""
        address = await self._address(broker, broker_id)
        answer = await self._connection.ask_broker(broker, address, RequestCode.GET_BROKER_CONFIG)
        # Brokers write values as they are, without the escapes of a properties file.
        lines = answer.payload.decode("utf-8", "replace").splitlines()
        return dict(sorted(line.partition("=")[::2] for line in lines if "=" in line))

    async def update_config(self, broker: str, properties: Mapping[str, str], broker_id: int = MASTER_ID) -> None:
        """Change keys of a broker's configuration; it keeps them over restarts. A 4.5.2 broker ignores unknown keys."""
        # Loaded when it is needed: it takes longer than all of the client.
        from rmqnode.config.properties import render_properties

        address = await self._address(broker, broker_id)
        body = render_properties(properties).encode()
        await self._connection.ask_broker(broker, address, RequestCode.UPDATE_BROKER_CONFIG, body=body)

    async def runtime_info(self, broker: str, broker_id: int = MASTER_ID) -> dict[str, str]:
        """Return the figures that a broker gives of itself: version, rates, offsets, disk, queues of requests."""
        address = await self._address(broker, broker_id)
        answer = await self._connection.ask_broker(broker, address, RequestCode.GET_BROKER_RUNTIME_INFO)
        return dict(sorted(answer.body(KVTable).table.items()))

    async def producers(self, broker: str, group: str) -> list[GroupMember]:
        """Return the producers of a group that are connected to a broker now, by client id."""
        answer = await self._connection.ask_broker(
            broker,
            await self._address(broker, MASTER_ID),
            RequestCode.GET_PRODUCER_CONNECTION_LIST,
            GetProducerConnectionListRequestHeader(producer_group=group),
            success=_KNOWN_OR_NOT,
        )
        if answer.code == ResponseCode.SYSTEM_ERROR:
            # That is how a broker says that nobody of the group is connected.
            return []
        members = map(member_of, answer.body(ProducerConnection).connection_set)
        return sorted(members, key=lambda member: member.client_id)

    async def _address(self, broker: str, broker_id: int) -> str:
        answer = await self._connection.ask_nameserver(RequestCode.GET_BROKER_CLUSTER_INFO)
        groups = {group.name: group for group in topology_of(answer.body(ClusterInfo)).groups}
        if broker not in groups:
            raise InvalidArgument(
                f"there is no broker {broker}", f"registered are: {', '.join(groups) or 'none'}", "name one of them"
            )
        address = groups[broker].addresses.get(broker_id)
        if address is None:
            kind = "master" if broker_id == MASTER_ID else f"slave with broker id {broker_id}"
            raise NoMaster(f"{broker} has no {kind} now", "it is down, or not registered yet", "rmqctl status")
        return address
