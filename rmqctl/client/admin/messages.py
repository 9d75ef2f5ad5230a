"""Messages for programs: found by id, key, place or time, and given to a group once more."""

from rmqctl.client.admin.lookup import Found, MessageLookup
from rmqctl.client.admin.message_scan import COUNT_MAX, messages_between
from rmqctl.client.admin.resend import DirectResult, consume_directly, send_to_retry_topic
from rmqctl.client.admin.topology import topology_of
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.names import Subscription
from rmqctl.client.received import ReceivedMessage
from rmqctl.client.routes import RouteTable
from rmqnode.protocol.bodies import ClusterInfo, MessageQueue
from rmqnode.protocol.codes import RequestCode

_KEY_COUNT_MAX = 64
"""Java's default for a query by key."""


class MessageAdmin:
    """Looks for messages on the masters of a cluster.

    All methods raise TopicNotFound, NoMaster, BrokerUnreachable, RequestTimedOut, RequestRefused, BadReply.
    """

    def __init__(self, connection: ClusterConnection, routes: RouteTable) -> None:
        self._connection = connection
        self._routes = routes
        self._lookup = MessageLookup(connection, routes)

    async def by_offset_id(self, message_id: str) -> ReceivedMessage | None:
        """Return the message with a broker's id (`SendResult.offset_message_id`); None when there is none."""
        answer = await self._connection.ask_nameserver(RequestCode.GET_BROKER_CLUSTER_INFO)
        found = await self._lookup.by_offset_id(message_id, topology_of(answer.body(ClusterInfo)))
        return None if found is None else _received(found)

    async def by_unique_key(self, topic: str, message_id: str) -> list[ReceivedMessage]:
        """Return the messages of a topic that a producer gave an id (`SendResult.message_id`), oldest first.

        They are several when the message was sent again because nobody knew whether it was stored.
        """
        return list(map(_received, await self._lookup.by_unique_id(topic, message_id)))

    async def by_key(
        self,
        topic: str,
        key: str,
        *,
        count_max: int = _KEY_COUNT_MAX,
        begin_ms: int = 0,
        end_ms: int = 2**63 - 1,
    ) -> list[ReceivedMessage]:
        """Return up to `count_max` messages of each broker with a key, stored in a span of time, oldest first."""
        return list(map(_received, await self._lookup.by_key(topic, key, count_max, begin_ms, end_ms)))

    async def at(self, queue: MessageQueue, queue_offset: int) -> ReceivedMessage | None:
        """Return the message at an offset of a queue; None when there is none."""
        found = await self._lookup.by_queue_offset(queue, queue_offset)
        return None if found is None else _received(found)

    async def between(
        self, subscription: Subscription, begin_ms: int, end_ms: int, *, count_max: int = COUNT_MAX
    ) -> list[ReceivedMessage]:
        """Return the messages stored from one time to before another, at most `count_max` of each queue."""
        found = await messages_between(self._connection, self._routes, subscription, begin_ms, end_ms, count_max)
        return list(map(_received, found))

    async def consume_directly(self, message: ReceivedMessage, group: str, client_id: str) -> DirectResult:
        """Have one member of a group consume a message now; neither offsets nor the message change."""
        return await consume_directly(self._connection, message.queue.broker_name, message.stored, group, client_id)

    async def send_to_group(self, message: ReceivedMessage, group: str) -> None:
        """Have a group consume a message once more, a second later, from its retry topic."""
        await send_to_retry_topic(self._connection, message.queue.broker_name, message.stored, group)


def _received(found: Found) -> ReceivedMessage:
    queue, message = found
    return ReceivedMessage(message, queue)
