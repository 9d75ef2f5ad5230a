"""Finding single messages: by the broker's id, the producer's id, a key, or queue and offset.

An offset message id says which broker has the message and where; every other way goes through the brokers of a topic.
Source: `MQAdminImpl#queryMessage`, `#viewMessage` (RocketMQ 4.5.2).
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from rmqctl.client.admin.topology import Topology
from rmqctl.client.connection import Answer, ClusterConnection
from rmqctl.client.errors import ClientError, RequestRefused
from rmqctl.client.names import Subscription
from rmqctl.client.parallel import in_parallel
from rmqctl.client.pull import pull
from rmqctl.client.routes import MASTER_ID, RouteTable
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.headers import QueryMessageRequestHeader, ViewMessageRequestHeader
from rmqnode.protocol.message import Host, StoredMessage, decode_records
from rmqnode.protocol.message_id import MalformedMessageId, decode_offset_message_id
from rmqnode.protocol.properties import PropertyName

Found = tuple[MessageQueue, StoredMessage]

_FOUND_OR_NOT: Final = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.QUERY_NOT_FOUND)})
_TIMESTAMP_MAX: Final = 2**63 - 1
_TOPICS_AT_ONCE: Final = 16
_UNIQUE_KEY_COUNT_MAX: Final = 32
"""A message that was sent again after a time-out is there several times."""


class MessageLookup:
    """Looks for messages on the masters of a cluster.

    Args:
        connection: Open as long as this is used.
        routes: Where topics are looked up.
    """

    def __init__(self, connection: ClusterConnection, routes: RouteTable) -> None:
        self._connection = connection
        self._routes = routes

    async def by_offset_id(self, message_id: str, topology: Topology) -> Found | None:
        """Return the message with an offset message id; None when it names none, or no broker of the topology."""
        try:
            ip, port, physical_offset = decode_offset_message_id(message_id)
        except MalformedMessageId:
            return None
        address = str(Host(ip, port))
        broker = next((group.name for group in topology.groups if group.addresses.get(MASTER_ID) == address), None)
        if broker is None:
            return None
        try:
            answer = await self._connection.ask_broker(
                broker, address, RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequestHeader(offset=physical_offset)
            )
        except RequestRefused as error:
            # That is how a broker says that nothing begins at this offset.
            if error.response_code == ResponseCode.SYSTEM_ERROR:
                return None
            raise
        found = _messages_of(answer)
        return (_queue_of(broker, found[0]), found[0]) if found else None

    async def by_unique_id(self, topic: str, message_id: str) -> list[Found]:
        """Return the messages of a topic that a producer gave an id, oldest first."""
        found = await self._query(topic, message_id, _UNIQUE_KEY_COUNT_MAX, 0, _TIMESTAMP_MAX, is_unique_key=True)
        return [each for each in found if each[1].properties.get(PropertyName.UNIQUE_KEY) == message_id]

    async def by_unique_id_anywhere(self, topics: Sequence[str], message_id: str) -> list[Found]:
        """Return the messages of any of these topics that a producer gave an id."""
        limiter = trio.CapacityLimiter(_TOPICS_AT_ONCE)

        async def look(topic: str) -> list[Found]:
            async with limiter:
                try:
                    return await self.by_unique_id(topic, message_id)
                except ClientError:
                    # A topic may be gone by now, or its broker away: the message may be in another one.
                    return []

        return [each for found in await in_parallel([partial(look, topic) for topic in topics]) for each in found]

    async def by_key(
        self, topic: str, key: str, count_max: int, begin_ms: int = 0, end_ms: int = _TIMESTAMP_MAX
    ) -> list[Found]:
        """Return up to `count_max` messages of each broker with a key, stored in a span of time, oldest first."""
        found = await self._query(topic, key, count_max, begin_ms, end_ms, is_unique_key=False)
        # The index has hashes of keys only.
        return [each for each in found if key in each[1].properties.get(PropertyName.KEYS, "").split()]

    async def by_queue_offset(self, queue: MessageQueue, queue_offset: int) -> Found | None:
        """Return the message at an offset of a queue; None when there is none."""
        route = await self._routes.get(queue.topic)
        address = route.master_address(queue.broker_name)
        everything = Subscription(queue.topic, ())
        result = await pull(self._connection, address, queue, everything, queue_offset, hold=False)
        message = next((each for each in result.messages if each.queue_offset == queue_offset), None)
        return None if message is None else (queue, message)

    async def _query(
        self, topic: str, key: str, count_max: int, begin_ms: int, end_ms: int, *, is_unique_key: bool
    ) -> list[Found]:
        header = QueryMessageRequestHeader(
            topic=topic,
            key=key,
            max_num=count_max,
            begin_timestamp=begin_ms,
            end_timestamp=end_ms,
            is_unique_key="true" if is_unique_key else None,
        )
        route = await self._routes.get(topic)

        async def ask(broker: str) -> list[Found]:
            answer = await self._connection.ask_broker(
                broker,
                route.master_address(broker),
                RequestCode.QUERY_MESSAGE,
                header,
                success=_FOUND_OR_NOT,
                topic=topic,
            )
            return [(_queue_of(broker, message), message) for message in _messages_of(answer)]

        answers = await in_parallel([partial(ask, part.broker) for part in route.brokers])
        found = [each for answer in answers for each in answer if each[1].topic == topic]
        return sorted(found, key=lambda each: each[1].store_timestamp)


def _messages_of(answer: Answer) -> list[StoredMessage]:
    if answer.code != ResponseCode.SUCCESS:
        return []
    try:
        return decode_records(answer.payload)
    except ProtocolError as error:
        raise answer.bad(str(error)) from None


def _queue_of(broker: str, message: StoredMessage) -> MessageQueue:
    return MessageQueue(topic=message.topic, broker_name=broker, queue_id=message.queue_id)
