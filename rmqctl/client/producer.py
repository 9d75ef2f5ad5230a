"""Sending messages: one by one with their results, many at a time, without an answer, in batches.

This module is what a user sees; `delivery` gets requests to brokers, `send_request` makes them.
Source: `DefaultMQProducer` (RocketMQ 4.5.2).
"""

import math
import os
import random
import time
from collections.abc import Iterable
from functools import partial
from typing import Final, Unpack

import trio

from rmqctl.client.answers import Answer
from rmqctl.client.client import Client, ClientOptions
from rmqctl.client.compression import COMPRESS_OVER_BYTES
from rmqctl.client.delivery import Delivery, DeliveryPolicy
from rmqctl.client.errors import ClientError, InvalidArgument
from rmqctl.client.message import Message, MessageOptions, SendResult, check_message, make_message
from rmqctl.client.names import check_group
from rmqctl.client.participant import Participant
from rmqctl.client.pending_sends import PendingSend, PendingSends, SendCallback
from rmqctl.client.queue_choice import ANYWHERE, Placement, QueueSelector
from rmqctl.client.send_request import (
    BATCH_SIZE_BYTES_MAX,
    SendRequest,
    batch_requests,
    batch_results_of,
    result_of,
    single_request,
)
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message_id import UniqueIdGenerator
from rmqnode.protocol.properties import PropertyName

MESSAGE_SIZE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Java's and the broker's `maxMessageSize`."""

_PENDING_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bodies of messages on their way: `send_async` waits for room beyond."""

_CLOSE_SECONDS: Final = 1.0
"""For what was sent without an answer to leave."""


class SendOptions(MessageOptions, total=False):
    """What a send may be told, beside the message."""

    queue: MessageQueue | None
    """Send to this queue."""
    order_key: str | int | None
    """Send all messages with the same key to the same queue, as Java's `SelectMessageQueueByHash` does."""
    select: QueueSelector | None
    """Choose the queue: called with all that take messages."""
    timeout_seconds: float | None
    """For all attempts together; None takes the client's."""


