"""What a member of a consumer group asks brokers: pulls, offsets, members, queue locks, redelivery.

Each method is one request to the broker of a queue, found by the last known route; all raise ClientErrors. When to ask,
and what to do about an error, is decided elsewhere. Source: `MQClientAPIImpl`, `PullAPIWrapper` (RocketMQ 4.5.2).
"""

import random
from typing import Final

from msgspec import structs

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.consumer.retry import retry_copy_header, retry_topic, send_back_header
from rmqctl.client.consumer.selector import Selector
from rmqctl.client.consumer.topics import Topics
from rmqctl.client.errors import NoQueue
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.pull import FLAG_SUBSCRIPTION, FLAG_SUSPEND, HOLD_SECONDS, PullResult, ask_pull
from rmqctl.client.routes import MASTER_ID, TopicRoute
from rmqnode.protocol.bodies import (
    CheckClientRequestBody,
    GetConsumerListByGroupResponseBody,
    LockBatchRequestBody,
    LockBatchResponseBody,
    MessageQueue,
    UnlockBatchRequestBody,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import (
    GetConsumerListByGroupRequestHeader,
    PullMessageRequestHeader,
    QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader,
    UpdateConsumerOffsetRequestHeader,
)
from rmqnode.protocol.message import StoredMessage

_OFFSET_OR_NONE: Final = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.QUERY_NOT_FOUND)})
_MEMBERS_OR_NONE: Final = frozenset({int(ResponseCode.SUCCESS), int(ResponseCode.SYSTEM_ERROR)})
_STORED: Final = frozenset(
    {
        int(ResponseCode.SUCCESS),
        int(ResponseCode.FLUSH_DISK_TIMEOUT),
        int(ResponseCode.FLUSH_SLAVE_TIMEOUT),
        int(ResponseCode.SLAVE_NOT_AVAILABLE),
    }
)

_OFFSET_TIMEOUT_SECONDS: Final = 5.0
_SEND_BACK_TIMEOUT_SECONDS: Final = 5.0
_LOCK_TIMEOUT_SECONDS: Final = 1.0

_FLAG_COMMIT: Final = 1


