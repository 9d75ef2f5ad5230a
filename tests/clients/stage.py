"""What a test of our client works with on a running cluster, whoever's nodes it has: names, topics, sends, waits."""

import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from rmqctl.client import Admin, Client, Message, Producer, ReceivedMessage, SendResult, TopicSpec
from rmqctl.client.connection import Answer
from rmqctl.client.consumer.retry import Retry
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.header_fields import Header
from rmqnode.protocol.headers import (
    OffsetResponseHeader,
    QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader,
    QueueRequestHeader,
    UpdateConsumerOffsetRequestHeader,
)

_NUMBERS = itertools.count()


class Stage:
    """One test's place on a cluster."""

    def __init__(self, nameserver: str, client: Client, producer: Producer) -> None:
        self.nameserver = nameserver
        self.client = client
        self.producer = producer
        self.admin = Admin(client=client)
        self._prefix = f"p{os.getpid()}-{time.time_ns() % 10**9}-{next(_NUMBERS)}"

    def name(self, suffix: str) -> str:
        """A name of a topic or group that nobody else uses."""
        return f"{self._prefix}-{suffix}"

    async def topic(self, queues: int = 2) -> str:
        """A new topic with so many queues on every master."""
        topic = self.name("topic")
        await self.admin.topics.create(TopicSpec(topic, read_queues=queues, write_queues=queues), timeout_seconds=30)
        return topic

    async def queues(self, topic: str) -> list[MessageQueue]:
        """All queues of a topic."""
        return (await self.client.routes.refresh(topic)).publish_queues()

    async def send(
        self, topic: str, bodies: Sequence[str], *, queue: MessageQueue | None = None, tag: str | None = None
    ) -> list[SendResult]:
        """Send texts one after the other, to all queues in turn or to one."""
        return [await self.producer.send(Message(topic, body.encode(), tag=tag), queue=queue) for body in bodies]

    async def commit(self, group: str, queue: MessageQueue, queue_offset: int) -> None:
        """Set the offset of a group."""
        header = UpdateConsumerOffsetRequestHeader(
            consumer_group=group, topic=queue.topic, queue_id=queue.queue_id, commit_offset=queue_offset
        )
        await self._ask(queue, RequestCode.UPDATE_CONSUMER_OFFSET, header)

    async def committed(self, group: str, queue: MessageQueue) -> int:
        """The offset of a group that the broker of the queue has."""
        header = QueryConsumerOffsetRequestHeader(consumer_group=group, topic=queue.topic, queue_id=queue.queue_id)
        answer = await self._ask(queue, RequestCode.QUERY_CONSUMER_OFFSET, header)
        return answer.header(QueryConsumerOffsetResponseHeader).offset

    async def wait_until_committed(self, group: str, topic: str) -> None:
        """Wait until the brokers have the offsets behind the last message of every queue."""
        for queue in await self.queues(topic):
            end = (await self._ask(queue, RequestCode.GET_MAX_OFFSET, _queue_header(queue))).header(
                OffsetResponseHeader
            )
            with trio.fail_after(30):
                while await self.committed(group, queue) < end.offset:  # noqa: ASYNC110 - only asking tells
                    await trio.sleep(0.05)

    async def _ask(self, queue: MessageQueue, code: RequestCode, header: Header) -> Answer:
        route = await self.client.routes.get(queue.topic)
        address = route.master_address(queue.broker_name)
        return await self.client.connection.ask_broker(queue.broker_name, address, code, header)


@asynccontextmanager
async def open_stage(nameserver: str) -> AsyncIterator[Stage]:
    """Open a stage on the cluster of a nameserver list."""
    async with Client(nameserver, timeout_seconds=10) as client, Producer("stage", client=client) as producer:
        yield Stage(nameserver, client, producer)


def _queue_header(queue: MessageQueue) -> QueueRequestHeader:
    return QueueRequestHeader(topic=queue.topic, queue_id=queue.queue_id)


class Seen:
    """A handler that notes what it gets; `decide` may refuse a message, and what was refused is not noted."""

    def __init__(self, decide: Callable[[ReceivedMessage], Retry | None] | None = None, *, seconds: float = 0) -> None:
        self.messages: list[ReceivedMessage] = []
        self.tries: list[ReceivedMessage] = []
        self.busy: dict[MessageQueue, int] = {}
        self.most_at_once = self.most_at_once_in_a_queue = 0
        self._decide = decide
        self._seconds = seconds

    async def __call__(self, message: ReceivedMessage) -> Retry | None:
        self.tries.append(message)
        self.busy[message.queue] = self.busy.get(message.queue, 0) + 1
        self.most_at_once = max(self.most_at_once, sum(self.busy.values()))
        self.most_at_once_in_a_queue = max(self.most_at_once_in_a_queue, self.busy[message.queue])
        try:
            await trio.sleep(self._seconds)
            retry = None if self._decide is None else self._decide(message)
        finally:
            self.busy[message.queue] -= 1
        if retry is None:
            self.messages.append(message)
        return retry

    @property
    def bodies(self) -> list[str]:
        return [message.text for message in self.messages]

    def by_queue(self) -> dict[MessageQueue, list[str]]:
        """Bodies in the order in which they were consumed."""
        found: dict[MessageQueue, list[str]] = {}
        for message in self.messages:
            found.setdefault(message.queue, []).append(message.text)
        return found

    async def wait_for(self, count: int, seconds: float = 30) -> None:
        """Wait until so many different messages were consumed."""
        await until(lambda: len(set(self.bodies)) >= count, f"{count} messages, got {len(self.messages)}", seconds)


async def until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait for a condition; fails with what was waited for."""
    with trio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - what it is about may be anywhere
            await trio.sleep(0.01)
    assert condition(), f"not within {seconds} s: {what}"


async def uninvited() -> None:
    """Time in which a message that must not come, such as a duplicate, would come."""
    await trio.sleep(0.5)
