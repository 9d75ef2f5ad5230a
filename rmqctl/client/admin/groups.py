"""Consumer groups: which there are, how they are configured, who is a member, and how far behind they are.

Each broker has groups of its own, so every question goes to all masters of the cluster at once. Questions that are
asked for people leave a broker out that does not answer, and say so; changes need all of them.
Source: `DefaultMQAdminExtImpl` (RocketMQ 4.5.2).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import msgspec

from rmqctl.client.admin.topics import TopicAdmin
from rmqctl.client.admin.topology import ALL_BROKERS, BrokerGroup
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import ClientError, GroupNotFound, InvalidArgument, NoMaster
from rmqctl.client.names import RETRY_PREFIX, check_new_group
from rmqctl.client.parallel import in_parallel
from rmqctl.client.routes import MASTER_ID
from rmqnode.broker import system_topics
from rmqnode.protocol.bodies import (
    Connection,
    ConsumerConnection,
    ConsumeStats,
    SubscriptionGroupConfig,
    SubscriptionGroupWrapper,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode, version_name
from rmqnode.protocol.headers import (
    DeleteSubscriptionGroupRequestHeader,
    GetConsumerListByGroupRequestHeader,
    GetConsumeStatsRequestHeader,
)

SYSTEM_GROUPS: Final = frozenset(
    {*system_topics.BUILT_IN_GROUPS, system_topics.TRANS_GROUP, "SELF_TEST_P_GROUP", "CLIENT_INNER_PRODUCER"}
)
"""Groups that brokers and clients have for themselves."""

_ONLINE_OR_NOT: Final = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.CONSUMER_NOT_ONLINE)})

T = TypeVar("T")


class GroupMember(msgspec.Struct, frozen=True):
    """One consumer that is connected now. Its members are JSON of `rmqctl group describe --json`."""

    client_id: str
    address: str
    """`ip:port` as a broker sees it."""
    language: str | None
    version: str
    """Release of its client library, as `4.9.7`."""


class GroupSubscription(msgspec.Struct, frozen=True, order=True):
    """What the members of a group say they want of one topic."""

    topic: str
    expression: str
    expression_type: str


class GroupMembers(msgspec.Struct, frozen=True):
    """Who consumes as a group now."""

    members: tuple[GroupMember, ...] = ()
    subscriptions: tuple[GroupSubscription, ...] = ()
    consume_type: str | None = None
    message_model: str | None = None
    consume_from_where: str | None = None


class QueueLag(msgspec.Struct, frozen=True):
    """How far a group is in one queue. Its members are JSON of `rmqctl group lag --json`."""

    topic: str
    broker: str
    queue_id: int
    max_offset: int
    """Queue offset that the next message will get."""
    consumer_offset: int
    """Queue offset that the group has committed, 0 if none."""
    lag: int
    """Messages between them."""
    last_timestamp: int | None
    """Store time of the last message consumed, ms of the epoch; None when that is not known."""


class Lag(msgspec.Struct, frozen=True):
    """How far a group is in all its queues."""

    queues: tuple[QueueLag, ...]
    tps: float
    """Messages that the group consumes in a second, as the brokers count."""

    @property
    def total(self) -> int:
        """Messages that are to be consumed yet, those for redelivery included."""
        return sum(queue.lag for queue in self.queues)


class Gaps(msgspec.Struct):
    """Brokers that gave no answer, and why."""

    reasons: dict[str, str] = msgspec.field(default_factory=dict)


class GroupAdmin:
    """Requests about consumer groups to the masters of one cluster.

    Questions take `gaps`: it notes the brokers that do not answer; without it they are an error.
    """

    def __init__(self, connection: ClusterConnection) -> None:
        self._connection = connection
        self._admin = TopicAdmin(connection)
        self._brokers: tuple[BrokerGroup, ...] | None = None

    async def configs(self, gaps: Gaps | None = None) -> dict[str, dict[str, SubscriptionGroupConfig]]:
        """Return the configuration of every group: by group, then by broker name."""

        async def ask(broker: str, address: str) -> dict[str, SubscriptionGroupConfig]:
            code = RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG
            answer = await self._connection.ask_broker(broker, address, code)
            return answer.body(SubscriptionGroupWrapper).subscription_group_table

        groups: dict[str, dict[str, SubscriptionGroupConfig]] = {}
        for broker, table in (await self._ask_masters(ask, gaps)).items():
            for name, config in table.items():
                groups.setdefault(name, {})[broker] = config
        return dict(sorted(groups.items()))

    async def members(self, group: str, gaps: Gaps | None = None) -> GroupMembers:
        """Return who consumes as the group now; nobody is an answer too."""

        async def ask(broker: str, address: str) -> ConsumerConnection:
            answer = await self._connection.ask_broker(
                broker,
                address,
                RequestCode.GET_CONSUMER_CONNECTION_LIST,
                GetConsumerListByGroupRequestHeader(consumer_group=group),
                success=_ONLINE_OR_NOT,
            )
            is_online = answer.code == ResponseCode.SUCCESS
            return answer.body(ConsumerConnection) if is_online else ConsumerConnection()

        return _members_of(list((await self._ask_masters(ask, gaps)).values()))

    async def lag(self, group: str, gaps: Gaps | None = None, topic: str | None = None) -> Lag:
        """Return how far the group is in each queue that it has consumed from, by topic, broker and queue."""

        async def ask(broker: str, address: str) -> ConsumeStats:
            answer = await self._connection.ask_broker(
                broker,
                address,
                RequestCode.GET_CONSUME_STATS,
                GetConsumeStatsRequestHeader(consumer_group=group, topic=topic),
            )
            return answer.body(ConsumeStats)

        stats = (await self._ask_masters(ask, gaps)).values()
        queues = [
            QueueLag(
                topic=queue.topic,
                broker=queue.broker_name,
                queue_id=queue.queue_id,
                max_offset=offsets.broker_offset,
                consumer_offset=offsets.consumer_offset,
                lag=max(0, offsets.broker_offset - offsets.consumer_offset),
                last_timestamp=offsets.last_timestamp or None,
            )
            for answer in stats
            for queue, offsets in answer.offset_table.items()
        ]
        queues.sort(key=lambda lag: (lag.topic.startswith(RETRY_PREFIX), lag.topic, lag.broker, lag.queue_id))
        return Lag(tuple(queues), sum(answer.consume_tps for answer in stats))

    async def create(self, config: SubscriptionGroupConfig, broker: str | None) -> dict[str, str]:
        """Create a group, or give it this configuration.

        Args:
            config: With a name that is legal for a new group.
            broker: As in `TopicAdmin.create`.

        Returns:
            Address by broker name of the masters that have the group now.

        Raises:
            InvalidArgument: It belongs to the system, or its name is too long.
        """
        _check_own_group(check_new_group(config.group_name))
        masters = (await self._admin.topology()).masters_of(broker)
        for name, address in masters.items():
            code = RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
            await self._connection.ask_broker(name, address, code, body=config.encode())
        return masters

    async def delete(self, group: str) -> list[str]:
        """Delete a group's configuration from every master that has it, with its offsets where the broker can.

        Returns:
            Names of the brokers that had it.

        Raises:
            InvalidArgument: It belongs to the system.
            GroupNotFound: No broker has it.
        """
        _check_own_group(group)
        holders = list((await self.configs(Gaps())).get(group, {}))
        if not holders:
            raise GroupNotFound(group)
        masters = (await self._admin.topology()).masters_of(ALL_BROKERS)
        header = DeleteSubscriptionGroupRequestHeader(group_name=group, remove_offset=True, clean_offset=True)
        for broker in holders:
            await self._connection.ask_broker(broker, masters[broker], RequestCode.DELETE_SUBSCRIPTIONGROUP, header)
        return holders

    async def _ask_masters(self, ask: Callable[[str, str], Awaitable[T]], gaps: Gaps | None) -> dict[str, T]:
        """Ask all masters at the same time; those that are away or do not answer are noted in `gaps`, or raised."""
        if self._brokers is None:
            self._brokers = (await self._admin.topology()).groups
        masters = {group.name: group.addresses.get(MASTER_ID) for group in self._brokers}
        for broker, address in masters.items():
            if address is None:
                _note(gaps, broker, NoMaster(f"{broker} has no master now", "only masters know of groups"))

        async def ask_one(broker: str, address: str) -> tuple[str, T] | None:
            try:
                return broker, await ask(broker, address)
            except ClientError as error:
                _note(gaps, broker, error)
                return None

        answers = await in_parallel(
            [partial(ask_one, broker, address) for broker, address in masters.items() if address is not None]
        )
        return dict(answer for answer in answers if answer is not None)


def _note(gaps: Gaps | None, broker: str, error: ClientError) -> None:
    if gaps is None:
        raise error
    gaps.reasons[broker] = error.what


def _check_own_group(group: str) -> None:
    if group in SYSTEM_GROUPS:
        raise InvalidArgument(f"{group} is a group of the system", "brokers need it themselves", "choose another one")


def member_of(connection: Connection) -> GroupMember:
    """Return what a broker says about one of its clients."""
    language = connection.language.name if connection.language is not None else None
    return GroupMember(connection.client_id, connection.client_addr, language, version_name(connection.version))


def _members_of(answers: list[ConsumerConnection]) -> GroupMembers:
    members: dict[str, GroupMember] = {}
    subscriptions: set[GroupSubscription] = set()
    online = [answer for answer in answers if answer.connection_set]
    for answer in online:
        for connection in answer.connection_set:
            members[connection.client_id] = member_of(connection)
        for topic, data in answer.subscription_table.items():
            subscriptions.add(GroupSubscription(topic, data.sub_string or "*", data.expression_type))
    first = online[0] if online else ConsumerConnection()
    return GroupMembers(
        members=tuple(members[client_id] for client_id in sorted(members)),
        subscriptions=tuple(sorted(subscriptions)),
        consume_type=first.consume_type,
        message_model=first.message_model,
        consume_from_where=first.consume_from_where,
    )
