"""Who is connected: producer groups and consumer groups with their members and subscriptions.

A member is a connection; heartbeats renew it, closing the connection or 120 s of silence remove it.
Source: `ProducerManager`, `ConsumerManager`, `ConsumerGroupInfo` (RocketMQ 4.5.2).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from rmqnode.broker.subscriptions import Selection, tag_selection
from rmqnode.net.connection import Connection
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


class ConsumerGroup:
    """The members of a consumer group and what the group subscribes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.consume_type: ConsumeType | None = None
        self.message_model: MessageModel | None = None
        self.consume_from_where: ConsumeFromWhere | None = None
        self.members: dict[Connection, Member] = {}
        self.subscriptions: dict[str, SubscriptionData] = {}
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
    """

    def __init__(self, clock: Callable[[], float], on_members_changed: Callable[[ConsumerGroup], None]) -> None:
        self._clock = clock
        self._on_members_changed = on_members_changed
        self._producers: dict[str, dict[Connection, Member]] = {}
        self._consumers: dict[str, ConsumerGroup] = {}
        self._producer_connections: dict[str, Connection] = {}
        self._producer_ids: dict[Connection, str] = {}

    def register_producer(self, group: str, connection: Connection, member: Member) -> None:
        """Add or renew a producer."""
        self._producers.setdefault(group, {})[connection] = member
        if self._producer_ids.get(connection) != member.client_id:
            self._forget_producer_id(connection)
            self._producer_ids[connection] = member.client_id
        self._producer_connections[member.client_id] = connection

    def register_consumer(self, data: ConsumerData, connection: Connection, member: Member) -> None:
        """Add or renew a consumer with its subscriptions."""
        group = self._consumers.setdefault(data.group_name, ConsumerGroup(data.group_name))
        is_new = connection not in group.members
        group.members[connection] = member
        if group.update(data) or is_new:
            self._on_members_changed(group)

    def unregister_producer(self, group: str, connection: Connection) -> None:
        """Remove a producer of this connection."""
        members = self._producers.get(group, {})
        members.pop(connection, None)
        if not members:
            self._producers.pop(group, None)

    def unregister_consumer(self, name: str, connection: Connection) -> None:
        """Remove a consumer of this connection and let the rest of its group know."""
        group = self._consumers.get(name)
        if group is None or group.members.pop(connection, None) is None:
            return
        if not group.members:
            del self._consumers[name]
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
