"""Replies to request messages, on the side that waits: handed out by their correlation id.

Source: `ClientRemotingProcessor#receiveReplyMessage`, `RequestFutureHolder` (RocketMQ 4.9.7).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from rmqctl.client.broker_requests import BrokerRequest
from rmqctl.client.errors import ClientError
from rmqctl.client.received import ReceivedMessage
from rmqctl.errors import ExitCode
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.headers import ReplyMessageRequestHeader
from rmqnode.protocol.message import Host, StoredMessage, crc_of_body
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


class ExpectedReply:
    """A reply that is waited for."""

    def __init__(self) -> None:
        self._came = trio.Event()
        self._reply: ReceivedMessage | None = None

    async def wait(self) -> ReceivedMessage:
        """Wait for the reply."""
        await self._came.wait()
        assert self._reply is not None
        return self._reply

    def take(self, reply: ReceivedMessage) -> None:
        """Hand the reply to who waits."""
        self._reply = reply
        self._came.set()


class Replies:
    """Replies that a client waits for."""

    def __init__(self) -> None:
        self._expected: dict[str, ExpectedReply] = {}

    @contextmanager
    def expect(self, correlation_id: str) -> Iterator[ExpectedReply]:
        """Take the reply with this correlation id, for the length of a block."""
        self._expected[correlation_id] = expected = ExpectedReply()
        try:
            yield expected
        finally:
            del self._expected[correlation_id]

    async def take(self, request: BrokerRequest) -> Reply | None:
        """Answer PUSH_REPLY_MESSAGE_TO_CLIENT; a reply that nobody waits for any more is dropped, as in Java."""
        reply = _received(request.header(ReplyMessageRequestHeader), request.body)
        expected = self._expected.get(reply.properties.get(PropertyName.CORRELATION_ID, ""))
        if expected is not None:
            expected.take(reply)
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
        body_crc=crc_of_body(body),  # a reply comes without one
        properties=properties,
        size_bytes=0,
    )
    return ReceivedMessage(stored, MessageQueue(topic=header.topic, queue_id=header.queue_id))
