"""Administration of topics: create and change, list, describe, delete. What brokers and nameservers are told and asked.

Nothing is reported done on a guess: a created topic is waited for until every nameserver routes it as asked, because
a 4.5.2 broker answers before it applies the change. Source: `DefaultMQAdminExtImpl` (RocketMQ 4.5.2).
"""

from collections.abc import Callable
from typing import Final

import msgspec
import trio

from rmqctl.client.admin.order_config import delete_order_config, put_order_config
from rmqctl.client.admin.topology import Topology, topology_of
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import InvalidArgument, NameserverUnreachable, NotRoutedInTime
from rmqctl.client.names import AUTO_CREATE_TOPIC, check_own_topic, check_topic
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.routes import QUEUE_COUNT_MAX, BrokerRoute, RouteTable, TopicRoute
from rmqnode.protocol.bodies import ClusterInfo, MessageQueue, Permission, TopicFilterType, TopicList, TopicStatsTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import CreateTopicRequestHeader, DeleteTopicInNamesrvRequestHeader, TopicRequestHeader

READ_WRITE: Final = int(Permission.READ | Permission.WRITE)

ROUTED_SECONDS: Final = 10.0
"""How long a change of a topic may take until every nameserver shows it."""

_POLL_INTERVAL_SECONDS: Final = 0.01
"""First wait between two looks at a nameserver's route; doubled each time."""

_POLL_INTERVAL_SECONDS_MAX: Final = 0.2

_HAS_TOPIC_OR_NOT: Final = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.TOPIC_NOT_EXIST)})


class TopicSpec(msgspec.Struct, frozen=True):
    """How a topic shall be on each of its masters."""

    topic: str
    read_queues: int = 4
    write_queues: int = 4
    permission: int = READ_WRITE
    """4 read, 2 write, 1 inherit."""
    order: bool = False
    """Ordered: the nameservers keep which brokers serve it with how many queues."""


class QueueState(msgspec.Struct, frozen=True):
    """How far one queue reaches. Its members are JSON of `rmqctl topic describe --json`."""

    broker: str
    queue_id: int
    min_offset: int
    max_offset: int
    last_update_timestamp: int | None
    """Store time of the last message in ms of the epoch; None when there is none, or the broker does not say."""


