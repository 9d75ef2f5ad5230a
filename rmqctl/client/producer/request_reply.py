"""Request messages and their replies: a call over a topic, since RocketMQ 4.6.

    request ─▶ topic ─▶ consumer        carries who waits (client id) and for what (correlation id)
    reply ─▶ broker ─▶ the one client   SEND_REPLY_MESSAGE_V2, then PUSH_REPLY_MESSAGE_TO_CLIENT; stored too, by default

A broker finds the waiting client among its producers, by heartbeat; therefore every broker of the cluster must have
one. Source: `DefaultMQProducerImpl#request`, `MessageUtil#createReplyMessage`, `ClientRemotingProcessor` (4.9.7).
"""

import uuid
from contextlib import suppress
from typing import Final

import msgspec

from rmqctl.client.errors import ClientError, InvalidArgument
from rmqctl.client.message import Message
from rmqctl.client.names import REPLY_SUFFIX
from rmqctl.client.producer.send_request import REPLY_MESSAGE_TYPE
from rmqctl.client.received import ReceivedMessage
from rmqctl.client.routes import RouteTable
from rmqnode.protocol.message import Host
from rmqnode.protocol.properties import PropertyName

_NO_HOST: Final = Host(bytes(4), 0)


def request_message(message: Message, client_id: str, timeout_seconds: float) -> tuple[Message, str]:
    """Return a message as a request of a client, and its correlation id."""
    correlation_id = str(uuid.uuid4())
    properties = {
        PropertyName.CORRELATION_ID: correlation_id,
        PropertyName.REPLY_TO_CLIENT: client_id,
        PropertyName.MESSAGE_TTL: str(int(timeout_seconds * 1000)),
    }
    return msgspec.structs.replace(message, system_properties=properties), correlation_id


def reply_message(request: ReceivedMessage, body: bytes) -> Message:
    """Return the reply to a request message.

    Raises:
        InvalidArgument: It is none, or its broker can't pass replies on.
    """
    names = (PropertyName.CORRELATION_ID, PropertyName.REPLY_TO_CLIENT, PropertyName.MESSAGE_TTL)
    missing = [name for name in names if name not in request.properties]
    if missing:
        raise InvalidArgument(f"message {request.message_id} is no request message", f"it has no property {missing[0]}")
    cluster = request.properties.get(PropertyName.CLUSTER)
    if cluster is None:
        raise InvalidArgument(
            f"request message {request.message_id} can't be replied to",
            "its broker did not say of which cluster it is: brokers pass replies on since 4.6",
        )
    properties = {name: request.properties[name] for name in names}
    properties[PropertyName.MESSAGE_TYPE] = REPLY_MESSAGE_TYPE
    return Message(_reply_topic(cluster), body, system_properties=properties)


async def know_reply_brokers(routes: RouteTable, topic: str) -> None:
    """Look up where replies to requests on a topic will come from, so that those brokers get heartbeats."""
    route = await routes.get(topic)
    for cluster in {part.cluster for part in route.brokers}:
        with suppress(ClientError):
            await routes.get(_reply_topic(cluster))


def _reply_topic(cluster: str) -> str:
    return cluster + REPLY_SUFFIX
