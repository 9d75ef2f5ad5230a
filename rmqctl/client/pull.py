"""Reading one queue: a single pull, which the broker may hold until a message arrives. Commits no offset.

The subscription travels in each request, so that no heartbeat is needed and no consumer group learns of the reader.
Source: `PullAPIWrapper#pullKernelImpl`, `PullSysFlag` (RocketMQ 4.5.2).
"""

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

import msgspec

from rmqctl.client.connection import Answer, ClusterConnection
from rmqctl.client.names import Subscription
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.headers import PullMessageRequestHeader, PullMessageResponseHeader
from rmqnode.protocol.message import StoredMessage, decode_records
from rmqnode.protocol.properties import PropertyName

READER_GROUP: Final = "TOOLS_CONSUMER"
"""Every broker has this group from the start (Apache's own tools read with it): reading creates no other."""

HOLD_SECONDS: Final = 15.0
"""How long a broker may hold a pull at the end of a queue, as Java's push consumer asks for."""

HELD_TIMEOUT_SECONDS: Final = 30.0
"""A 4.5.2 broker looks after held pulls every 5 s only, so an answer comes later than asked for."""

_MESSAGE_COUNT_MAX: Final = 32
FLAG_SUSPEND: Final = 2
FLAG_SUBSCRIPTION: Final = 4
"""In the `sys_flag` of a pull: the broker may hold it; the subscription comes with it."""

_PULL_ANSWERS: Final = frozenset(
    map(
        int,
        (
            ResponseCode.SUCCESS,
            ResponseCode.PULL_NOT_FOUND,
            ResponseCode.PULL_RETRY_IMMEDIATELY,
            ResponseCode.PULL_OFFSET_MOVED,
        ),
    )
)


class PullStatus(Enum):
    """How a pull went."""

    FOUND = ResponseCode.SUCCESS
    """There are messages."""
    NO_NEW_MESSAGE = ResponseCode.PULL_NOT_FOUND
    """The end of the queue is reached."""
    NO_MATCHED_MESSAGE = ResponseCode.PULL_RETRY_IMMEDIATELY
    """Messages were passed over that the subscription does not want."""
    OFFSET_ILLEGAL = ResponseCode.PULL_OFFSET_MOVED
    """The offset is before the first message or beyond the end."""


class PullResult(msgspec.Struct, frozen=True):
    """What one pull brought."""

    status: PullStatus
    messages: list[StoredMessage]
    """Those that match the subscription, oldest first."""
    next_offset: int
    """Queue offset to go on from."""
    min_offset: int
    max_offset: int
    """Queue offset that the next message will get."""
    suggested_broker_id: int = 0
    """From which broker of this name to pull next: 0 is the master; a slave, when the master is busy with new data."""


async def pull(
    connection: ClusterConnection,
    address: str,
    queue: MessageQueue,
    subscription: Subscription,
    queue_offset: int,
    *,
    hold: bool,
) -> PullResult:
    """Read up to 32 messages of a queue from the broker at an address.

    With `hold` the broker may wait with its answer until there is a message, for `HOLD_SECONDS`.

    Raises:
        ClientError: BrokerUnreachable, RequestTimedOut, RequestRefused or BadReply.
    """
    header = PullMessageRequestHeader(
        consumer_group=READER_GROUP,
        topic=queue.topic,
        queue_id=queue.queue_id,
        queue_offset=queue_offset,
        max_msg_nums=_MESSAGE_COUNT_MAX,
        sys_flag=FLAG_SUBSCRIPTION | (FLAG_SUSPEND if hold else 0),
        commit_offset=0,
        suspend_timeout_millis=int(HOLD_SECONDS * 1000) if hold else 0,
        subscription=subscription.expression,
        sub_version=0,
        expression_type=subscription.expression_type,
    )
    return await ask_pull(connection, address, queue, header, partial(_wanted, subscription))


async def ask_pull(
    connection: ClusterConnection,
    address: str,
    queue: MessageQueue,
    header: PullMessageRequestHeader,
    wanted: Callable[[list[StoredMessage]], list[StoredMessage]],
) -> PullResult:
    """Ask the broker at an address for what a header says.

    Args:
        connection: To the cluster.
        address: Of the broker.
        queue: The one of the header.
        header: With a time to suspend, the broker may hold the pull so long.
        wanted: Leaves out what the broker let through though it is not subscribed.

    Raises:
        ClientError: As `pull`.
    """
    answer = await connection.ask_broker(
        queue.broker_name,
        address,
        RequestCode.PULL_MESSAGE,
        header,
        success=_PULL_ANSWERS,
        topic=queue.topic,
        timeout_seconds=HELD_TIMEOUT_SECONDS if header.suspend_timeout_millis else None,
    )
    return _pull_result(answer, wanted)


def _pull_result(answer: Answer, wanted: Callable[[list[StoredMessage]], list[StoredMessage]]) -> PullResult:
    header = answer.header(PullMessageResponseHeader)
    try:
        messages = decode_records(answer.payload)
    except ProtocolError as error:
        raise answer.bad(str(error)) from None
    return PullResult(
        PullStatus(answer.code),
        wanted(messages),
        header.next_begin_offset,
        header.min_offset,
        header.max_offset,
        header.suggest_which_broker_id,
    )


def _wanted(subscription: Subscription, messages: list[StoredMessage]) -> list[StoredMessage]:
    if not subscription.tags:
        return messages
    # The broker compares hashes of tags; only the text decides.
    return [message for message in messages if message.properties.get(PropertyName.TAGS) in subscription.tags]
