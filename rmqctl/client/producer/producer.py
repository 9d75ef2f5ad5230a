"""Sending messages: one by one with their results, many at a time, without an answer, in batches.

This module is what a user sees; `delivery` gets requests to brokers, `send_request` makes them.
Source: `DefaultMQProducer` (RocketMQ 4.5.2).
"""

import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, Unpack

import trio

from rmqctl.client.client import Client, ClientOptions
from rmqctl.client.compression import COMPRESS_OVER_BYTES
from rmqctl.client.limits import check_at_least
from rmqctl.client.message import Message, SendResult, check_message, encode_content, make_message
from rmqctl.client.names import check_group
from rmqctl.client.participant import Participant
from rmqctl.client.producer.delivery import Delivery, DeliveryPolicy
from rmqctl.client.producer.pending_sends import PendingSend, PendingSends, SendCallback, closed_too_early
from rmqctl.client.producer.queue_choice import ANYWHERE, Placement
from rmqctl.client.producer.request_reply import know_reply_brokers, reply_message, request_message
from rmqctl.client.producer.send_options import SendOptions, placement_of
from rmqctl.client.producer.send_request import (
    BATCH_SIZE_BYTES_MAX,
    SendRequest,
    batch_requests,
    batch_results_of,
    result_of,
    single_request,
)
from rmqctl.client.producer.transactions import Checker, HalfMessageNotSafe, Transaction, Transactions, TransactionState
from rmqctl.client.received import ReceivedMessage
from rmqctl.client.replies import NoReply
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message_id import UniqueIdGenerator
from rmqnode.protocol.properties import PropertyName

MESSAGE_SIZE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Java's and the broker's `maxMessageSize`."""

PENDING_MAX: Final = 256
"""Enough to keep a broker busy; with thousands it sheds messages that waited for 200 ms."""

_CLOSE_SECONDS: Final = 1.0
"""For what was sent without an answer to leave."""


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
        check_transaction: Answers brokers that ask what became of a transaction, of this producer or another one of
            its group: `async def check(message: ReceivedMessage) -> TransactionState`.
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
        pending_max: int = PENDING_MAX,
        avoid_slow_brokers: bool = False,
        auto_create_topic: bool = False,
        check_transaction: Checker | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(client, options)
        self.group = check_group(group)
        check_at_least(0, retries=retries, compress_over_bytes=compress_over_bytes)
        check_at_least(1, pending_max=pending_max, message_size_bytes_max=message_size_bytes_max)
        policy = DeliveryPolicy(retries, may_duplicate, auto_create_topic)
        self._delivery = Delivery(self.client, group, policy, avoid_slow_brokers=avoid_slow_brokers)
        self._transactions = Transactions(self.client, group, check_transaction)
        self._compress_over_bytes = compress_over_bytes
        self._message_size_bytes_max = message_size_bytes_max
        self._pending = PendingSends(self._delivery, pending_max)
        # Java puts a hash there that tells class loaders apart; a random number tells producers apart.
        self._ids = UniqueIdGenerator(self.client.local_ip, os.getpid(), random.getrandbits(32), _now_ms)

    async def _open(self) -> None:
        self.client.members.add_producer(self.group)
        self._transactions.start()
        await self.tasks.start(self._pending.run)

    async def _close(self) -> None:
        try:
            await self._pending.wait_empty()
            with trio.move_on_after(_CLOSE_SECONDS):
                await self.client.connection.wait_sent()
        finally:
            self._pending.finish_all(closed_too_early())
            self._transactions.stop()
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
        answer, queue = await self._delivery.deliver(request, placement_of(options), self._timeout(options))
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
        pending = PendingSend(request, placement_of(options), self._timeout(options), callback)
        await self._pending.start(pending)
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
        await self._delivery.tell(request, placement_of(options))
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

    @asynccontextmanager
    async def transaction(
        self, destination: str | Message, content: object = b"", **options: Unpack[SendOptions]
    ) -> AsyncIterator[Transaction]:
        """Send a half message, and run the block as the local transaction that decides about it.

        Consumers get the message when the block ends, unless it called `roll_back()` or `leave_open()` on what the
        context manager gives. When the block raises, the broker asks `check_transaction` later; a producer without one
        rolls back. Arguments and errors are those of `send`; and:

        Raises:
            HalfMessageNotSafe: The broker stored it, but not on disk or slave in time: rolled back, the block not run.
            ClientError: The broker could not be told of the commit, and there is no checker that it could ask.
        """
        message = self._transactions.half_message(self._message_of(destination, content, options))
        request = self._request(message)
        answer, queue = await self._delivery.deliver(request, placement_of(options), self._timeout(options))
        async with self._transactions.open(result_of(answer, request, queue), answer.address) as transaction:
            yield transaction

    async def send_in_transaction(
        self,
        destination: str | Message,
        content: object = b"",
        *,
        local_transaction: Callable[[Transaction], Awaitable[TransactionState]],
        **options: Unpack[SendOptions],
    ) -> Transaction:
        """Send a half message and decide about it by what a function returns; as `transaction` otherwise.

        Returns:
            The half message and the state that the broker was told; ROLLBACK, without a call of the function, when
            the broker did not store it as safely as it should.
        """
        try:
            async with self.transaction(destination, content, **options) as transaction:
                transaction.state = TransactionState(await local_transaction(transaction))
        except HalfMessageNotSafe as error:
            return error.transaction
        return transaction

    async def request(
        self, destination: str | Message, content: object = b"", **options: Unpack[SendOptions]
    ) -> ReceivedMessage:
        """Send a request message and wait for a consumer's reply, for `timeout_seconds` in all.

        Needs brokers of 4.6 or later. Arguments and errors are those of `send`; and:

        Raises:
            NoReply: Nobody replied in time.
        """
        limit = self._timeout(options)
        deadline = trio.current_time() + limit
        message = self._message_of(destination, content, options)
        message, correlation_id = request_message(message, self.client.client_id, limit)
        request = self._request(message)
        await know_reply_brokers(self.client.routes, message.topic)
        await self.client.members.introduce()
        with self.client.replies.expect(correlation_id) as reply:
            await self._delivery.deliver(request, placement_of(options), deadline - trio.current_time())
            with trio.move_on_at(deadline):
                return await reply.wait()
        raise NoReply(message.topic, request.message_ids[0], limit)

    async def reply(self, request: ReceivedMessage, content: object = b"") -> None:
        """Reply to a request message that a consumer got.

        Raises:
            InvalidArgument: It is no request message, or its broker is older than 4.6.
            RequestRefused: The client that asked is not there any more.
            ClientError: As `send`.
        """
        self.check_open()
        message = reply_message(request, encode_content(content))
        await self._delivery.deliver(self._request(message), ANYWHERE, self._timeout({}))

    def _request_of(self, destination: str | Message, content: object, options: SendOptions) -> SendRequest:
        return self._request(self._message_of(destination, content, options))

    def _message_of(self, destination: str | Message, content: object, options: SendOptions) -> Message:
        self.check_open()
        return destination if isinstance(destination, Message) else make_message(destination, content, options)

    def _request(self, message: Message) -> SendRequest:
        check_message(message, self._message_size_bytes_max)
        # A message that is passed on keeps the id that it was given first, as Java's `setUniqID` does.
        unique_key = message.system_properties.get(PropertyName.UNIQUE_KEY) or self._ids.create()
        return single_request(message, unique_key, self._compress_over_bytes)

    def _timeout(self, options: SendOptions) -> float:
        timeout_seconds = options.get("timeout_seconds")
        return self.client.connection.timeout_seconds if timeout_seconds is None else timeout_seconds


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