class TopicAdmin:
    """Requests about topics to the servers of one cluster.

    Args:
        connection: Open as long as this is used.
        routes: To share a table of routes; None makes one.
    """

    def __init__(self, connection: ClusterConnection, routes: RouteTable | None = None) -> None:
        self._connection = connection
        self.routes = RouteTable(connection) if routes is None else routes

    async def topology(self) -> Topology:
        """Return all brokers that the nameserver knows."""
        answer = await self._connection.ask_nameserver(RequestCode.GET_BROKER_CLUSTER_INFO)
        return topology_of(answer.body(ClusterInfo))

    async def create(
        self, spec: TopicSpec, *, broker: str | None = None, timeout_seconds: float = ROUTED_SECONDS
    ) -> dict[str, str]:
        """Create a topic, or give it these counts and this permission, and wait until all nameservers route it so.

        Args:
            spec: Checked before anything is sent.
            broker: A broker name; `all` for every master; None for every master of the only cluster.
            timeout_seconds: For the wait at the end.

        Returns:
            Address by broker name of the masters that have the topic now.

        Raises:
            InvalidArgument: The name or a number is not allowed, or no broker is clearly meant.
            NotRoutedInTime: The brokers took the change, but a nameserver does not show it yet.
            ClientError: A broker or nameserver can't be reached or refuses.
        """
        check_spec(spec)
        masters = (await self.topology()).masters_of(broker)
        if spec.order:
            await put_order_config(self._connection, spec.topic, dict.fromkeys(masters, spec.write_queues))
        header = CreateTopicRequestHeader(
            topic=spec.topic,
            default_topic=AUTO_CREATE_TOPIC,
            read_queue_nums=spec.read_queues,
            write_queue_nums=spec.write_queues,
            perm=spec.permission,
            topic_filter_type=TopicFilterType.SINGLE_TAG,
            topic_sys_flag=0,
            order=spec.order,
        )
        code = RequestCode.UPDATE_AND_CREATE_TOPIC
        for name, address in masters.items():
            await self._connection.ask_broker(name, address, code, header, topic=spec.topic)
        await self._wait_until_routed(spec, tuple(masters), timeout_seconds)
        return masters

    async def names(self) -> list[str]:
        """Return the names of all topics, those of the system and of clients included, in order."""
        answer = await self._connection.ask_nameserver(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)
        return sorted(answer.body(TopicList).topic_list)

    async def describe(self, topic: str) -> list[QueueState]:
        """Return the state of every queue on every master that routes the topic, by broker name and queue id.

        Raises:
            TopicNotFound: No nameserver routes it.
            NoMaster: A broker of the topic has no master, so that nobody knows its offsets.
        """
        route = await self.routes.refresh(check_topic(topic))
        states: list[QueueState] = []
        for part in route.brokers:
            states += await self._queue_states(route, part)
        return states

    async def delete(self, topic: str, *, timeout_seconds: float = ROUTED_SECONDS) -> list[str]:
        """Delete a topic from the masters that route it and from every nameserver, with its order configuration.

        Returns:
            Names of the brokers that had it.

        Raises:
            InvalidArgument: It is a system topic.
            TopicNotFound: No nameserver routes it.
            NoMaster: A broker of the topic has no master: it would come back with it.
            NotRoutedInTime: A nameserver still routes it after `timeout_seconds`.
        """
        route = await self.routes.refresh(check_own_topic(topic))
        masters = {part.broker: route.master_address(part.broker) for part in route.brokers}
        for name, address in masters.items():
            code = RequestCode.DELETE_TOPIC_IN_BROKER
            await self._connection.ask_broker(name, address, code, TopicRequestHeader(topic=topic), topic=topic)
        await delete_order_config(self._connection, topic)
        await self._connection.ask_every_nameserver(
            RequestCode.DELETE_TOPIC_IN_NAMESRV, DeleteTopicInNamesrvRequestHeader(topic=topic), topic=topic
        )
        await self._wait_until_gone(topic, timeout_seconds)
        return list(masters)

    async def _queue_states(self, route: TopicRoute, part: BrokerRoute) -> list[QueueState]:
        answer = await self._connection.ask_broker(
            part.broker,
            route.master_address(part.broker),
            RequestCode.GET_TOPIC_STATS_INFO,
            TopicRequestHeader(topic=route.topic),
            success=_HAS_TOPIC_OR_NOT,
            topic=route.topic,
        )
        table = {} if answer.code == ResponseCode.TOPIC_NOT_EXIST else answer.body(TopicStatsTable).offset_table
        by_id = {queue.queue_id: offsets for queue, offsets in table.items()}
        states: list[QueueState] = []
        for queue_id in range(max(part.read_queues, part.write_queues)):
            offsets = by_id.get(queue_id)
            if offsets is None:
                # The broker's table has write queues only; read queues beyond them hold what was written before.
                states.append(await self._read_queue_state(route, part.broker, queue_id))
                continue
            last_update = offsets.last_update_timestamp or None
            states.append(QueueState(part.broker, queue_id, offsets.min_offset, offsets.max_offset, last_update))
        return states

    async def _read_queue_state(self, route: TopicRoute, broker: str, queue_id: int) -> QueueState:
        offsets = QueueOffsets(self._connection, route)
        queue = MessageQueue(topic=route.topic, broker_name=broker, queue_id=queue_id)
        return QueueState(broker, queue_id, await offsets.first(queue), await offsets.next(queue), None)

    async def _wait_until_routed(self, spec: TopicSpec, brokers: tuple[str, ...], timeout_seconds: float) -> None:
        late = await self._wait_for_routes(
            spec.topic, lambda route: all(_has_as_asked(route, broker, spec) for broker in brokers), timeout_seconds
        )
        if late:
            raise NotRoutedInTime(
                f"topic {spec.topic} is not routed as asked by nameserver {' and '.join(late)}"
                f" after {timeout_seconds:g} s",
                "\n".join(filter(None, late.values()))
                or "the brokers took the change; they register it at once, and again every 30 s",
                f"look again: rmqctl topic route {spec.topic}; are the brokers registered there? rmqctl status",
            )

    async def _wait_until_gone(self, topic: str, timeout_seconds: float) -> None:
        late = await self._wait_for_routes(topic, lambda route: route is None, timeout_seconds)
        if late:
            raise NotRoutedInTime(
                f"topic {topic} is still routed by nameserver {' and '.join(late)} after {timeout_seconds:g} s",
                "\n".join(filter(None, late.values())) or "a broker that was not asked has it and registered it again",
                f"see which: rmqctl topic route {topic}; then delete it once more",
            )

    async def _wait_for_routes(
        self, topic: str, is_reached: Callable[[TopicRoute | None], bool], timeout_seconds: float
    ) -> dict[str, str]:
        """Wait until the route of every nameserver satisfies a condition.

        Returns:
            The nameservers whose route did not in time, and why one gave no answer at all.
        """
        late = dict.fromkeys(self._connection.nameservers, "")
        with trio.move_on_after(timeout_seconds):
            interval_seconds = _POLL_INTERVAL_SECONDS
            while late:
                for nameserver in tuple(late):
                    try:
                        if is_reached(await self.routes.look_up_at(nameserver, topic)):
                            del late[nameserver]
                    except NameserverUnreachable as error:
                        # It may be starting again: that is worth the time that the caller gave.
                        late[nameserver] = error.reasons[nameserver]
                if late:
                    await trio.sleep(interval_seconds)
                    interval_seconds = min(_POLL_INTERVAL_SECONDS_MAX, interval_seconds * 2)
        return late


def check_spec(spec: TopicSpec) -> None:
    """Check what a topic shall be.

    Raises:
        InvalidArgument: The name is illegal or the system's, a count is out of range, or nobody could use the topic.
    """
    check_own_topic(spec.topic)
    for name, count in (("read", spec.read_queues), ("write", spec.write_queues)):
        if not 1 <= count <= QUEUE_COUNT_MAX:
            raise InvalidArgument(
                f"topic {spec.topic} can't have {count} {name} queues",
                "a topic needs at least one queue on each master" if count < 1 else None,
                f"give a number from 1 to {QUEUE_COUNT_MAX}",
            )
    if not 0 < spec.permission < 8:
        raise InvalidArgument(f"{spec.permission} is no permission of a topic", cure="4 reads, 2 writes, 6 is both")


def _has_as_asked(route: TopicRoute | None, broker: str, spec: TopicSpec) -> bool:
    part = route.broker(broker) if route is not None else None
    return part is not None and (part.read_queues, part.write_queues, part.permission) == (
        spec.read_queues,
        spec.write_queues,
        spec.permission,
    )
