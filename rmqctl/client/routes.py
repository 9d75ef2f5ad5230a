"""Which brokers serve a topic, and with which queues: looked up at the nameservers, kept until it is found wrong.

Source: `TopicRouteData`, `MQClientInstance#topicRouteData2TopicPublishInfo`, `…SubscribeInfo` (RocketMQ 4.5.2).
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import trio

from rmqctl.client.connection import Answer, ClusterConnection
from rmqctl.client.errors import ClientError, NameserverUnreachable, NoMaster, TopicNotFound
from rmqnode.protocol.bodies import MessageQueue, Permission, TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import GetRouteInfoRequestHeader

MASTER_ID: Final = 0
"""Broker id of the master; slaves have the numbers above it."""

QUEUE_COUNT_MAX: Final = 65_536
"""More queues of one topic on one broker than anybody has: bounds what a route can make us allocate."""

_ROUTED_OR_NOT: Final = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.TOPIC_NOT_EXIST)})


class BrokerRoute(msgspec.Struct, frozen=True):
    """The part of a topic that one broker name serves. Its members are JSON of `rmqctl topic route --json`."""

    broker: str
    cluster: str
    addresses: dict[int, str]
    """`ip:port` by broker id; 0 is the master."""
    read_queues: int
    write_queues: int
    permission: int
    """4 read, 2 write, 1 inherit."""

    @property
    def master_address(self) -> str | None:
        """Where the master listens; None while it is not registered."""
        return self.addresses.get(MASTER_ID)

    @property
    def queue_count(self) -> int:
        """How many queues the broker takes messages for when one is named: consumers may read more than are written."""
        return max(self.read_queues, self.write_queues)

    @property
    def is_readable(self) -> bool:
        """Whether consumers may pull from it."""
        return bool(self.permission & Permission.READ)

    @property
    def is_writable(self) -> bool:
        """Whether producers send to it: that needs a master."""
        return bool(self.permission & Permission.WRITE) and self.master_address is not None


class TopicRoute(msgspec.Struct, frozen=True):
    """All brokers of one topic, ordered by name."""

    topic: str
    brokers: tuple[BrokerRoute, ...]
    order_conf: str | None = None
    """`broker-a:4;broker-b:4` of an ordered topic, when the nameserver is set up to say so."""

    def broker(self, name: str) -> BrokerRoute | None:
        """Return the part of one broker name."""
        return next((part for part in self.brokers if part.broker == name), None)

    def master_address(self, name: str) -> str:
        """Return the address of a broker name's master.

        Raises:
            NoMaster: It has none in this route.
        """
        part = self.broker(name)
        address = part.master_address if part is not None else None
        if address is None:
            raise NoMaster(
                f"{name} has no master in the route of topic {self.topic}",
                "only a master takes messages and offsets requests; it is down, or its nameserver has lost it",
                "start it and look again: rmqctl status",
            )
        return address

    def publish_queues(self) -> list[MessageQueue]:
        """Return the queues that producers send to, by broker name and queue id.

        Of an ordered topic these are the queues of its order configuration, in that order, whether or not their
        masters are there: else the messages of a key would go elsewhere when a broker goes away.
        """
        ordered = _ordered_queues(self.topic, self.order_conf) if self.order_conf else []
        return ordered or [
            MessageQueue(topic=self.topic, broker_name=part.broker, queue_id=queue_id)
            for part in self.brokers
            if part.is_writable
            for queue_id in range(part.write_queues)
        ]

    def subscribe_queues(self) -> list[MessageQueue]:
        """Return the queues that consumers read, by broker name and queue id."""
        return [
            MessageQueue(topic=self.topic, broker_name=part.broker, queue_id=queue_id)
            for part in self.brokers
            if part.is_readable
            for queue_id in range(part.read_queues)
        ]


def _ordered_queues(topic: str, order_conf: str) -> list[MessageQueue]:
    """The queues of `broker-a:4;broker-b:4`; none when it is not such a list."""
    pairs = [part.rpartition(":") for part in order_conf.split(";") if part]
    if not all(broker and count.isascii() and count.isdigit() for broker, _, count in pairs):
        return []
    if sum(int(count) for _, _, count in pairs) > QUEUE_COUNT_MAX:
        return []
    return [
        MessageQueue(topic=topic, broker_name=broker, queue_id=queue_id)
        for broker, _, count in pairs
        for queue_id in range(int(count))
    ]


class RouteTable:
    """The routes that were looked up so far.

    Args:
        connection: Open as long as the table is used.
        on_change: Called with a route that is new or differs from the one before.
    """

    def __init__(self, connection: ClusterConnection, on_change: Callable[[TopicRoute], None] | None = None) -> None:
        self._connection = connection
        self._on_change = on_change
        self._routes: dict[str, TopicRoute] = {}
        self._doubted: set[str] = set()
        self._looking_up: dict[str, trio.Lock] = {}

    @property
    def known(self) -> tuple[TopicRoute, ...]:
        """All routes that are kept at present."""
        return tuple(self._routes.values())

    def current(self, topic: str) -> TopicRoute | None:
        """Return the route that is kept, None when it has to be looked up (again)."""
        return None if topic in self._doubted else self._routes.get(topic)

    async def get(self, topic: str) -> TopicRoute:
        """Return the known route of a topic, or look it up; one that is in doubt is better than none, as in Java.

        Raises:
            TopicNotFound: No nameserver routes it, and no route is known.
            NameserverUnreachable: None answers, and no route is known.
        """
        route = self.current(topic)
        if route is not None:
            return route
        # Many senders may miss it at the same time: one of them asks.
        async with self._looking_up.setdefault(topic, trio.Lock()):
            route = self.current(topic)
            if route is not None:
                return route
            try:
                return await self.refresh(topic)
            except (NameserverUnreachable, TopicNotFound):
                # A nameserver that was just started knows nothing until brokers register, and a dead one says nothing.
                if topic not in self._routes:
                    raise
                self._doubted.discard(topic)
                return self._routes[topic]

    async def refresh(self, topic: str) -> TopicRoute:
        """Look the route of a topic up, and keep it. Errors as `get`; a known route stays then, in doubt."""
        route = await self._look_up(topic)
        if route is None:
            if topic in self._routes:
                self._doubted.add(topic)
            raise TopicNotFound(topic, self._connection.nameservers)
        is_change = self._routes.get(topic) != route
        self._routes[topic] = route
        self._doubted.discard(topic)
        if is_change and self._on_change is not None:
            self._on_change(route)
        return route

    async def refresh_known(self) -> None:
        """Look all routes that are kept up again; one for which nobody answers stays as it is."""
        for route in self.known:
            with suppress(ClientError):
                await self.refresh(route.topic)

    def doubt(self, route: TopicRoute) -> None:
        """Look a topic up again when its route is needed next: this one led to a server that can't serve it."""
        if self._routes.get(route.topic) is route:
            self._doubted.add(route.topic)

    async def look_up_at(self, nameserver: str, topic: str) -> TopicRoute | None:
        """Return the route that one nameserver gives, None when it has none; nothing is kept.

        Raises:
            NameserverUnreachable: It does not answer.
        """
        answer = await self._connection.ask_this_nameserver(
            nameserver, RequestCode.GET_ROUTEINTO_BY_TOPIC, _header(topic), success=_ROUTED_OR_NOT, topic=topic
        )
        return _route_of(topic, answer)

    async def _look_up(self, topic: str) -> TopicRoute | None:
        answer = await self._connection.ask_nameserver(
            RequestCode.GET_ROUTEINTO_BY_TOPIC, _header(topic), success=_ROUTED_OR_NOT, topic=topic
        )
        route = _route_of(topic, answer)
        if route is not None:
            return route
        # Nameservers do not know each other: one that was just restarted may lack what another still has.
        for nameserver in self._connection.nameservers:
            if nameserver != answer.address:
                try:
                    route = await self.look_up_at(nameserver, topic)
                except NameserverUnreachable:
                    continue
                if route is not None:
                    return route
        return None


def _header(topic: str) -> GetRouteInfoRequestHeader:
    return GetRouteInfoRequestHeader(topic=topic, accept_standard_json_only=True)


def _route_of(topic: str, answer: Answer) -> TopicRoute | None:
    if answer.code == ResponseCode.TOPIC_NOT_EXIST:
        return None
    data = answer.body(TopicRouteData)
    for queues in data.queue_datas:
        if max(queues.read_queue_nums, queues.write_queue_nums) > QUEUE_COUNT_MAX:
            raise answer.bad(f"it routes {queues.read_queue_nums} read and {queues.write_queue_nums} write queues")
    broker_datas = {broker.broker_name: broker for broker in data.broker_datas}
    parts = [
        BrokerRoute(
            broker=queues.broker_name,
            cluster=broker_datas[queues.broker_name].cluster,
            addresses=dict(sorted(broker_datas[queues.broker_name].broker_addrs.items())),
            read_queues=queues.read_queue_nums,
            write_queues=queues.write_queue_nums,
            permission=queues.perm,
        )
        for queues in data.queue_datas
        if queues.broker_name in broker_datas
    ]
    return TopicRoute(topic, tuple(sorted(parts, key=lambda part: part.broker)), data.order_topic_conf)
