"""Which queues of a topic are a member's, now: asked from the brokers, or chosen by the application.

Source: `RebalanceImpl#rebalanceByTopic`, `MQClientInstance#findConsumerIdList` (RocketMQ 4.5.2).
"""

import random
from collections.abc import Iterable
from typing import Protocol

from rmqctl.client.consumer.allocation import allocate_averagely
from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.errors import ClientError
from rmqctl.client.routes import TopicRoute
from rmqnode.protocol.bodies import MessageQueue


class Shares(Protocol):
    """Says which queues a member shall have."""

    @property
    def has_others(self) -> bool:
        """Whether there were other members when queues were last shared."""

    async def of_topic(self, topic: str) -> list[MessageQueue] | None:
        """Return the member's queues of a topic; None when that can't be known yet.

        Raises:
            ClientError: Nobody answers.
        """


class ChosenShares:
    """Queues that the application chose."""

    def __init__(self, queues: Iterable[MessageQueue]) -> None:
        self._queues = sorted(set(queues))
        self.has_others = False

    async def of_topic(self, topic: str) -> list[MessageQueue]:
        """Return those of the topic."""
        return [queue for queue in self._queues if queue.topic == topic]


class GroupShares:
    """Queues that the members of a group share, or all of them for each when it is broadcasting."""

    def __init__(self, member: GroupMember) -> None:
        self._member = member
        self.has_others = False

    async def of_topic(self, topic: str) -> list[MessageQueue] | None:
        """Return the member's queues of a topic; None when nobody routes it or knows the group.

        Raises:
            ClientError: Nobody answers.
        """
        route = await self._member.topics.route(topic)
        if route is None:
            return None
        queues = route.subscribe_queues()
        if self._member.is_broadcasting:
            return queues
        members = await self._members(route)
        if self._member.client_id not in members:
            # We are new, or the broker has just been started and knows only who told it since.
            await self._member.beat()
            members = await self._members(route)
        self.has_others = len(members) > 1
        return allocate_averagely(self._member.client_id, members, queues) if members else None

    async def _members(self, route: TopicRoute) -> list[str]:
        """Return the client ids of the group that a broker knows: a random master, the next if it does not answer."""
        failure: ClientError | None = None
        parts = [part for part in route.brokers if part.addresses]
        for part in random.sample(parts, len(parts)):
            try:
                members = await self._member.requests.members(part.broker, part.addresses[min(part.addresses)])
            except ClientError as error:
                failure = error
                self._member.topics.doubt(route.topic)
                continue
            if members:
                return members
        if failure is not None:
            raise failure
        return []
