"""The topics of a consumer: what it wants of each, and where each was when somebody last knew.

A route that was known is kept for as long as nobody gives a better one: nameservers forget a topic while its only
broker restarts, and consumption goes on when it is back. Source: `MQClientInstance#updateTopicRouteInfoFromNameServer`
(RocketMQ 4.5.2).
"""

import time
from collections.abc import Iterator
from typing import Final

import trio

from rmqctl.client.consumer.selector import Selector
from rmqctl.client.errors import ClientError, NoMaster, TopicNotFound
from rmqctl.client.routes import MASTER_ID, BrokerRoute, RouteTable, TopicRoute
from rmqnode.protocol.bodies import MessageQueue, SubscriptionData

_MISSING_SECONDS: Final = 1.0
"""How long a nameserver's word counts that it does not know a topic, or a broker: what is known serves meanwhile."""


class Topics:
    """Subscribed topics with their last known routes.

    Args:
        routes: The client's table of routes; topics that are looked up there are looked up again every 30 s.
    """

    def __init__(self, routes: RouteTable) -> None:
        self._table = routes
        self._selectors: dict[str, Selector] = {}
        self._versions: dict[str, int] = {}
        self._routes: dict[str, TopicRoute] = {}
        self._missing_until: dict[str, float] = {}
        self._looked_at: dict[str, float] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._selectors))

    def subscribe(self, selector: Selector) -> None:
        """Want a topic, or want something else of it."""
        self._selectors[selector.topic] = selector
        self.touch(selector.topic)

    def unsubscribe(self, topic: str) -> None:
        """Do not want a topic any more."""
        self._selectors.pop(topic, None)
        self._versions.pop(topic, None)

    def touch(self, topic: str) -> None:
        """Make the subscription newer than what brokers know of it, so that they take it over."""
        self._versions[topic] = max(time.time_ns() // 1_000_000, self._versions.get(topic, 0) + 1)

    def selector(self, topic: str) -> Selector | None:
        """Return what is wanted of a topic; None when it is not subscribed."""
        return self._selectors.get(topic)

    def version(self, topic: str) -> int:
        """Return the time of the last change of a subscription, ms since the epoch."""
        return self._versions.get(topic, 0)

    def subscriptions(self) -> list[SubscriptionData]:
        """Return all subscriptions as heartbeats tell them."""
        return [selector.subscription(self._versions[topic]) for topic, selector in self._selectors.items()]

    async def route(self, topic: str) -> TopicRoute | None:
        """Return the present route of a topic, or the last known one; None when it was never routed.

        Raises:
            NameserverUnreachable: None answers, and no route is known.
        """
        if trio.current_time() < self._missing_until.get(topic, 0):
            return self._routes.get(topic)
        try:
            route = await self._table.get(topic)
        except TopicNotFound:
            self._missing_until[topic] = trio.current_time() + _MISSING_SECONDS
            return self._routes.get(topic)
        except ClientError:
            if topic not in self._routes:
                raise
            return self._routes[topic]
        self._routes[topic] = route
        return route

    async def _part(self, queue: MessageQueue) -> BrokerRoute | None:
        route = await self.route(queue.topic)
        return None if route is None else route.broker(queue.broker_name)

    def _may_look(self, topic: str) -> bool:
        """Whether it is time to look a route up again that lacks a server: it may be back."""
        now = trio.current_time()
        if now < self._looked_at.get(topic, 0) + _MISSING_SECONDS:
            return False
        self._looked_at[topic] = now
        return True

    def doubt(self, topic: str) -> None:
        """Have the route looked up again when it is needed next: it led to a server that does not serve it."""
        route = self._table.current(topic)
        if route is not None:
            self._table.doubt(route)

    async def address(self, queue: MessageQueue, broker_id: int = MASTER_ID) -> tuple[int, str]:
        """Return broker id and address of the server of a queue: the one asked for, or any if it is not there.

        Raises:
            NoMaster: No broker of that name is known.
            NameserverUnreachable: None answers, and no route is known.
        """
        part = await self._part(queue)
        if (part is None or broker_id not in part.addresses) and self._may_look(queue.topic):
            self.doubt(queue.topic)
            part = await self._part(queue)
        if part is None or not part.addresses:
            raise NoMaster(
                f"{queue.broker_name} is not in the route of topic {queue.topic}",
                "it is down, or does not serve the topic any more",
                "start it and look again: rmqctl status",
            )
        if broker_id not in part.addresses:
            broker_id = min(part.addresses)
        return broker_id, part.addresses[broker_id]
