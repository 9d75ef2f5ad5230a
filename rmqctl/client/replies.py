"""Replies to request messages, on the side that waits: handed out by their correlation id.

Source: `ClientRemotingProcessor#receiveReplyMessage`, `RequestFutureHolder` (RocketMQ 4.9.7).
"""

import time
from typing import Final

import trio

from rmqctl.client.broker_requests import BrokerRequest
from rmqctl.client.errors import ClientError
from rmqctl.client.received import ReceivedMessage
from rmqctl.errors import ExitCode
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.headers import ReplyMessageRequestHeader
from rmqnode.protocol.message import Host, StoredMessage
from rmqnode.protocol.properties import PropertyName, decode_properties
from rmqnode.protocol.routes import Reply

_NO_HOST: Final = Host(bytes(4), 0)


class NoReply(ClientError):
    """Nobody replied to a request message in time. It may have been consumed."""

    exit_code = ExitCode.TIMEOUT

    def __init__(self, topic: str, message_id: str, timeout_seconds: float) -> None:
        self.topic = topic
        self.message_id = message_id
        super().__init__(
            f"no reply to request message {message_id} on topic {topic} within {timeout_seconds:g} s",
            "nobody consumes the topic now, the consumer did not reply in time, or the broker is older than 4.6",
            "see who consumes: rmqctl group list; give it more time: timeout_seconds",
        )


class _Wait:
    def __init__(self) -> None:
        self.done = trio.Event()
        self.reply: ReceivedMessage | None = None


class Replies:
    """Replies that a client waits for."""

    def __init__(self) -> None:
        self._waits: dict[str, _Wait] = {}

    def expect(self, correlation_id: str) -> None:
        """Take the reply with this correlation id when it comes; `wait` or `forget` must follow."""
        self._waits[correlation_id] = _Wait()

    async def wait(self, correlation_id: str) -> ReceivedMessage:
        """Wait for an expected reply."""
        wait = self._waits[correlation_id]
        await wait.done.wait()
        assert wait.reply is not None
        return wait.reply

    def forget(self, correlation_id: str) -> None:
        """Expect a reply no more."""
        self._waits.pop(correlation_id, None)

    async def take(self, request: BrokerRequest) -> Reply | None:
        """Answer PUSH_REPLY_MESSAGE_TO_CLIENT; a reply that nobody waits for any more is dropped, as in Java."""
        reply = _received(request.header(ReplyMessageRequestHeader), request.body)
        wait = self._waits.get(reply.properties.get(PropertyName.CORRELATION_ID, ""))
        if wait is not None:
            wait.reply = reply
            wait.done.set()
        return None


def _received(header: ReplyMessageRequestHeader, body: bytes) -> ReceivedMessage:
    properties = decode_properties(header.properties or "")
    properties[PropertyName.REPLY_ARRIVE_TIME] = str(time.time_ns() // 1_000_000)
    stored = StoredMessage(
        topic=header.topic,
        queue_id=header.queue_id,
        flag=header.flag,
        queue_offset=0,
        physical_offset=0,
        sys_flag=header.sys_flag,
        born_timestamp=header.born_timestamp,
        born_host=_NO_HOST,
        store_timestamp=header.store_timestamp,
        store_host=_NO_HOST,
        reconsume_times=0,
        prepared_transaction_offset=0,
        body=body,
        body_crc=0,
        properties=properties,
        size_bytes=0,
    )
    return ReceivedMessage(stored, MessageQueue(topic=header.topic, queue_id=header.queue_id))
