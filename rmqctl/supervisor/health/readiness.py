"""Whether nodes serve, asked in RocketMQ's own protocol; never inferred from a port or a log line.

A nameserver is ready when it answers. A broker is ready when it answers; when every nameserver of its that runs lists
it with the address that clients are told and, for a master, routes the topic that has the broker's name; and, for a
slave that tells, when it follows its master, if that has a process. A slave whose log does not fit its master's serves
what it has: it is limited, which is no reason to wait. Apache's nodes tell neither.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import trio

from rmqctl.node_limits import DISK, limits_in
from rmqctl.profile.model import Node, Role
from rmqctl.supervisor.nodes.plan import CurrentPlan
from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import ClusterInfo, KVTable, TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError


class Finding(NamedTuple):
    """What a look at one node gave."""

    answers: bool
    """It answered."""
    lack: str | None
    """What it lacks to be ready, in words; None for nothing."""
    problem: str | None = None
    """What is wrong with it though it may be ready."""
    limits: Mapping[str, str] = MappingProxyType({})
    """What keeps it from serving all though it is ready, and why, as it says itself."""


class _NameserverView(msgspec.Struct):
    """What one nameserver knows; filled as far as it is asked."""

    cluster: ClusterInfo
    routed: set[str]
    """Broker names whose topic is routed to their master."""


class ReadinessProbe:
    """Asks the nodes of one cluster over kept connections.

    Args:
        client: Makes and keeps the connections.
        plan: The cluster.
        runs: Whether a node is supposed to run; those that are not are nobody's fault.
        is_up: Whether a node has a process that serves or soon will.
    """

    def __init__(
        self,
        client: RemotingClient,
        plan: CurrentPlan,
        runs: Callable[[str], bool],
        is_up: Callable[[str], bool],
    ) -> None:
        self._client = client
        self._plan = plan
        self._runs = runs
        self._is_up = is_up

    async def examine(
        self, names: Collection[str], answer_seconds: float, on_found: Callable[[str, Finding], None]
    ) -> None:
        """Look at each of these nodes once, all at the same time.

        Args:
            names: Which nodes.
            answer_seconds: How long each answer may take.
            on_found: Told about each node as soon as it is known: one that hangs holds nobody up.
        """
        round_ = _Round(self._client, self._plan, answer_seconds)
        nodes = [node for node in self._plan.model.nodes if node.name in names]
        nameservers = [
            node
            for node in self._plan.model.nameservers
            if node in nodes or (self._runs(node.name) and any(each.role is not Role.NAMESERVER for each in nodes))
        ]

        # What a nameserver says is asked while brokers are asked too, and awaited where it is needed.
        async def look_at(node: Node) -> None:
            if node.role is Role.NAMESERVER:
                answers = await round_.view_of(node) is not None
                on_found(node.name, Finding(answers, None if answers else _mute(node)))
            else:
                relevant = [each for each in nameservers if self._runs(each.name) and self._knows(node, each)]
                on_found(node.name, await round_.examine_broker(node, relevant, self._master_is_up(node)))

        async with trio.open_nursery() as nursery:
            for nameserver in nameservers:
                nursery.start_soon(round_.view, nameserver)
            for node in nodes:
                nursery.start_soon(look_at, node)

    def _knows(self, broker: Node, nameserver: Node) -> bool:
        """Whether a broker was told of a nameserver; while a cluster changes, some were not yet."""
        address = f"{self._plan.model.broker_ip}:{nameserver.listen_port}"
        return address in broker.properties.get("namesrvAddr", "").split(";")

    def _master_is_up(self, slave: Node) -> bool:
        masters = (node for node in self._plan.model.brokers if node.role is Role.MASTER)
        return any(node.broker_name == slave.broker_name and self._is_up(node.name) for node in masters)


class _Round:
    """One look at several nodes: what a nameserver says is asked once for all of them."""

    def __init__(self, client: RemotingClient, plan: CurrentPlan, answer_seconds: float) -> None:
        self._client = client
        self._plan = plan
        self._answer_seconds = answer_seconds
        self._views: dict[str, _NameserverView | None] = {}
        self._viewed: dict[str, trio.Event] = {}

    async def view(self, nameserver: Node) -> None:
        """Ask a nameserver what it knows, for everybody who waits for it in `view_of`."""
        self._views[nameserver.name] = await self._view(nameserver)
        self._viewed.setdefault(nameserver.name, trio.Event()).set()

    async def view_of(self, nameserver: Node) -> _NameserverView | None:
        """What a nameserver knows; None when it does not answer."""
        await self._viewed.setdefault(nameserver.name, trio.Event()).wait()
        return self._views[nameserver.name]

    async def examine_broker(self, node: Node, nameservers: list[Node], master_is_up: bool) -> Finding:
        # One of Apache's cannot say how it runs in its first second, and fills its log when asked.
        code = RequestCode.GET_BROKER_CONFIG if node.engine == "apache" else RequestCode.GET_BROKER_RUNTIME_INFO
        answer = await self._ask(node, Command(code=code))
        if answer is None:
            return Finding(False, _mute(node))
        info = {} if node.engine == "apache" else _table_of(answer)
        limits = limits_in(info)
        for nameserver in nameservers:
            view = await self.view_of(nameserver)
            if view is None:
                # Its problem, not the broker's.
                return Finding(True, f"{nameserver.name} does not answer", limits=limits)
            lack = await self._unregistered(node, nameserver, view)
            if lack is not None:
                return Finding(True, lack, lack, limits)
        # A slave without disk space cannot follow, and is limited for that reason; it serves what it has.
        follows = node.role is Role.SLAVE and master_is_up and DISK not in limits
        lack = _not_following(info) if follows else None
        return Finding(True, lack, lack, limits)

    async def _unregistered(self, node: Node, nameserver: Node, view: _NameserverView) -> str | None:
        assert node.broker_name is not None, "the node is a broker"
        assert node.broker_id is not None, "the node is a broker"
        listed = view.cluster.broker_addr_table.get(node.broker_name)
        if listed is None or listed.broker_addrs.get(node.broker_id) != self._plan.model.advertised_address(node):
            return f"{nameserver.name} does not list it"
        if node.role is Role.SLAVE or node.broker_name in view.routed:
            return None
        if await self._routes(nameserver, node.broker_name):
            view.routed.add(node.broker_name)
            return None
        return f"{nameserver.name} does not route topic {node.broker_name} to it"

    async def _view(self, nameserver: Node) -> _NameserverView | None:
        answer = await self._ask(nameserver, Command(code=RequestCode.GET_BROKER_CLUSTER_INFO))
        if answer is None or answer.code != ResponseCode.SUCCESS:
            return None
        try:
            return _NameserverView(ClusterInfo.decode(answer.body), set())
        except ProtocolError:
            return None

    async def _routes(self, nameserver: Node, broker_name: str) -> bool:
        request = Command(code=RequestCode.GET_ROUTEINTO_BY_TOPIC, ext_fields={"topic": broker_name})
        answer = await self._ask(nameserver, request)
        if answer is None or answer.code != ResponseCode.SUCCESS:
            return False
        try:
            route = TopicRouteData.decode(answer.body)
        except ProtocolError:
            return False
        return any(data.broker_name == broker_name for data in route.queue_datas)

    async def _ask(self, node: Node, request: Command) -> Command | None:
        try:
            return await self._client.request(node.local_address, request, timeout_seconds=self._answer_seconds)
        except RemotingError:
            return None


def _mute(node: Node) -> str:
    return f"it does not answer on {node.local_address}"


def _table_of(runtime_info: Command) -> Mapping[str, str]:
    """What a broker of ours says of itself."""
    try:
        return KVTable.decode(runtime_info.body).table
    except ProtocolError:
        return {}


def _not_following(info: Mapping[str, str]) -> str | None:
    """What a slave lacks that is not connected to its master; one that refuses its log is limited and lacks nothing."""
    state, said = info.get("haState", "following"), info.get("haProblem")
    if state in ("refused", "following"):
        return None
    return f"it is not connected to its master: {said}" if said else "it is not connected to its master"
