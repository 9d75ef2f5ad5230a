"""Having a consumer group consume a message once more: at once by one of its members, or as a redelivery.

Source: `DefaultMQAdminExtImpl#consumeMessageDirectly`, `AdminBrokerProcessor#consumeMessageDirectly`,
`SendMessageProcessor#consumerSendMsgBack` (RocketMQ 4.5.2).
"""

from typing import Final

import msgspec

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import BodyDamaged, RequestRefused
from rmqctl.errors import RmqctlError
from rmqnode.protocol.bodies import Body, MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import I64, Header
from rmqnode.protocol.headers import ConsumerSendMsgBackRequestHeader
from rmqnode.protocol.message import StoredMessage

_CONSUME_SECONDS: Final = 30.0
"""The broker itself waits ten seconds for the member."""

_FIRST_DELAY_LEVEL: Final = 1
_RETRIES_MIN: Final = 16
_SUCCESSES: Final = frozenset({"CR_SUCCESS", "CR_COMMIT"})


class _ConsumeDirectlyRequestHeader(Header):
    """Header of CONSUME_MESSAGE_DIRECTLY (309), to a broker that passes it on to the member."""

    consumer_group: str
    client_id: str
    msg_id: str
    broker_name: str


class _ConsumeDirectlyResult(Body, frozen=True):
    """Answer of the member that consumed it."""

    order: bool = False
    consume_result: str | None = None
    remark: str | None = None
    spent_time_mills: I64 = 0


class DirectResult(msgspec.Struct, frozen=True):
    """How a member consumed a message. Its members are JSON of `rmqctl message resend --json`."""

    client_id: str
    result: str
    """Java's word: `CR_SUCCESS`, `CR_LATER`, `CR_ROLLBACK`, `CR_COMMIT`, `CR_THROW_EXCEPTION`, `CR_RETURN_NULL`."""
    remark: str | None
    spent_ms: int

    @property
    def is_success(self) -> bool:
        """Whether the member would not want it again."""
        return self.result in _SUCCESSES


async def consume_directly(
    connection: ClusterConnection, broker: str, message: StoredMessage, group: str, client_id: str
) -> DirectResult:
    """Have one member of a group consume a message now; neither offsets nor the message change.

    Raises:
        RmqctlError: The member is not connected to the broker of the message.
        BodyDamaged: Its body is, and a member in Java would not notice.
        ClientError: The broker does not answer, or refuses.
    """
    _check_body(broker, message)
    header = _ConsumeDirectlyRequestHeader(
        consumer_group=group, client_id=client_id, msg_id=message.offset_message_id, broker_name=broker
    )
    try:
        answer = await connection.ask_broker(
            broker,
            str(message.store_host),
            RequestCode.CONSUME_MESSAGE_DIRECTLY,
            header,
            timeout_seconds=_CONSUME_SECONDS,
        )
    except RequestRefused as error:
        if error.response_code != ResponseCode.CONSUMER_NOT_ONLINE:
            raise
        raise RmqctlError(
            f"{client_id} of group {group} is not connected to {broker}",
            error.remark,
            f"see who is: rmqctl group describe {group}; or queue the message for redelivery: --retry",
        ) from None
    result = answer.body(_ConsumeDirectlyResult)
    return DirectResult(client_id, result.consume_result or "unknown", result.remark, result.spent_time_mills)


async def send_to_retry_topic(connection: ClusterConnection, broker: str, message: StoredMessage, group: str) -> None:
    """Put a copy of a message into the retry topic of a group, which consumes it a second later.

    Raises:
        BodyDamaged: Its body is; the copy would have a CRC that fits it.
        ClientError: The broker does not answer, or refuses: it does not know the group.
    """
    _check_body(broker, message)
    header = ConsumerSendMsgBackRequestHeader(
        offset=message.physical_offset,
        group=group,
        delay_level=_FIRST_DELAY_LEVEL,
        origin_msg_id=message.message_id,
        origin_topic=message.topic,
        # One that has used up its redeliveries would go to the dead-letter queue (again).
        max_reconsume_times=max(_RETRIES_MIN, message.reconsume_times + 1),
    )
    await connection.ask_broker(broker, str(message.store_host), RequestCode.CONSUMER_SEND_MSG_BACK, header)


def _check_body(broker: str, message: StoredMessage) -> None:
    if message.has_damaged_body:
        raise BodyDamaged(message, MessageQueue(topic=message.topic, broker_name=broker, queue_id=message.queue_id))