class Producer(Participant):
    """Sends messages. An async context manager.

    Args:
        group: Producer group: brokers ask its members about transactions.
        client: A client to share; None makes one of `options`.
        retries: How often a send is tried again, on another broker if there is one. A send to a chosen queue is not.
        may_duplicate: Whether a message that may be stored already is sent again when its connection broke.
        compress_over_bytes: Bodies from this size on are compressed; None compresses none.
        message_size_bytes_max: Larger bodies are refused before they are sent.
        pending_max: How many messages may be on their way before `send_async` waits.
        avoid_slow_brokers: Leave brokers alone for a while that were slow or failed (Java's `sendLatencyFaultEnable`).
        auto_create_topic: Send messages of an unknown topic to the brokers that create topics by themselves.
        options: See `ClientOptions`.

    Raises:
        InvalidArgument: The group's name is illegal, or an option is.
    """

    def __init__(
        self,
        group: str,
        *,
        client: Client | None = None,
        retries: int = 2,
        may_duplicate: bool = True,
        compress_over_bytes: int | None = COMPRESS_OVER_BYTES,
        message_size_bytes_max: int = MESSAGE_SIZE_BYTES_MAX,
        pending_max: int = 1000,
        avoid_slow_brokers: bool = False,
        auto_create_topic: bool = False,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(client, options)
        self.group = check_group(group)
        policy = DeliveryPolicy(retries, may_duplicate, auto_create_topic)
        self._delivery = Delivery(self.client, group, policy, avoid_slow_brokers=avoid_slow_brokers)
        self._compress_over_bytes = compress_over_bytes
        self._message_size_bytes_max = message_size_bytes_max
        self._pending = PendingSends(pending_max, _PENDING_BYTES_MAX)
        # Java puts a hash there that tells class loaders apart; a random number tells producers apart.
        self._ids = UniqueIdGenerator(self.client.local_ip, os.getpid(), random.getrandbits(32), _now_ms)

    async def _open(self) -> None:
        self.client.members.add_producer(self.group)
        self.tasks.start_soon(self._pending.expire, self._time_out)

    async def _close(self) -> None:
        try:
            await self._pending.wait_empty()
            with trio.move_on_after(_CLOSE_SECONDS):
                await self.client.connection.wait_sent()
        finally:
            self._pending.finish_all(_closed(self.group))
            await self.client.members.remove_producer(self.group)

    async def send(
        self, destination: str | Message, content: object = b"", **options: Unpack[SendOptions]
    ) -> SendResult:
        """Send a message and wait until the broker has stored it.

        Args:
            destination: `topic` or `topic:tag`; or a whole `Message`, without content and message options then.
            content: Bytes as they are, text as UTF-8, anything else as JSON.
            options: See `SendOptions`.

        Raises:
            InvalidArgument: The message can't be carried as it is.
            TopicNotFound: No nameserver routes the topic.
            NoQueue: No broker of the topic takes messages now.
            RequestTimedOut: The message may be stored or not.
            ClientError: A broker can't be reached or refuses.
        """
        request = self._request_of(destination, content, options)
        answer, queue = await self._delivery.deliver(request, _placement(options), self._timeout(options))
        return result_of(answer, request, queue)

    async def send_async(
        self,
        destination: str | Message,
        content: object = b"",
        *,
        callback: SendCallback | None = None,
        **options: Unpack[SendOptions],
    ) -> PendingSend:
        """Send a message and go on; waits only while `pending_max` messages are on their way.

        Args:
            destination: As for `send`.
            content: As for `send`.
            callback: Called with the `SendResult`, or with the ClientError that `send` would have raised.
            options: See `SendOptions`.

        Returns:
            What to wait for the result with, now or later.

        Raises:
            InvalidArgument: The message can't be carried as it is.
        """
        request = self._request_of(destination, content, options)
        placement = _placement(options)
        pending = PendingSend(callback, len(request.body), self._timeout(options))
        await self._pending.add(pending)
        pending.timer_end = trio.current_time() + pending.timeout_seconds
        take_outcome = partial(self._take_outcome, pending, request, placement)
        pending.submission = self._delivery.submit(request, placement, take_outcome)
        if pending.submission is None:
            if placement.is_free:
                self.tasks.start_soon(self._deliver_pending, pending, request, placement, None)
            else:
                # Order counts: what follows must not overtake it while there is no connection.
                await self._deliver_pending(pending, request, placement, None)
        return pending

    async def send_oneway(
        self, destination: str | Message, content: object = b"", **options: Unpack[SendOptions]
    ) -> None:
        """Send a message that is not answered: fast, and nobody knows whether it arrives. Arguments as for `send`.

        Raises:
            InvalidArgument: The message can't be carried as it is.
            ClientError: No broker can be found or connected to.
        """
        request = self._request_of(destination, content, options)
        await self._delivery.tell(request, _placement(options))
        await trio.lowlevel.checkpoint()

    async def flush(self) -> None:
        """Wait until every message of `send_async` has its result or error."""
        await self._pending.wait_empty()

    async def send_batch(
        self,
        messages: Iterable[Message],
        *,
        size_bytes_max: int = BATCH_SIZE_BYTES_MAX,
        queue: MessageQueue | None = None,
        timeout_seconds: float | None = None,
    ) -> list[SendResult]:
        """Send messages of one topic in as few requests as possible, one after the other.

        Args:
            messages: Of one topic and without delay.
            size_bytes_max: Of one request.
            queue: Send all to this queue; None chooses one for each request.
            timeout_seconds: For each request; None takes the client's.

        Returns:
            The result of each message, in order.

        Raises:
            ClientError: As `send`; requests before the one that failed are stored.
        """
        named = [(check_message(message, self._message_size_bytes_max), self._ids.create()) for message in messages]
        placement = Placement(queue) if queue is not None else ANYWHERE
        limit = self._timeout({"timeout_seconds": timeout_seconds})
        results: list[SendResult] = []
        for request in batch_requests(named, size_bytes_max):
            answer, stored_in = await self._delivery.deliver(request, placement, limit)
            results += batch_results_of(answer, request, stored_in)
        return results

    def _request_of(self, destination: str | Message, content: object, options: SendOptions) -> SendRequest:
        self.check_open()
        message = destination if isinstance(destination, Message) else make_message(destination, content, options)
        check_message(message, self._message_size_bytes_max)
        # A message that is passed on keeps the id that it was given first, as Java's `setUniqID` does.
        unique_key = message.system_properties.get(PropertyName.UNIQUE_KEY) or self._ids.create()
        return single_request(message, unique_key, self._compress_over_bytes)

    def _timeout(self, options: SendOptions) -> float:
        timeout_seconds = options.get("timeout_seconds")
        return self.client.connection.timeout_seconds if timeout_seconds is None else timeout_seconds

    def _take_outcome(
        self,
        pending: PendingSend,
        request: SendRequest,
        placement: Placement,
        outcome: Answer | ClientError,
        queue: MessageQueue,
    ) -> None:
        if isinstance(outcome, Answer):
            self._pending.finish(pending, _result_or_error(outcome, request, queue))
        elif placement.is_free and self._delivery.can_repeat(outcome, request.topic):
            self.tasks.start_soon(self._deliver_pending, pending, request, placement, queue.broker_name)
        else:
            self._pending.finish(pending, outcome)

    async def _deliver_pending(
        self, pending: PendingSend, request: SendRequest, placement: Placement, tried_broker: str | None
    ) -> None:
        seconds_left = pending.timer_end - trio.current_time()
        pending.timer_end, pending.submission = math.inf, None
        try:
            answer, queue = await self._delivery.deliver(request, placement, seconds_left, tried_broker)
            self._pending.finish(pending, _result_or_error(answer, request, queue))
        except ClientError as error:
            self._pending.finish(pending, error)
        except trio.Cancelled:
            self._pending.finish(pending, _closed(self.group))
            raise

    def _time_out(self, pending: PendingSend) -> None:
        submission = pending.submission
        if submission is not None:
            self._delivery.note_time_out(submission.broker)
            self._pending.finish(pending, submission.time_out(pending.timeout_seconds))


def _placement(options: SendOptions) -> Placement:
    queue, order_key, select = options.get("queue"), options.get("order_key"), options.get("select")
    if queue is None and order_key is None and select is None:
        return ANYWHERE
    if (queue is not None) + (order_key is not None) + (select is not None) > 1:
        raise InvalidArgument("queue, order_key and select are given together", "each of them says which queue to take")
    return Placement(queue, order_key, select)


def _result_or_error(answer: Answer, request: SendRequest, queue: MessageQueue) -> SendResult | ClientError:
    try:
        return result_of(answer, request, queue)
    except ClientError as error:
        return error


def _closed(group: str) -> ClientError:
    return ClientError(
        f"the producer of group {group} was closed before a message had its result",
        "it may be stored or not",
        "wait for results, or for flush(), before leaving the producer",
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
