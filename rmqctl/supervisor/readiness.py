"""Whether nodes serve, asked in RocketMQ's own protocol; never inferred from a port or a log line.

A nameserver is ready when it answers. A broker is ready when it answers, and every nameserver lists it with the
address that clients are told, and, for a master, routes the topic that has the broker's name.
"""

from collections.abc import Collection

import msgspec

from rmqctl.profile.model import ClusterModel, Node, Role
from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import ClusterInfo, TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError

_ANSWER_SECONDS = 1.0
"""A node on this machine that takes longer is asked again in the next round."""


class _NameserverView(msgspec.Struct):
    """What one nameserver knows; filled as far as it is asked."""

    cluster: ClusterInfo
    routed: set[str]
    """Broker names whose topic is routed to their master."""


class ReadinessProbe:
    """Asks the nodes of one cluster over kept connections."""

    def __init__(self, client: RemotingClient, model: ClusterModel) -> None:
        self._client = client
        self._model = model
        self._nameservers = {node.name: node for node in model.nameservers}
        self._missing: dict[str, str] = {}

    def missing(self, name: str) -> str:
        """What the last round found missing at a node that is not ready."""
        return self._missing.get(name, "it was not asked yet")

    async def find_ready(self, names: Collection[str]) -> list[str]:
        """Ask once about each of these nodes; return those that are ready."""
        nodes = [node for node in self._model.nodes if node.name in names]
        views = {node.name: await self._view(node) for node in self._nameservers.values()}
        ready = []
        for node in nodes:
            problem = await self._problem(node, views)
            if problem is None:
                ready.append(node.name)
            else:
                self._missing[node.name] = problem
        return ready

    async def _problem(self, node: Node, views: dict[str, _NameserverView | None]) -> str | None:
        if node.role is Role.NAMESERVER:
            return None if views[node.name] is not None else f"it does not answer on {node.local_address}"
        for nameserver, view in views.items():
            if view is None:
                return f"{nameserver} does not answer"
            problem = await self._unregistered(node, nameserver, view)
            if problem is not None:
                return problem
        # A nameserver may still list the process that ran before this one.
        # One of Apache's cannot say how it runs in its first second, and fills its log when asked.
        code = RequestCode.GET_BROKER_CONFIG if node.engine == "apache" else RequestCode.GET_BROKER_RUNTIME_INFO
        if await self._ask(node, Command(code=code)) is None:
            return f"it does not answer on {node.local_address}"
        return None

    async def _unregistered(self, node: Node, nameserver: str, view: _NameserverView) -> str | None:
        assert node.broker_name is not None, "the node is a broker"
        assert node.broker_id is not None, "the node is a broker"
        listed = view.cluster.broker_addr_table.get(node.broker_name)
        if listed is None or listed.broker_addrs.get(node.broker_id) != self._model.advertised_address(node):
            return f"{nameserver} does not list it"
        if node.role is Role.SLAVE or node.broker_name in view.routed:
            return None
        if await self._routes(nameserver, node.broker_name):
            view.routed.add(node.broker_name)
            return None
        return f"{nameserver} does not route topic {node.broker_name} to it"

    async def _view(self, nameserver: Node) -> _NameserverView | None:
        answer = await self._ask(nameserver, Command(code=RequestCode.GET_BROKER_CLUSTER_INFO))
        if answer is None or answer.code != ResponseCode.SUCCESS:
            return None
        try:
            return _NameserverView(ClusterInfo.decode(answer.body), set())
        except ProtocolError:
            return None

    async def _routes(self, nameserver: str, broker_name: str) -> bool:
        request = Command(code=RequestCode.GET_ROUTEINTO_BY_TOPIC, ext_fields={"topic": broker_name})
        answer = await self._ask(self._nameservers[nameserver], request)
        if answer is None or answer.code != ResponseCode.SUCCESS:
            return False
        try:
            route = TopicRouteData.decode(answer.body)
        except ProtocolError:
            return False
        return any(data.broker_name == broker_name for data in route.queue_datas)

    async def _ask(self, node: Node, request: Command) -> Command | None:
        try:
            return await self._client.request(node.local_address, request, timeout_seconds=_ANSWER_SECONDS)
        except RemotingError:
            return None
