"""Which queues a member has at present: found out again and again, and acted upon.

    wake (members changed, route changed, subscribed)  or every 20 s
      └─ for each topic: queues of the route, members of the group ─▶ allocation
           ├─ lost queues:  stop, persist the offset, unlock
           └─ new queues:   lock, start offset, then a task that pulls (and consumes, if orderly)

A topic about which nobody answers keeps its queues. Source: `RebalanceImpl`, `RebalancePushImpl` (RocketMQ 4.5.2),
differs: what could not be taken is tried again after 1 s, 2 s and so on; an orderly queue is given back when its last
handler has ended and its offset is persisted, so that no message comes twice; queues of a broker that is away are kept.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

import trio

from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.process_queue import ProcessQueue
from rmqctl.client.consumer.pulling import QueuePuller
from rmqctl.client.consumer.queue_locks import QueueLocks
from rmqctl.client.consumer.queue_start import starting_offset
from rmqctl.client.consumer.shares import Shares
from rmqctl.client.errors import ClientError
from rmqctl.client.names import RETRY_PREFIX
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS: Final = 20.0
_TROUBLES_UNTIL_WARNED: Final = 2
_RETRY_SECONDS: Final = 0.5
_SETTLE_SECONDS: Final = 0.1
"""Time for the member that loses a queue to persist how far it is, before its offset is asked for."""
_LOCK_INTERVAL_SECONDS: Final = 20.0
_PERSIST_INTERVAL_SECONDS: Final = 5.0
"""Java's `persistConsumerOffsetInterval`."""


class Consumption(Protocol):
    """What is done with the messages of the queues."""

    def deliver(self, process_queue: ProcessQueue, messages: list[StoredMessage]) -> None:
        """Take messages that are held in the process queue now; must not block."""

    async def run_queue(self, process_queue: ProcessQueue) -> None:
        """Run beside the pulling of a queue; it ends by itself only when the queue has to be given up."""


class _HeldQueue:
    """One queue that the member has."""

    def __init__(self, process_queue: ProcessQueue, puller: QueuePuller) -> None:
        self.process_queue = process_queue
        self.puller = puller
        self.scope = trio.CancelScope()
        self.ended = trio.Event()


