"""Who is connected: producer groups and consumer groups with their members and subscriptions.

A member is a connection; heartbeats renew it, closing the connection or 120 s of silence remove it. How many there
may be has a bound, and so has what they subscribe.
Source: `ProducerManager`, `ConsumerManager`, `ConsumerGroupInfo` (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from rmqnode.broker.budgets import Shares
from rmqnode.broker.subscriptions import Selection, tag_selection
from rmqnode.net.budgets import Budget
from rmqnode.net.connection import Connection
from rmqnode.net.refusals import full_error
from rmqnode.protocol.bodies import ConsumeFromWhere, ConsumerData, ConsumeType, MessageModel, SubscriptionData

EXPIRY_SECONDS: Final = 120.0
"""`CHANNEL_EXPIRED_TIMEOUT`."""


class Member(msgspec.Struct):
    """One client in a group."""

    client_id: str
    language: str
    version: int
    last_heartbeat: float
    """Seconds on the clock that the table was given."""


_SUBSCRIPTION_LENGTH: Final = 1024
"""A subscription counts once more for each so many characters that it has: they stay in memory too."""


def _weight(subscription: SubscriptionData) -> int:
    tags = len(subscription.tags_set) + len(subscription.code_set)
    return 1 + (len(subscription.sub_string or "") + len(subscription.topic) + 32 * tags) // _SUBSCRIPTION_LENGTH


class ConsumerGroup:
    """The members of a consumer group and what the group subscribes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.consume_type: ConsumeType | None = None
        self.message_model: MessageModel | None = None
        self.consume_from_where: ConsumeFromWhere | None = None
        self.members: dict[Connection, Member] = {}
        self.subscriptions: dict[str, SubscriptionData] = {}
        self.weight = 0
        """How much of the budget of subscriptions it takes."""
        self.selections: dict[str, Selection] = {}
        """For each topic which messages the subscribed tags let pass."""

    def update(self, data: ConsumerData) -> bool:
        """Take over a heartbeat's view of the group; True when its set of topics changed."""
        self.consume_type = data.consume_type
        self.message_model = data.message_model
        self.consume_from_where = data.consume_from_where
        topics = {subscription.topic for subscription in data.subscription_data_set}
        is_changed = topics != self.subscriptions.keys()
        for gone in self.subscriptions.keys() - topics:
            del self.subscriptions[gone], self.selections[gone]
        for subscription in data.subscription_data_set:
            known = self.subscriptions.get(subscription.topic)
            if known is None or subscription.sub_version > known.sub_version:
                self.subscriptions[subscription.topic] = subscription
                self.selections[subscription.topic] = tag_selection(subscription.sub_string, subscription.code_set)
        self.weight = sum(map(_weight, self.subscriptions.values()))
        return is_changed

    def would_change(self, data: ConsumerData) -> bool:
        """Whether a heartbeat brings another filter for a topic that the group subscribes already."""
        return any(
            (known := self.subscriptions.get(new.topic)) is not None
            and new.sub_version > known.sub_version
            and (new.sub_string, new.expression_type) != (known.sub_string, known.expression_type)
            for new in data.subscription_data_set
        )


