"""Sending messages, one at a time and each with its answer.

A send is tried on another broker only when it is certain that the first one stored nothing: then a message can't
be there twice. Source: `DefaultMQProducerImpl#sendDefaultImpl` (RocketMQ 4.5.2), differs: no second try after a
time-out or a lost connection, because nobody knows what became of the first.
"""

import os
import random
import time
from typing import Final

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import BrokerUnreachable, InvalidArgument, NoQueue, RequestRefused
from rmqctl.client.message import Message, SendResult, SendStatus, check_message, wire_properties
from rmqctl.client.names import AUTO_CREATE_TOPIC
from rmqctl.client.routes import RouteTable, TopicRoute
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import I32, I64, Header
from rmqnode.protocol.headers import SendMessageRequestHeaderV2
from rmqnode.protocol.message_id import UniqueIdGenerator
from rmqnode.protocol.properties import encode_properties

PRODUCER_GROUP: Final = "rmqctl"

DEFAULT_QUEUE_COUNT: Final = 4
"""Queues that a broker gives a topic which it creates by itself (`defaultTopicQueueNums` of a producer)."""

_STORED: Final = frozenset(int(status.value) for status in SendStatus)

_SURELY_NOT_STORED: Final = frozenset(
    {int(ResponseCode.SERVICE_NOT_AVAILABLE), int(ResponseCode.NO_PERMISSION), int(ResponseCode.TOPIC_NOT_EXIST)}
)
"""Refusals that concern this broker only: another one may take the message."""


class _SendReplyHeader(Header):
    """What a producer needs of the answer to a send; brokers other than 4.5.2 may leave the rest out."""

    msg_id: str
    queue_id: I32
    queue_offset: I64


class Producer:
    """Sends messages to the queues of their topics in turn, or to a given one.

    Args:
        connection: Open as long as the producer is used.
        routes: May be shared with others that use the same connection.
        group: Producer group in the requests; it matters for transactions only.
    """

    def __init__(self, connection: ClusterConnection, routes: RouteTable, *, group: str = PRODUCER_GROUP) -> None:
        self._connection = connection
        self._routes = routes
        self._group = group
        self._turn = random.randrange(1 << 16)
        self._ids: UniqueIdGenerator | None = None

    async def send(self, message: Message, queue: MessageQueue | None = None) -> SendResult:
        """Send a message and wait until the broker has stored it.

        Args:
            message: Checked before anything is sent.
            queue: Where to; None takes the topic's queues in turn.

        Raises:
            InvalidArgument: The message can't be carried as it is.
            TopicNotFound: No nameserver routes the topic.
            NoQueue: No broker of the topic takes messages now, or not in that queue.
            RequestTimedOut: The message may be stored or not.
            ClientError: A broker can't be reached or refuses.
        """
        check_message(message)
        route = await self._routes.get(message.topic)
        queues = [queue] if queue is not None else route.publish_queues()
        if not queues:
            raise _no_queue(route)
        self._turn += 1
        unique_key = await self._next_id()
        while True:
            chosen = queues[self._turn % len(queues)]
            try:
                return await self._send_to(chosen, route, message, unique_key)
            except (BrokerUnreachable, RequestRefused) as error:
                self._routes.forget(message.topic)
                queues = [other for other in queues if other.broker_name != chosen.broker_name]
                if not queues or not _is_surely_not_stored(error):
                    raise

    async def _send_to(self, queue: MessageQueue, route: TopicRoute, message: Message, unique_key: str) -> SendResult:
        header = SendMessageRequestHeaderV2(
            producer_group=self._group,
            topic=message.topic,
            default_topic=AUTO_CREATE_TOPIC,
            default_topic_queue_nums=DEFAULT_QUEUE_COUNT,
            queue_id=queue.queue_id,
            sys_flag=0,
            born_timestamp=_now_ms(),
            flag=0,
            properties=encode_properties(wire_properties(message, unique_key)),
            reconsume_times=0,
        )
        answer = await self._connection.ask_broker(
            queue.broker_name,
            route.master_address(queue.broker_name),
            RequestCode.SEND_MESSAGE_V2,
            header,
            body=message.body,
            success=_STORED,
            topic=message.topic,
        )
        stored = answer.header(_SendReplyHeader)
        return SendResult(
            status=SendStatus(answer.code).name,
            message_id=unique_key,
            offset_message_id=stored.msg_id,
            topic=message.topic,
            broker=queue.broker_name,
            queue_id=stored.queue_id,
            queue_offset=stored.queue_offset,
        )

    async def _next_id(self) -> str:
        if self._ids is None:
            ip = await self._connection.local_ip()
            # Java puts a hash there that tells class loaders apart; a random number tells producers apart.
            self._ids = UniqueIdGenerator(ip, os.getpid(), random.getrandbits(32), _now_ms)
        return self._ids.create()


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
        raise _no_queue(route)
    known = ", ".join(f"{part.broker} 0 to {part.write_queues - 1}" for part in route.brokers if part.is_writable)
    where = f" on {broker}" if broker is not None else ""
    raise InvalidArgument(f"topic {route.topic} has no queue {queue_id}{where} to send to", f"queues are: {known}")


def _is_surely_not_stored(error: BrokerUnreachable | RequestRefused) -> bool:
    if isinstance(error, BrokerUnreachable):
        return not error.maybe_done
    return error.response_code in _SURELY_NOT_STORED


def _no_queue(route: TopicRoute) -> NoQueue:
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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