class Rebalancer:
    """Holds the queues of a member.

    Args:
        member: Who holds them.
        shares: Says which queues are the member's.
        consumption: What is done with their messages.
    """

    def __init__(self, member: GroupMember, shares: Shares, consumption: Consumption) -> None:
        self._member = member
        self._shares = shares
        self._consumption = consumption
        self._locks = QueueLocks(member)
        self._held: dict[MessageQueue, _HeldQueue] = {}
        self._leaving: set[MessageQueue] = set()
        self._troubled: Counter[str] = Counter()
        self._wanted = trio.Event()
        self._nursery: trio.Nursery | None = None

    @property
    def process_queues(self) -> dict[MessageQueue, ProcessQueue]:
        """The queues that the member has, in Java's order."""
        return {queue: self._held[queue].process_queue for queue in sorted(self._held)}

    def wake(self) -> None:
        """Rebalance now."""
        self._wanted.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold queues until cancelled; started when the first rebalance is done."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._keep_offsets)
            if self._member.needs_locks:
                nursery.start_soon(self._keep_locks)
            await self._rebalance_for_ever(task_status)

    async def _rebalance_for_ever(self, task_status: trio.TaskStatus[None]) -> None:
        is_started = False
        retry_seconds = _RETRY_SECONDS
        while True:
            self._wanted = trio.Event()
            is_settled = await self._rebalance()
            if not is_started:
                is_started = True
                task_status.started()
            retry_seconds = _RETRY_SECONDS if is_settled else min(_INTERVAL_SECONDS, 2 * retry_seconds)
            with trio.move_on_after(_INTERVAL_SECONDS if is_settled else retry_seconds):
                await self._wanted.wait()
                retry_seconds = _RETRY_SECONDS

    async def give_back_all(self) -> None:
        """Persist all offsets and unlock all queues; nothing runs any more."""
        queues = [*self._held, *self._leaving]
        await self._member.offsets.persist(queues, confirmed=True)
        await self._locks.unlock(queues)
        self._held.clear()
        self._leaving.clear()

    async def seek(self, queue: MessageQueue, queue_offset: int) -> bool:
        """Go on from another offset of a queue; returns whether the member has it."""
        held = self._held.get(queue)
        if held is None:
            return False
        self._leave(queue, held)
        await held.ended.wait()
        self._leaving.discard(queue)
        self._member.offsets.update(queue, queue_offset, increase_only=False)
        self._start(queue, queue_offset)
        # It may have become somebody else's meanwhile.
        self.wake()
        return True

    async def _rebalance(self) -> bool:
        """Take and leave queues as they are shared now; returns whether all that is ours could be taken."""
        is_settled = True
        # Who takes over a queue asks for its offset at once: what it is told decides what comes twice.
        await self._member.offsets.persist(self._held)
        wanted_topics = set(self._member.topics)
        for queue, held in list(self._held.items()):
            if queue.topic not in wanted_topics:
                self._start_leaving(queue, held)
        for topic in sorted(wanted_topics):
            try:
                absent = await self._absent(topic)
                queues = await self._shares.of_topic(topic)
            except ClientError as error:
                self._tell_trouble(topic, str(error))
                is_settled = False
            else:
                if queues is None:
                    self._tell_trouble(topic, "no nameserver routes it, or no broker knows the group yet")
                else:
                    del self._troubled[topic]
                is_taken = queues is not None and await self._apply(topic, {*queues, *absent})
                is_settled &= is_taken and not absent
        return is_settled

    def _tell_trouble(self, topic: str, reason: str) -> None:
        """Warn when a topic can't be consumed, once, and not of a moment; retry topics are made by our heartbeat."""
        self._troubled[topic] += 1
        is_news = self._troubled[topic] == _TROUBLES_UNTIL_WARNED and not topic.startswith(RETRY_PREFIX)
        level = logging.WARNING if is_news else logging.INFO
        logger.log(level, "not rebalanced group=%s topic=%s reason=%s", self._member.group, topic, reason)

    async def _absent(self, topic: str) -> list[MessageQueue]:
        """Return the queues that are held of brokers which the route lacks now.

        They are kept: nobody else can read them, and their broker, restarting, may be back before nameservers and other
        members notice.
        """
        held = [queue for queue in self._held if queue.topic == topic]
        route = await self._member.topics.route(topic)
        if route is not None and any(route.broker(queue.broker_name) is None for queue in held):
            self._member.topics.doubt(topic)
            route = await self._member.topics.route(topic)
        return [queue for queue in held if route is None or route.broker(queue.broker_name) is None]

    async def _apply(self, topic: str, wanted: set[MessageQueue]) -> bool:
        lost = [(queue, held) for queue, held in self._held.items() if queue.topic == topic and queue not in wanted]
        new = sorted(wanted - self._held.keys() - self._leaving)
        for queue, held in lost:
            self._start_leaving(queue, held)
        if lost or new:
            logger.info(
                "rebalanced group=%s topic=%s queues=%d lost=%d new=%d",
                self._member.group, topic, len(wanted), len(lost), len(new),
            )  # fmt: skip
            # Brokers take a subscription over only when it is newer than what they know of the group.
            self._member.topics.touch(topic)
            await self._member.beat()
        if new and self._shares.has_others and not self._member.needs_locks:
            await trio.sleep(_SETTLE_SECONDS)
        taken = await self._take_all(new)
        return taken and not self._leaving & wanted

    async def _take_all(self, queues: list[MessageQueue]) -> bool:
        locked = await self._locks.lock(queues) if self._member.needs_locks else set(queues)
        failed = [queue for queue in queues if queue not in locked]

        async def take(queue: MessageQueue) -> None:
            try:
                await self._take(queue)
            except ClientError as error:
                logger.info("queue not taken group=%s queue=%s reason=%s", self._member.group, queue, error)
                failed.append(queue)

        async with trio.open_nursery() as nursery:
            for queue in sorted(locked):
                nursery.start_soon(take, queue)
        return not failed

    async def _take(self, queue: MessageQueue) -> None:
        member = self._member
        start = await starting_offset(member.offsets, member.requests, queue, member.start)
        # In memory only after a lock was lost: whoever came further, the stored offset or we, is right.
        self._start(queue, max(start, member.offsets.known(queue) or 0))

    def _start(self, queue: MessageQueue, queue_offset: int) -> None:
        member = self._member
        process_queue = ProcessQueue(queue, member.limits, is_orderly=member.is_orderly)
        process_queue.note_lock(is_held=member.needs_locks)
        held = _HeldQueue(process_queue, QueuePuller(member, process_queue, queue_offset, self._consumption.deliver))
        self._held[queue] = held
        assert self._nursery is not None
        self._nursery.start_soon(self._run_queue, queue, held)

    async def _run_queue(self, queue: MessageQueue, held: _HeldQueue) -> None:
        try:
            with held.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._run_part, held, partial(self._consumption.run_queue, held.process_queue))
                    nursery.start_soon(self._run_part, held, held.puller.run)
        finally:
            held.ended.set()
        if self._held.get(queue) is held and held.process_queue.is_dropped:
            # It ended by itself: the offset was illegal, or the lock was lost.
            del self._held[queue]
            self.wake()

    async def _run_part(self, held: _HeldQueue, part: Callable[[], Awaitable[None]]) -> None:
        await part()
        if held.process_queue.is_dropped:
            held.scope.cancel()

    def _start_leaving(self, queue: MessageQueue, held: _HeldQueue) -> None:
        self._leave(queue, held)
        assert self._nursery is not None
        self._nursery.start_soon(self._hand_over, {queue: held})

    def _leave(self, queue: MessageQueue, held: _HeldQueue) -> None:
        """Begin no message of a queue any more; what runs of it may end."""
        del self._held[queue]
        self._leaving.add(queue)
        held.process_queue.drop()
        held.scope.cancel()

    async def _hand_over(self, queues: dict[MessageQueue, _HeldQueue]) -> None:
        for held in queues.values():
            await held.ended.wait()
        await self._member.offsets.persist(queues, confirmed=True)
        for queue in queues:
            self._member.offsets.forget(queue)
        await self._locks.unlock(queues)
        self._leaving.difference_update(queues)
        self.wake()

    async def _keep_offsets(self) -> None:
        while True:
            await trio.sleep(_PERSIST_INTERVAL_SECONDS)
            await self._member.offsets.persist(self._held)

    async def _keep_locks(self) -> None:
        while True:
            await trio.sleep(_LOCK_INTERVAL_SECONDS)
            asked = list(self._held)
            locked = await self._locks.lock(asked)
            for queue in asked:
                held = self._held.get(queue)
                if held is not None and queue in locked:
                    held.process_queue.note_lock(is_held=True)
