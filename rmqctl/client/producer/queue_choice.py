"""Which queue a message goes to: all in turn, a given one, or the one that belongs to an ordering key. No I/O.

Source: `TopicPublishInfo#selectOneMessageQueue`, `MQFaultStrategy#selectOneMessageQueue`, `SelectMessageQueueByHash`
(RocketMQ 4.5.2): a Java producer with the same keys sends to the same queues. Differs: a retry avoids all brokers that
were tried for the message, not only the last.
"""

import random
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from rmqctl.client.errors import InvalidArgument, NoQueue
from rmqctl.client.producer.fault_avoidance import FaultAvoidance
from rmqctl.client.routes import TopicRoute
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.java_text import string_hash

QueueSelector = Callable[[Sequence[MessageQueue]], MessageQueue]
"""Chooses one of the queues that take messages, ordered by broker name and queue id."""


class SendTarget(NamedTuple):
    """A queue and where its master listens."""

    queue: MessageQueue
    address: str


class Placement(NamedTuple):
    """What the caller wants of the queue; at most one member is set, none of them takes all queues in turn."""

    queue: MessageQueue | None = None
    order_key: str | int | None = None
    select: QueueSelector | None = None

    @property
    def is_free(self) -> bool:
        """Whether any queue will do, so that another broker may be tried."""
        return self.queue is None and self.order_key is None and self.select is None


ANYWHERE = Placement()


class TopicTargets:
    """The queues of one route that take messages.

    Args:
        route: The route.
        previous: Of an earlier route of the topic: turns go on where it was.

    Raises:
        NoQueue: There is none.
    """

    def __init__(self, route: TopicRoute, previous: "TopicTargets | None" = None) -> None:
        self.route = route
        self.queues = route.publish_queues()
        masters = {part.broker: part.master_address for part in route.brokers if part.is_writable}
        self.targets = [
            SendTarget(queue, address) for queue in self.queues if (address := masters.get(queue.broker_name))
        ]
        """Those that take messages now: all, but for an ordered topic."""
        if not self.targets:
            raise no_queue(route)
        self.brokers = tuple(dict.fromkeys(target.queue.broker_name for target in self.targets))
        self._turn: int = random.randrange(1 << 16) if previous is None else previous._turn

    def choose(self, placement: Placement, tried: Collection[str], faults: FaultAvoidance | None) -> SendTarget:
        """Return where to send.

        Args:
            placement: What the caller wants.
            tried: Brokers that failed just now: another one is taken, if there is one.
            faults: Brokers to leave alone.

        Raises:
            InvalidArgument: The wanted queue is not of this topic.
            NoMaster: The wanted queue's broker has none.
        """
        if placement.is_free:
            return self._next(tried, faults)
        if placement.queue is not None:
            return self._target_of(placement.queue)
        if placement.select is not None:
            return self._target_of(placement.select(self.queues))
        assert placement.order_key is not None
        return self._target_of(self.queues[order_hash(placement.order_key) % len(self.queues)])

    def _next(self, tried: Collection[str], faults: FaultAvoidance | None) -> SendTarget:
        count = len(self.targets)
        for _ in range(count):
            self._turn += 1
            target = self.targets[self._turn % count]
            broker = target.queue.broker_name
            if broker not in tried and (faults is None or not faults.is_avoided(broker)):
                return target
        brokers = [broker for broker in self.brokers if broker not in tried] or self.brokers
        best = None if faults is None else faults.soonest(brokers)
        self._turn += 1
        usable = [target for target in self.targets if best in (None, target.queue.broker_name)]
        return usable[self._turn % len(usable)]

    def _target_of(self, queue: MessageQueue) -> SendTarget:
        part = self.route.broker(queue.broker_name)
        # A broker that is away still has the queues that the order configuration of a topic says.
        is_there = queue in self.queues if part is None else 0 <= queue.queue_id < part.queue_count
        if queue.topic != self.route.topic or not is_there:
            counts = ", ".join(f"{part.broker} ({part.queue_count})" for part in self.route.brokers)
            raise InvalidArgument(
                f"queue {queue.queue_id} of {queue.broker_name} and topic {queue.topic} can't be sent to",
                f"topic {self.route.topic} has queues on {counts}",
            )
        return SendTarget(queue, self.route.master_address(queue.broker_name))


def order_hash(key: str | int) -> int:
    """Return Java's hash of a text, an int or a long, as `SelectMessageQueueByHash` uses it: not negative."""
    if isinstance(key, str):
        return abs(string_hash(key))
    if not -(2**63) <= key < 2**63:
        raise InvalidArgument(f"order key {key} does not fit 64 bits", cure="use a text")
    bits = key & 0xFFFFFFFFFFFFFFFF
    value = bits & 0xFFFFFFFF if -(2**31) <= key < 2**31 else (bits ^ bits >> 32) & 0xFFFFFFFF
    return abs(value - 2**32 if value >= 2**31 else value)


def choose_queue(route: TopicRoute, broker: str | None, queue_id: int) -> MessageQueue:
    """Return the queue with an id that producers may send to: of a broker, or of the first one that has it.

    Raises:
        InvalidArgument: No broker that takes messages has such a queue.
    """
    queues = route.publish_queues()
    for queue in queues:
        if queue.queue_id == queue_id and broker in (None, queue.broker_name):
            return queue
    if not queues:
        raise no_queue(route)
    known = ", ".join(f"{part.broker} 0 to {part.write_queues - 1}" for part in route.brokers if part.is_writable)
    where = f" on {broker}" if broker is not None else ""
    raise InvalidArgument(f"topic {route.topic} has no queue {queue_id}{where} to send to", f"queues are: {known}")


def no_queue(route: TopicRoute) -> NoQueue:
    """Return the error that says why no queue of a topic takes messages."""
    reasons = [
        f"{part.broker} has no master"
        if part.master_address is None
        else f"{part.broker} has permission {part.permission}"
        for part in route.brokers
    ]
    return NoQueue(
        f"no broker takes messages for topic {route.topic} now",
        ", ".join(reasons),
        f"start the masters, or make it writable: rmqctl topic create {route.topic} --perm rw --queues N",
    )