class ClientTable:
    """All groups of a broker.

    Args:
        clock: Seconds, monotonic.
        on_members_changed: Called with a consumer group after a member joined or left, or its topics changed.
        places: How many members all groups may have together.
        subscriptions: How many topics the groups may subscribe together.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        on_members_changed: Callable[[ConsumerGroup], None],
        places: Budget,
        subscriptions: Budget,
    ) -> None:
        self._clock = clock
        self._on_members_changed = on_members_changed
        self._places = places
        self._subscriptions = subscriptions
        self._memberships: Shares[Connection] = Shares()
        self._producers: dict[str, dict[Connection, Member]] = {}
        self._consumers: dict[str, ConsumerGroup] = {}
        self._producer_connections: dict[str, Connection] = {}
        self._producer_ids: dict[Connection, str] = {}

    def register_producer(self, group: str, connection: Connection, member: Member) -> None:
        """Add or renew a producer.

        Raises:
            RequestError: There is no place for it.
        """
        if connection not in self._producers.get(group, {}):
            self._take_place(connection)
        self._producers.setdefault(group, {})[connection] = member
        if self._producer_ids.get(connection) != member.client_id:
            self._forget_producer_id(connection)
            self._producer_ids[connection] = member.client_id
        self._producer_connections[member.client_id] = connection

    def register_consumer(self, data: ConsumerData, connection: Connection, member: Member) -> None:
        """Add or renew a consumer with its subscriptions.

        Raises:
            RequestError: There is no place for it.
        """
        group = self._consumers.get(data.group_name) or ConsumerGroup(data.group_name)
        is_new = connection not in group.members
        self._check_subscriptions(group, data)
        if is_new:
            self._take_place(connection)
        self._consumers[data.group_name] = group
        group.members[connection] = member
        before = group.weight
        is_changed = group.update(data)
        self._subscriptions.used += group.weight - before
        if is_changed or is_new:
            self._on_members_changed(group)

    def _take_place(self, connection: Connection) -> None:
        """Count one more membership of a connection; the connection with far too many goes when there is no place."""
        if self._places.free <= 0:
            worst = self._memberships.worst_but(connection, self._places.maximum)
            if worst is None:
                self._places.refuse()
                raise full_error(self._places, "one more group of this client")
            worst.close(f"it is in {self._memberships[worst]} groups ({self._places.name}Max)")
            self._places.close()
            self.connection_closed(worst)
        self._places.used += 1
        self._memberships[connection] += 1

    def _give_place(self, connection: Connection) -> None:
        self._places.used -= 1
        self._memberships.give(connection, 1)

    def _check_subscriptions(self, group: ConsumerGroup, data: ConsumerData) -> None:
        """Refuse what would be too much; the members of the group with most go before one with less than its share."""
        growth = sum(map(_weight, data.subscription_data_set)) - group.weight
        if growth <= 0 or growth <= self._subscriptions.free:
            return
        share = self._subscriptions.maximum // (len(self._consumers) + 1)
        worst = max(self._consumers.values(), key=lambda each: each.weight, default=group)
        if group.weight + growth > share or 2 * worst.weight < 3 * share:
            self._subscriptions.refuse()
            raise full_error(self._subscriptions, f"{growth} more subscriptions of group {group.name}")
        self._subscriptions.close(len(worst.members))
        for connection in list(worst.members):
            connection.close(f"its group subscribes {worst.weight} topics ({self._subscriptions.name}Max)")
            self.connection_closed(connection)

    def unregister_producer(self, group: str, connection: Connection) -> None:
        """Remove a producer of this connection."""
        members = self._producers.get(group, {})
        if members.pop(connection, None) is not None:
            self._give_place(connection)
        if not members:
            self._producers.pop(group, None)

    def unregister_consumer(self, name: str, connection: Connection) -> None:
        """Remove a consumer of this connection and let the rest of its group know."""
        group = self._consumers.get(name)
        if group is None or group.members.pop(connection, None) is None:
            return
        self._give_place(connection)
        if not group.members:
            del self._consumers[name]
            self._subscriptions.used -= group.weight
        self._on_members_changed(group)

    def connection_closed(self, connection: Connection) -> None:
        """Remove everything that belongs to a connection."""
        self._forget_producer_id(connection)
        for group in list(self._producers):
            self.unregister_producer(group, connection)
        for name in list(self._consumers):
            self.unregister_consumer(name, connection)

    def silent_connections(self) -> list[Connection]:
        """Return connections of members without a heartbeat for `EXPIRY_SECONDS`."""
        limit = self._clock() - EXPIRY_SECONDS
        tables: Iterable[Mapping[Connection, Member]] = [
            *self._producers.values(),
            *(group.members for group in self._consumers.values()),
        ]
        return [
            connection for members in tables for connection, member in members.items() if member.last_heartbeat < limit
        ]

    def consumer_group(self, name: str) -> ConsumerGroup | None:
        """Return a consumer group that has members now."""
        return self._consumers.get(name)

    def producers(self, group: str) -> Mapping[Connection, Member]:
        """Return the members of a producer group, none when it is not online."""
        return self._producers.get(group, {})

    def producer_groups(self) -> Mapping[str, Mapping[Connection, Member]]:
        """Return all producer groups with their members."""
        return self._producers

    def producer_connection(self, client_id: str) -> Connection | None:
        """Return the connection of the client with this id, if it has a producer."""
        return self._producer_connections.get(client_id)

    def _forget_producer_id(self, connection: Connection) -> None:
        client_id = self._producer_ids.pop(connection, None)
        # The same client may be here again already, over another connection.
        if client_id is not None and self._producer_connections.get(client_id) is connection:
            del self._producer_connections[client_id]

    def groups_subscribing(self, topic: str) -> list[str]:
        """Return the consumer groups online that subscribe a topic."""
        return [name for name, group in self._consumers.items() if topic in group.subscriptions]
