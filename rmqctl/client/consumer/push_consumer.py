"""A member of a consumer group whose messages are handed to a function: shared out, retried, counted, kept in order.

    async with PushConsumer("billing", nameserver="127.0.0.1:9876") as consumer:
        await consumer.subscribe("orders", tags="paid || shipped")
        await consumer.run(handle)

    run
    ├─ guard            when all is cancelled, gives running handlers their last seconds
    ├─ consumption      workers (concurrent), or nothing: orderly queues have tasks of their own
    └─ rebalancer       which queues are ours; pulls them, keeps locks and offsets

Source: `DefaultMQPushConsumer`, `DefaultMQPushConsumerImpl` (RocketMQ 4.5.2).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Unpack

import trio

from rmqctl.client.client import Client, ClientOptions
from rmqctl.client.consumer.concurrent import ConcurrentConsumption
from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.group_requests import GroupRequests
from rmqctl.client.consumer.handler_calls import Handler, HandlerCalls
from rmqctl.client.consumer.offset_store import LOCAL_OFFSETS_FOLDER, LocalOffsetStore, OffsetStore, RemoteOffsetStore
from rmqctl.client.consumer.orderly import OrderlyConsumption
from rmqctl.client.consumer.process_queue import QueueLimits
from rmqctl.client.consumer.queue_start import consume_from_where
from rmqctl.client.consumer.rebalance import Rebalancer
from rmqctl.client.consumer.remote_control import RemoteControl
from rmqctl.client.consumer.retry import MAX_RECONSUME_TIMES, MAX_RECONSUME_TIMES_ORDERLY, retry_topic
from rmqctl.client.consumer.selector import Selector, selector
from rmqctl.client.consumer.shares import GroupShares
from rmqctl.client.consumer.topics import Topics
from rmqctl.client.errors import InvalidArgument
from rmqctl.client.limits import SECONDS_MIN, check_at_least
from rmqctl.client.names import check_group
from rmqctl.client.participant import Participant
from rmqctl.client.start_position import Latest, StartPosition
from rmqnode.protocol.bodies import ConsumerData, ConsumeType, MessageModel, MessageQueue

CONSUME_TIMEOUT_SECONDS: Final = 15 * 60.0
"""Java's `consumeTimeout`."""

CLOSE_SECONDS: Final = 10.0
_LEAVE_SECONDS: Final = 10.0
"""Limit of persisting offsets and giving back locks at the end, beside what handlers take."""

_SHARED_INSTANCE: Final = "DEFAULT"
"""Java's instance name of broadcasting consumers: their local offsets are found again after a restart."""


