"""Draining of a broker: clients are told to send elsewhere, and get the time to do so, before it stops.

The nameservers take the write permission from all its queues (WIPE_WRITE_PERM_OF_BROKER). Clients notice when they ask
for routes again, every 30 s by default; then sends that are on their way are waited for. The permission comes back
with the registration of a restarted broker: unregistering at its stop made the nameservers forget what they had wiped
(`RouteInfoManager#registerBroker`, RocketMQ 4.5.2 takes all topics of a broker id that is new). Only where a broker
had no time to unregister, or where draining was given up, it is given back by ADD_WRITE_PERM_OF_BROKER, which
nameservers know since 4.9, or else by letting the broker register anew.
"""

from collections.abc import Awaitable, Callable

import trio

from rmqctl.profile.model import ClusterModel, Node, Role
from rmqctl.supervisor.messages import DrainProgress
from rmqctl.supervisor.nodes.plan import CurrentPlan
from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import KVTable, Permission, TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers import WipeWritePermOfBrokerRequestHeader

_TICK_SECONDS = 1.0
_WIPE_AGAIN_TICKS = 5
"""A topic that is created meanwhile makes the broker register everything anew, with write permission."""
_QUIET_SECONDS = 1.0
"""A log that did not grow for so long has no sends on their way."""
_QUIET_SECONDS_MAX = 10.0
"""Delayed messages and retries of consumers may make it grow for ever."""
_ANSWER_SECONDS = 2.0

Tell = Callable[[DrainProgress], Awaitable[None]]


def takes_messages_elsewhere(model: ClusterModel, node: Node, serves: Callable[[str], bool]) -> bool:
    """Whether clients have another master to send to."""
    return any(
        other.role is Role.MASTER and other.name != node.name and serves(other.name) and _is_writable(other)
        for other in model.brokers
    )


def _is_writable(node: Node) -> bool:
    return bool(int(node.properties.get("brokerPermission", "6")) & Permission.WRITE)


class Drainer:
    """Wipes and restores write permission, and waits in between.

    Args:
        client: Its owner opens it.
        plan: The cluster.
    """

    def __init__(self, client: RemotingClient, plan: CurrentPlan) -> None:
        self._client = client
        self._plan = plan

    async def drain(self, node: Node, seconds: float, tell: Tell) -> None:
        """Return when clients have had `seconds` to notice and nothing is on its way any more."""
        deadline = trio.current_time() + seconds
        ticks = 0
        while (left := deadline - trio.current_time()) > 0:
            if ticks % _WIPE_AGAIN_TICKS == 0:
                await self._permission(RequestCode.WIPE_WRITE_PERM_OF_BROKER, node, self._plan.model.nameservers)
            await tell(DrainProgress(node=node.name, waits_for="clients to ask for routes again", seconds_left=left))
            await trio.sleep(min(left, _TICK_SECONDS))
            ticks += 1
        await self._wait_quiet(node, tell)

    async def _wait_quiet(self, node: Node, tell: Tell) -> None:
        deadline = trio.current_time() + _QUIET_SECONDS_MAX
        before = await self._log_end(node)
        while before is not None and (left := deadline - trio.current_time()) > 0:
            await tell(DrainProgress(node=node.name, waits_for="sends on their way", seconds_left=left))
            await trio.sleep(_QUIET_SECONDS)
            now = await self._log_end(node)
            if now == before:
                return
            before = now

    async def _log_end(self, node: Node) -> str | None:
        answer = await self._ask(node, Command(code=RequestCode.GET_BROKER_RUNTIME_INFO))
        if answer is None:
            return None
        try:
            return KVTable.decode(answer.body).table.get("commitLogMaxOffset")
        except ProtocolError:
            return None

    async def restore(self, node: Node) -> list[str]:
        """Give the write permission back where a nameserver has it not; names of nameservers that cannot."""
        if not _is_writable(node):
            return []
        await self._permission(RequestCode.ADD_WRITE_PERM_OF_BROKER, node, await self._not_permitting(node))
        if await self._not_permitting(node):
            await self._let_register_anew(node)
        return [nameserver.name for nameserver in await self._not_permitting(node)]

    async def _not_permitting(self, node: Node) -> list[Node]:
        return [each for each in self._plan.model.nameservers if not await self._is_write_permitted(each, node)]

    async def _let_register_anew(self, node: Node) -> None:
        """Let a broker register all its topics as changed; nameservers before 4.9 know no better way.

        Source: `AdminBrokerProcessor#updateBrokerConfig` (RocketMQ 4.5.2) does so whenever it is told a permission.
        """
        permission = f"brokerPermission={node.properties.get('brokerPermission', '6')}\n"
        await self._ask(node, Command(code=RequestCode.UPDATE_BROKER_CONFIG, body=permission.encode()))

    async def _is_write_permitted(self, nameserver: Node, node: Node) -> bool:
        """Whether the broker's own topic, which is always writable, is; True where nobody can say."""
        assert node.broker_name is not None, "the node is a broker"
        request = Command(code=RequestCode.GET_ROUTEINTO_BY_TOPIC, ext_fields={"topic": node.broker_name})
        answer = await self._ask(nameserver, request)
        if answer is None or answer.code != ResponseCode.SUCCESS:
            return True
        try:
            queues = TopicRouteData.decode(answer.body).queue_datas
        except ProtocolError:
            return True
        return all(each.perm & Permission.WRITE for each in queues if each.broker_name == node.broker_name)

    async def _permission(self, code: RequestCode, node: Node, nameservers: list[Node]) -> None:
        # Apache's nameservers leave a request that they do not know without an answer.
        async with trio.open_nursery() as nursery:
            for nameserver in nameservers:
                nursery.start_soon(self._ask, nameserver, _permission_command(code, node))

    async def _ask(self, node: Node, request: Command) -> Command | None:
        try:
            return await self._client.request(node.local_address, request, timeout_seconds=_ANSWER_SECONDS)
        except RemotingError:
            # It does not serve, so it sends no client anywhere.
            return None


def _permission_command(code: RequestCode, node: Node) -> Command:
    assert node.broker_name is not None, "the node is a broker"
    header = WipeWritePermOfBrokerRequestHeader(broker_name=node.broker_name)
    return Command(code=code, ext_fields=header_to_ext_fields(header))