class GroupRequests:
    """Requests of one member.

    Args:
        connection: Open as long as this is used.
        topics: Where queues are.
        group: The consumer group.
        client_id: Of this member.
    """

    def __init__(self, connection: ClusterConnection, topics: Topics, group: str, client_id: str) -> None:
        self._connection = connection
        self._topics = topics
        self._group = group
        self._client_id = client_id

    async def pull(
        self,
        queue: MessageQueue,
        queue_offset: int,
        selector: Selector,
        *,
        broker_id: int = MASTER_ID,
        commit_offset: int | None = None,
        count_max: int = 32,
        hold: bool = True,
        with_subscription: bool = False,
    ) -> PullResult:
        """Read messages from the broker with an id, or from any of that name if it is not there.

        Args:
            queue: Which one.
            queue_offset: Where to read.
            selector: What is wanted.
            broker_id: As the last answer suggested.
            commit_offset: Persist this offset in passing; only a master does.
            count_max: Most messages of one answer; the broker has a limit of its own.
            hold: Let the broker wait for a message, for 15 s.
            with_subscription: Send the selector; otherwise that of the last heartbeat counts.
        """
        used_id, address = await self._topics.address(queue, broker_id)
        is_commit = commit_offset is not None and commit_offset > 0 and used_id == MASTER_ID
        flags = _FLAG_COMMIT * is_commit | FLAG_SUSPEND * hold | FLAG_SUBSCRIPTION * with_subscription
        header = PullMessageRequestHeader(
            consumer_group=self._group,
            topic=queue.topic,
            queue_id=queue.queue_id,
            queue_offset=queue_offset,
            max_msg_nums=count_max,
            sys_flag=flags,
            commit_offset=commit_offset or 0,
            suspend_timeout_millis=int(HOLD_SECONDS * 1000) if hold else 0,
            subscription=selector.expression if with_subscription else None,
            sub_version=self._topics.version(queue.topic),
            expression_type=selector.kind,
        )
        return await ask_pull(self._connection, address, queue, header, selector.wanted)

    async def query_offset(self, queue: MessageQueue) -> int | None:
        """Return the offset that the broker keeps for the group; None when it has none."""
        header = QueryConsumerOffsetRequestHeader(
            consumer_group=self._group, topic=queue.topic, queue_id=queue.queue_id
        )
        _, address = await self._topics.address(queue)
        answer = await self._connection.ask_broker(
            queue.broker_name,
            address,
            RequestCode.QUERY_CONSUMER_OFFSET,
            header,
            success=_OFFSET_OR_NONE,
            topic=queue.topic,
            timeout_seconds=_OFFSET_TIMEOUT_SECONDS,
        )
        if answer.code == ResponseCode.QUERY_NOT_FOUND:
            return None
        return answer.header(QueryConsumerOffsetResponseHeader).offset

    async def update_offset(self, queue: MessageQueue, queue_offset: int) -> None:
        """Have the broker keep an offset for the group."""
        header = UpdateConsumerOffsetRequestHeader(
            consumer_group=self._group, topic=queue.topic, queue_id=queue.queue_id, commit_offset=queue_offset
        )
        code = RequestCode.UPDATE_CONSUMER_OFFSET
        _, address = await self._topics.address(queue)
        await self._connection.ask_broker(queue.broker_name, address, code, header, topic=queue.topic)

    async def queue_offsets(self, topic: str) -> QueueOffsets:
        """Return what asks for first, next and nearest offsets of a topic's queues: masters, or slaves without one."""
        route = await self._topics.route(topic) or TopicRoute(topic, ())
        # A slave knows no less than it lets be read.
        servers = [structs.replace(part, addresses=_as_master(part.addresses)) for part in route.brokers]
        return QueueOffsets(self._connection, structs.replace(route, brokers=tuple(servers)))

    async def members(self, broker: str, address: str) -> list[str]:
        """Return the client ids of all members that one broker knows; none when it does not know the group."""
        answer = await self._connection.ask_broker(
            broker,
            address,
            RequestCode.GET_CONSUMER_LIST_BY_GROUP,
            GetConsumerListByGroupRequestHeader(consumer_group=self._group),
            success=_MEMBERS_OR_NONE,
        )
        if answer.code != ResponseCode.SUCCESS:
            return []
        return answer.body(GetConsumerListByGroupResponseBody).consumer_id_list

    async def lock(self, queues: list[MessageQueue]) -> set[MessageQueue]:
        """Ask one broker to keep its queues for this member, for 60 s; returns those that are ours now."""
        body = LockBatchRequestBody(consumer_group=self._group, client_id=self._client_id, mq_set=queues)
        _, address = await self._topics.address(queues[0])
        answer = await self._connection.ask_broker(
            queues[0].broker_name,
            address,
            RequestCode.LOCK_BATCH_MQ,
            body=body.encode(),
            timeout_seconds=_LOCK_TIMEOUT_SECONDS,
        )
        return set(answer.body(LockBatchResponseBody).lock_ok_mq_set)

    async def unlock(self, queues: list[MessageQueue]) -> None:
        """Give queues of one broker back to whoever asks first."""
        body = UnlockBatchRequestBody(consumer_group=self._group, client_id=self._client_id, mq_set=queues)
        _, address = await self._topics.address(queues[0])
        await self._connection.ask_broker(
            queues[0].broker_name,
            address,
            RequestCode.UNLOCK_BATCH_MQ,
            body=body.encode(),
            timeout_seconds=_LOCK_TIMEOUT_SECONDS,
        )

    async def check_selector(self, selector: Selector) -> None:
        """Have a broker of the topic check the expression of a subscription; nobody is asked about an unknown topic.

        Raises:
            RequestRefused: It can't be parsed, or the broker filters by tags only.
        """
        route = await self._topics.route(selector.topic)
        masters = [part for part in route.brokers if part.master_address] if route is not None else []
        if masters:
            part = random.choice(masters)
            body = CheckClientRequestBody(
                client_id=self._client_id, group=self._group, subscription_data=selector.subscription(0)
            )
            await self._connection.ask_broker(
                part.broker,
                part.addresses[MASTER_ID],
                RequestCode.CHECK_CLIENT_CONFIG,
                body=body.encode(),
                topic=selector.topic,
            )

    async def send_back(
        self, stored: StoredMessage, queue: MessageQueue, delay_level: int, max_reconsume_times: int
    ) -> None:
        """Have the broker deliver a message again later, from its own copy."""
        _, address = await self._topics.address(queue)
        await self._connection.ask_broker(
            queue.broker_name,
            address,
            RequestCode.CONSUMER_SEND_MSG_BACK,
            send_back_header(stored, self._group, delay_level, max_reconsume_times),
            topic=queue.topic,
            timeout_seconds=_SEND_BACK_TIMEOUT_SECONDS,
        )

    async def send_copy(self, stored: StoredMessage, reconsume_times: int, max_reconsume_times: int) -> None:
        """Send a copy of a message to the group's retry topic, on any broker.

        Raises:
            NoQueue: No broker takes messages for it.
        """
        topic = retry_topic(self._group)
        route = await self._topics.route(topic)
        queues = route.publish_queues() if route is not None else []
        if not queues:
            raise NoQueue(f"no broker takes messages for topic {topic} now")
        queue = random.choice(queues)
        _, address = await self._topics.address(queue)
        await self._connection.ask_broker(
            queue.broker_name,
            address,
            RequestCode.SEND_MESSAGE_V2,
            retry_copy_header(stored, self._group, queue.queue_id, reconsume_times, max_reconsume_times),
            body=stored.body,
            success=_STORED,
            topic=topic,
        )


def _as_master(addresses: dict[int, str]) -> dict[int, str]:
    return {MASTER_ID: addresses[min(addresses)]} if addresses else {}
