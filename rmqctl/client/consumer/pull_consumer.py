"""A consumer that the application asks: by queue and offset, or for whatever its queues have next.

    async with PullConsumer("audit", nameserver="127.0.0.1:9876") as consumer:
        await consumer.subscribe("orders")
        async for message in consumer:
            ...

Queues are shared with the group (`subscribe`) or chosen (`assign`). Source: `DefaultMQPullConsumer` (RocketMQ 4.5.2)
for single pulls, `DefaultLitePullConsumer` (4.9) for the rest.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self, Unpack

import msgspec
import trio

from rmqctl.client.client import Client, ClientOptions
from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.group_requests import GroupRequests
from rmqctl.client.consumer.offset_store import RemoteOffsetStore
from rmqctl.client.consumer.polled import PolledMessages
from rmqctl.client.consumer.process_queue import QueueLimits
from rmqctl.client.consumer.queue_start import consume_from_where
from rmqctl.client.consumer.rebalance import Rebalancer
from rmqctl.client.consumer.remote_control import RemoteControl
from rmqctl.client.consumer.selector import selector
from rmqctl.client.consumer.shares import ChosenShares, GroupShares, Shares
from rmqctl.client.consumer.topics import Topics
from rmqctl.client.errors import InvalidArgument, NoQueue
from rmqctl.client.names import check_group
from rmqctl.client.participant import Participant
from rmqctl.client.pull import PullStatus
from rmqctl.client.received import ReceivedMessage
from rmqctl.client.start_position import Latest, StartPosition
from rmqnode.protocol.bodies import ConsumerData, ConsumeType, MessageModel, MessageQueue

_CLOSE_SECONDS = 10.0


class QueueRead(msgspec.Struct, frozen=True):
    """What one pull of a queue brought."""

    status: PullStatus
    messages: list[ReceivedMessage]
    """Those that are wanted, oldest first."""
    next_offset: int
    """Queue offset to go on from."""
    min_offset: int
    max_offset: int
    """Queue offset that the next message will get."""


class PullConsumer(Participant):
    """Reads when asked. An async context manager.

    Args:
        group: Consumer group that offsets are kept for.
        client: To be shared with others; without it a client of its own is made of `options`.
        start: Where queues without a committed offset are entered, when subscribed or assigned.
        auto_commit: What was given out counts as consumed when more is asked for, and when the consumer is left without
            an exception. False leaves that to `commit`.
        limits: How much is pulled ahead of each queue.
        options: How to reach the cluster, for a client of its own.

    Raises:
        InvalidArgument: The group name is illegal, or an option is.
    """

    def __init__(
        self,
        group: str,
        *,
        client: Client | None = None,
        start: StartPosition | None = None,
        auto_commit: bool = True,
        limits: QueueLimits | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(client, options)
        self.group = check_group(group)
        self._auto_commit = auto_commit
        self._topics = Topics(self.client.routes)
        self._requests = GroupRequests(self.client.connection, self._topics, group, self.client.client_id)
        self._member = GroupMember(
            group,
            self.client.client_id,
            self._topics,
            self._requests,
            RemoteOffsetStore(self._requests),
            self.client.members.beat,
            start=start or Latest(),
            limits=limits or QueueLimits(),
            posts_subscription=True,
        )
        self._polled = PolledMessages(self._member)
        self._rebalancer: Rebalancer | None = None
        self._control: RemoteControl | None = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._auto_commit:
            self._polled.acknowledge()
        await super().__aexit__(kind, error, traceback)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReceivedMessage:
        """Return the next message, however long it takes; the one before counts as consumed, see `auto_commit`."""
        return (await self._take(1))[0]

    # --- queues shared with the group, or chosen ----------------------------------------------------------------

    @property
    def queues(self) -> list[MessageQueue]:
        """The queues that are read at present."""
        return [] if self._rebalancer is None else list(self._rebalancer.process_queues)

    async def subscribe(self, topic: str, tags: str | Iterable[str] | None = None, *, sql: str | None = None) -> None:
        """Read a topic, its queues being shared with the other members of the group; waits for the first share.

        Raises:
            InvalidArgument: The topic or a tag is illegal, or queues were assigned before.
            RequestRefused: A broker can't make sense of the SQL expression, or does not filter by properties.
            ClientError: Nobody could be asked about the expression.
        """
        chosen = selector(topic, tags, sql)
        if sql is not None:
            await self._requests.check_selector(chosen)
        self._topics.subscribe(chosen)
        if self._rebalancer is None:
            self.client.members.add_consumer(self.group, self._describe)
            await self._start(GroupShares(self._member))
        elif self._control is None:
            raise InvalidArgument("queues were assigned already", cure="use another consumer to subscribe a topic")
        else:
            self.client.members.beat_soon()
            self._rebalancer.wake()

    async def assign(
        self, queues: Iterable[MessageQueue], tags: str | Iterable[str] | None = None, *, sql: str | None = None
    ) -> None:
        """Read these queues, whoever else does; can be called once.

        Raises:
            InvalidArgument: There is no queue, a tag is illegal, or queues were assigned or subscribed before.
        """
        chosen = list(queues)
        if self._rebalancer is not None or not chosen:
            raise InvalidArgument(
                "queues are assigned once, before anything else" if chosen else "there is no queue to assign",
                cure="use another consumer" if chosen else 'assign(await consumer.queues_of("topic"))',
            )
        for topic in {queue.topic for queue in chosen}:
            self._topics.subscribe(selector(topic, tags, sql))
        await self._start(ChosenShares(chosen))

    async def poll(self, timeout_seconds: float = 5.0, *, count_max: int = 32) -> list[ReceivedMessage]:
        """Return the next messages; none when nothing comes in time.

        What was given out before counts as consumed, see `auto_commit`.

        Raises:
            InvalidArgument: Nothing is subscribed or assigned.
        """
        with trio.move_on_after(timeout_seconds):
            return await self._take(count_max)
        return []

    def position(self, queue: MessageQueue) -> int | None:
        """Return the queue offset that comes next; None before the first message since the start or a seek."""
        return self._polled.position(queue)

    async def seek(self, queue: MessageQueue, queue_offset: int) -> None:
        """Go on from another offset of a queue that is read; what was pulled ahead of it is forgotten.

        Raises:
            NoQueue: The queue is not read here, or not any more.
        """
        self._polled.forget_position(queue)
        if self._rebalancer is None or not await self._rebalancer.seek(queue, queue_offset):
            raise NoQueue(f"{queue.broker_name} queue {queue.queue_id} of topic {queue.topic} is not read here")

    async def seek_to(self, position: StartPosition, queues: Sequence[MessageQueue] | None = None) -> None:
        """Go on from `Earliest()`, `Latest()` or `Since(timestamp_ms)` in all queues that are read, or in some.

        Raises:
            NoQueue: A queue is not read here, or not any more.
            ClientError: A broker does not say where that is.
        """
        for queue in self.queues if queues is None else queues:
            offsets = await self._requests.queue_offsets(queue.topic)
            await self.seek(queue, await offsets.starting_at(queue, position))

    async def commit(self) -> None:
        """Count everything that was given out as consumed, and have the brokers keep that for the group."""
        self._polled.acknowledge()
        await self._member.offsets.persist(self.queues, confirmed=True)

    # --- single queues ------------------------------------------------------------------------------------------

    async def queues_of(self, topic: str) -> list[MessageQueue]:
        """Return all queues of a topic that consumers may read.

        Raises:
            TopicNotFound: No nameserver routes it.
        """
        return (await self.client.routes.get(topic)).subscribe_queues()

    async def pull(
        self,
        queue: MessageQueue,
        queue_offset: int,
        tags: str | Iterable[str] | None = None,
        *,
        sql: str | None = None,
        count_max: int = 32,
        hold: bool = False,
    ) -> QueueRead:
        """Read one queue at an offset, once; nothing is remembered and nothing committed.

        Args:
            queue: Which one.
            queue_offset: Where.
            tags: As for `subscribe`.
            sql: As for `subscribe`.
            count_max: Most messages.
            hold: At the end of the queue, let the broker wait for a message, for 15 s.

        Raises:
            ClientError: The broker can't be reached, refuses, or answers what can't be read.
        """
        chosen = selector(queue.topic, tags, sql)
        result = await self._requests.pull(
            queue, queue_offset, chosen, count_max=count_max, hold=hold, with_subscription=True
        )
        messages = [ReceivedMessage(stored, queue) for stored in result.messages]
        return QueueRead(result.status, messages, result.next_offset, result.min_offset, result.max_offset)

    async def offset_of(self, queue: MessageQueue, position: StartPosition) -> int:
        """Return the offset of the first message, the one behind the last, or the one next to a time, in a queue."""
        return await (await self._requests.queue_offsets(queue.topic)).starting_at(queue, position)

    async def committed(self, queue: MessageQueue) -> int | None:
        """Return the offset that the broker keeps for the group; None when it has none."""
        return await self._requests.query_offset(queue)

    async def commit_offset(self, queue: MessageQueue, queue_offset: int) -> None:
        """Have the broker keep an offset for the group."""
        await self._requests.update_offset(queue, queue_offset)

    async def _take(self, count_max: int) -> list[ReceivedMessage]:
        self.check_open()
        if self._rebalancer is None:
            raise InvalidArgument("nothing is subscribed or assigned", cure='await consumer.subscribe("topic") first')
        if self._auto_commit:
            self._polled.acknowledge()
        return await self._polled.take(count_max)

    async def _start(self, shares: Shares) -> None:
        rebalancer = self._rebalancer = Rebalancer(self._member, shares, self._polled)
        if isinstance(shares, GroupShares):
            self._control = RemoteControl(self.client, self._member, rebalancer)
            self._control.start()
        await self.tasks.start(rebalancer.run)

    async def _close(self) -> None:
        if self._rebalancer is None:
            return
        with trio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._rebalancer.give_back_all()
        if self._control is not None:
            self._control.stop()
            await self.client.members.remove_consumer(self.group)

    def _describe(self) -> ConsumerData:
        return ConsumerData(
            group_name=self.group,
            consume_type=ConsumeType.CONSUME_ACTIVELY,
            message_model=MessageModel.CLUSTERING,
            consume_from_where=consume_from_where(self._member.start),
            subscription_data_set=self._topics.subscriptions(),
        )