class PushConsumer(Participant):
    """Consumes the messages of subscribed topics. An async context manager; `run` does the work.

    Args:
        group: Consumer group. All its members must subscribe the same.
        client: To be shared with others; without it a client of its own is made of `options`.
        orderly: Consume each queue in order, one message at a time.
        broadcasting: Every member gets every message, offsets are kept in a local file, nothing is retried.
        start: Where queues that the group has no offset for are entered.
        concurrency: How many handlers run at a time; of an orderly consumer, how many queues.
        max_reconsume_times: How often a failed message comes again before it goes to `%DLQ%group`; None for 16, or
            for ever when orderly.
        suspend_seconds: Orderly: how long a queue stands still after a failure.
        consume_timeout_seconds: A handler that takes longer is cancelled, and its message comes again.
        close_seconds: When `run` ends or is cancelled, handlers that run have so long to end.
        limits: How much is held of each queue.
        local_offsets: Folder of local offsets, when broadcasting.
        options: How to reach the cluster, for a client of its own.

    Raises:
        InvalidArgument: The group name is illegal, or an option is.
    """

    def __init__(
        self,
        group: str,
        *,
        client: Client | None = None,
        orderly: bool = False,
        broadcasting: bool = False,
        start: StartPosition | None = None,
        concurrency: int = 20,
        max_reconsume_times: int | None = None,
        suspend_seconds: float = 1.0,
        consume_timeout_seconds: float = CONSUME_TIMEOUT_SECONDS,
        close_seconds: float = CLOSE_SECONDS,
        limits: QueueLimits | None = None,
        local_offsets: Path = LOCAL_OFFSETS_FOLDER,
        **options: Unpack[ClientOptions],
    ) -> None:
        if broadcasting and client is None:
            options.setdefault("instance", _SHARED_INSTANCE)
        super().__init__(client, options)
        self.group = check_group(group)
        check_at_least(1, concurrency=concurrency)
        check_at_least(0, max_reconsume_times=max_reconsume_times, close_seconds=close_seconds)
        check_at_least(SECONDS_MIN, suspend_seconds=suspend_seconds, consume_timeout_seconds=consume_timeout_seconds)
        self._orderly = orderly
        self._concurrency = concurrency
        self._max_reconsume_times = max_reconsume_times
        self._suspend_seconds = suspend_seconds
        self._consume_timeout_seconds = consume_timeout_seconds
        self._close_seconds = close_seconds
        topics = Topics(self.client.routes)
        requests = GroupRequests(self.client.connection, topics, group, self.client.client_id)
        offsets: OffsetStore = RemoteOffsetStore(requests)
        if broadcasting:
            offsets = LocalOffsetStore(local_offsets, self.client.client_id, group)
        self._member = GroupMember(
            group,
            self.client.client_id,
            topics,
            requests,
            offsets,
            self.client.members.beat,
            start=start or Latest(),
            limits=limits or QueueLimits(),
            is_orderly=orderly,
            is_broadcasting=broadcasting,
            commits_in_passing=not broadcasting,
        )
        self._rebalancer: Rebalancer | None = None
        self._scope = trio.CancelScope()

    @property
    def queues(self) -> list[MessageQueue]:
        """The queues that this member has at present; those of the retry topic included."""
        return [] if self._rebalancer is None else list(self._rebalancer.process_queues)

    def held(self, queue: MessageQueue) -> int:
        """How many messages of a queue were pulled and not consumed yet."""
        process_queue = None if self._rebalancer is None else self._rebalancer.process_queues.get(queue)
        return 0 if process_queue is None else len(process_queue)

    async def subscribe(self, topic: str, tags: str | Iterable[str] | None = None, *, sql: str | None = None) -> None:
        """Want messages of a topic: all, those with one of the tags, or those for which an expression is true.

        A topic that is not routed yet is waited for. May be called while the consumer runs.

        Args:
            topic: Its name.
            tags: `paid || shipped`, or one by one.
            sql: SQL92 over the properties of messages, for brokers with `enablePropertyFilter=true`.

        Raises:
            InvalidArgument: The topic or a tag is illegal.
            RequestRefused: A broker can't make sense of the expression, or does not filter by properties.
            ClientError: Nobody could be asked about the expression.
        """
        self.check_open()
        chosen: Selector = selector(topic, tags, sql)
        if sql is not None:
            await self._member.requests.check_selector(chosen)
        self._member.topics.subscribe(chosen)
        self._changed()

    def unsubscribe(self, topic: str) -> None:
        """Want no more of a topic; messages that are held of it come again elsewhere."""
        self._member.topics.unsubscribe(topic)
        self._changed()

    async def run(self, handler: Handler, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hand messages to the handler until `stop` is called or this is cancelled; can be run once.

        Before it returns, handlers that run have ended (within `close_seconds`), offsets are persisted, locks are given
        back, and the brokers know that the member has gone. `nursery.start` waits until queues were taken.

        Args:
            handler: Called with one message at a time by each of `concurrency` tasks. Returning None is having
                consumed it; returning `Retry`, or raising, brings it again later.
            task_status: Of `nursery.start`.

        Raises:
            InvalidArgument: Nothing is subscribed, or it was run already.
        """
        self.check_open()
        if self._rebalancer is not None:
            raise InvalidArgument(f"this consumer of group {self.group} was run already", cure="make another one")
        if not list(self._member.topics):
            raise InvalidArgument(
                f"consumer group {self.group} has no subscription", cure='await consumer.subscribe("topic") first'
            )
        if not self._member.is_broadcasting:
            self._member.topics.subscribe(selector(retry_topic(self.group)))
        calls = HandlerCalls(
            handler,
            timeout_seconds=self._consume_timeout_seconds,
            close_seconds=self._close_seconds,
            statistics=self._member.statistics,
        )
        consumption = self._consumption(calls)
        rebalancer = self._rebalancer = Rebalancer(self._member, GroupShares(self._member), consumption)
        control = RemoteControl(self.client, self._member, rebalancer, calls, self._concurrency)
        self.client.members.add_consumer(self.group, self._describe)
        unwatch = self.client.watch_routes(lambda route: self._route_changed(route.topic))
        control.start()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(calls.guard)
                    await nursery.start(consumption.run)
                    await nursery.start(rebalancer.run)
                    task_status.started()
        finally:
            unwatch()
            control.stop()
            with trio.move_on_after(_LEAVE_SECONDS, shield=True):
                await rebalancer.give_back_all()
            await self.client.members.remove_consumer(self.group)

    def stop(self) -> None:
        """Have `run` finish what runs, and return."""
        self._scope.cancel()

    def pause(self) -> None:
        """Pull nothing more; what is held is still consumed."""
        self._member.may_pull = trio.Event()

    def resume(self) -> None:
        """Pull again."""
        self._member.may_pull.set()

    def _consumption(self, calls: HandlerCalls) -> ConcurrentConsumption | OrderlyConsumption:
        limit = self._max_reconsume_times
        if self._orderly:
            return OrderlyConsumption(
                self._member,
                calls,
                concurrency=self._concurrency,
                max_reconsume_times=MAX_RECONSUME_TIMES_ORDERLY if limit is None else limit,
                suspend_seconds=self._suspend_seconds,
            )
        return ConcurrentConsumption(
            self._member,
            calls,
            concurrency=self._concurrency,
            max_reconsume_times=MAX_RECONSUME_TIMES if limit is None else limit,
        )

    def _describe(self) -> ConsumerData:
        return ConsumerData(
            group_name=self.group,
            consume_type=ConsumeType.CONSUME_PASSIVELY,
            message_model=MessageModel.BROADCASTING if self._member.is_broadcasting else MessageModel.CLUSTERING,
            consume_from_where=consume_from_where(self._member.start),
            subscription_data_set=self._member.topics.subscriptions(),
        )

    def _changed(self) -> None:
        if self._rebalancer is not None:
            self.client.members.beat_soon()
            self._rebalancer.wake()

    def _route_changed(self, topic: str) -> None:
        if self._rebalancer is not None and self._member.topics.selector(topic) is not None:
            self._rebalancer.wake()
