"""A client of one broker without a nameserver that speaks bare requests: delays, transactions, retries, locks.

What it was told by the broker it remembers, so that a test can kill the broker and compare. A request whose answer a
kill took is not remembered as acknowledged.
"""

import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from rmqnode.net.client import RemotingClient
from rmqnode.net.connection import Connection
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import (
    ConsumerData,
    HeartbeatData,
    LockBatchRequestBody,
    LockBatchResponseBody,
    MessageQueue,
    ProducerData,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.message import StoredMessage, decode_record, decode_records
from rmqnode.protocol.properties import encode_properties

COMMIT: Final = 8
ROLLBACK: Final = 12
UNKNOWN: Final = 0

GROUP: Final = "pg"
TOPIC: Final = "orders"

_HEARTBEAT_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 60


class MessageClient:
    """One producer and consumer, connected for as long as the broker lives.

    Args:
        decide: What became of a half message with this body, asked when the broker asks.
    """

    def __init__(self, remoting: RemotingClient, address: str, decide: Callable[[bytes], int]) -> None:
        self._remoting = remoting
        self._address = address
        self._decide = decide
        self._keys = itertools.count()

    async def ask(self, code: int, fields: dict[str, str], body: bytes = b"") -> Command:
        """One request.

        Raises:
            RemotingError: The broker is gone.
        """
        command = Command(code=code, ext_fields=fields, body=body, language="JAVA", version=317)
        return await self._remoting.request(self._address, command, timeout_seconds=10)

    async def wait_ready(self) -> None:
        """Wait until the broker answers."""
        with trio.fail_after(_PATIENCE_SECONDS):
            while True:
                try:
                    await self.beat()
                except RemotingError:
                    await trio.sleep(0.05)
                else:
                    return

    async def beat(self) -> None:
        """Send a heartbeat of the producer group and of the consumer group `g`."""
        heartbeat = HeartbeatData(
            client_id="client",
            producer_data_set=[ProducerData(group_name=GROUP)],
            consumer_data_set=[ConsumerData(group_name="g")],
        )
        assert (await self.ask(RequestCode.HEART_BEAT, {}, heartbeat.encode())).code == ResponseCode.SUCCESS

    async def keep_beating(self) -> None:
        """Send heartbeats until cancelled, whether the broker lives or not."""
        while True:
            with suppress(RemotingError):
                await self.beat()
            await trio.sleep(_HEARTBEAT_SECONDS)

    async def create_topic(self, topic: str = TOPIC) -> None:
        """Make a topic of one queue."""
        fields = {"topic": topic, "defaultTopic": "TBW102", "perm": "6", "topicFilterType": "SINGLE_TAG"}
        fields |= {"readQueueNums": "1", "writeQueueNums": "1", "topicSysFlag": "0", "order": "false"}
        assert (await self.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, fields)).code == ResponseCode.SUCCESS

    async def send(self, body: bytes, topic: str = TOPIC, **properties: str) -> dict[str, str]:
        """Send a message now; returns the fields of the answer."""
        now = str(int(time.time() * 1000))
        properties = {"UNIQ_KEY": f"{now}-{next(self._keys)}", **properties}
        fields = {"a": GROUP, "b": topic, "c": "TBW102", "d": "4", "e": "0", "f": "0", "g": now, "h": "0"}
        fields |= {"i": encode_properties(properties), "j": "0", "k": "false", "m": "false"}
        answer = await self.ask(RequestCode.SEND_MESSAGE_V2, fields, body)
        assert answer.code == ResponseCode.SUCCESS, answer
        assert answer.ext_fields is not None
        return answer.ext_fields

    async def prepare(self, body: bytes, **properties: str) -> dict[str, str]:
        """Send a half message."""
        return await self.send(body, TRAN_MSG="true", PGROUP=GROUP, **properties)

    async def end(self, sent: dict[str, str], decision: int) -> None:
        """Decide a half message and wait for the answer."""
        fields = {"producerGroup": GROUP, "tranStateTableOffset": sent["queueOffset"], "msgId": "x"}
        fields |= {"commitLogOffset": str(int(sent["msgId"][16:], 16)), "commitOrRollback": str(decision)}
        answer = await self.ask(RequestCode.END_TRANSACTION, fields)
        assert answer.code == ResponseCode.SUCCESS, answer

    async def send_back(self, message: StoredMessage, delay_level: int) -> None:
        """Let the consumer group `g` get a message again."""
        fields = {"group": "g", "offset": str(message.physical_offset), "delayLevel": str(delay_level)}
        fields |= {"originMsgId": message.message_id, "originTopic": message.topic, "maxReconsumeTimes": "16"}
        answer = await self.ask(RequestCode.CONSUMER_SEND_MSG_BACK, fields)
        assert answer.code == ResponseCode.SUCCESS, answer

    async def pull(self, topic: str, queue_offset: int) -> list[StoredMessage]:
        """Messages of queue 0 from an offset on; none at the end."""
        fields = {"consumerGroup": "g", "topic": topic, "queueId": "0", "queueOffset": str(queue_offset)}
        fields |= {"maxMsgNums": "32", "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "1000"}
        fields |= {"subscription": "*", "subVersion": "0", "expressionType": "TAG"}
        answer = await self.ask(RequestCode.PULL_MESSAGE, fields)
        if answer.code != ResponseCode.SUCCESS:
            assert answer.code in (ResponseCode.PULL_NOT_FOUND, ResponseCode.PULL_OFFSET_MOVED), answer
            return []
        return decode_records(answer.body)

    async def pull_all(self, topic: str = TOPIC) -> list[StoredMessage]:
        """Everything in queue 0."""
        found: list[StoredMessage] = []
        while more := await self.pull(topic, len(found)):
            found += more
        return found

    async def wait_for(self, bodies: Iterable[bytes], topic: str = TOPIC) -> list[StoredMessage]:
        """Wait until every one of these bodies is in queue 0; returns everything there."""
        wanted = set(bodies)
        with trio.move_on_after(_PATIENCE_SECONDS):
            while True:
                found = await self.pull_all(topic)
                if wanted <= {message.body for message in found}:
                    return found
                await trio.sleep(0.1)
        raise AssertionError(f"missing in {topic}: {sorted(wanted - {message.body for message in found})[:5]}")

    async def max_offset(self, topic: str, queue_id: int) -> int:
        """Queue offset behind the last message."""
        answer = await self.ask(RequestCode.GET_MAX_OFFSET, {"topic": topic, "queueId": str(queue_id)})
        return int((answer.ext_fields or {})["offset"])

    async def all_transactions_decided(self) -> bool:
        """Whether the broker has committed that no half message is open."""
        half = "RMQ_SYS_TRANS_HALF_TOPIC"
        fields = {"consumerGroup": "CID_RMQ_SYS_TRANS", "topic": half, "queueId": "0"}
        answer = await self.ask(RequestCode.QUERY_CONSUMER_OFFSET, fields)
        return await self.max_offset(half, 0) == int((answer.ext_fields or {}).get("offset", 0))

    async def lock(self, topic: str = TOPIC) -> bool:
        """Lock queue 0 for the group `g`."""
        queue = MessageQueue(topic=topic, broker_name="broker-a", queue_id=0)
        body = LockBatchRequestBody(consumer_group="g", client_id="client", mq_set=[queue])
        answer = await self.ask(RequestCode.LOCK_BATCH_MQ, {}, body.encode())
        return LockBatchResponseBody.decode(answer.body).lock_ok_mq_set == [queue]

    async def commit_offset(self, queue_offset: int, topic: str = TOPIC) -> None:
        """Commit the offset of group `g`."""
        fields = {"consumerGroup": "g", "topic": topic, "queueId": "0", "commitOffset": str(queue_offset)}
        assert (await self.ask(RequestCode.UPDATE_CONSUMER_OFFSET, fields)).code == ResponseCode.SUCCESS

    async def committed_offset(self, topic: str = TOPIC) -> int:
        """The offset of group `g`; 0 when there is none."""
        fields = {"consumerGroup": "g", "topic": topic, "queueId": "0"}
        answer = await self.ask(RequestCode.QUERY_CONSUMER_OFFSET, fields)
        return int((answer.ext_fields or {}).get("offset", 0))

    def answer_check(self, connection: Connection, command: Command) -> None:
        """Answer CHECK_TRANSACTION_STATE as a producer does."""
        if command.code != RequestCode.CHECK_TRANSACTION_STATE:
            return
        assert command.ext_fields is not None
        fields = {name: command.ext_fields[name] for name in ("tranStateTableOffset", "commitLogOffset")}
        decision = self._decide(decode_record(command.body).body)
        fields |= {"producerGroup": GROUP, "msgId": "x", "fromTransactionCheck": "true"}
        fields["commitOrRollback"] = str(decision)
        connection.send(Command(code=RequestCode.END_TRANSACTION, flag=2, ext_fields=fields))


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    with trio.fail_after(_PATIENCE_SECONDS):
        while True:
            if await condition():
                return
            await trio.sleep(0.1)


@asynccontextmanager
async def message_client(
    address: str, decide: Callable[[bytes], int] = lambda body: UNKNOWN
) -> AsyncIterator[MessageClient]:
    """A client that keeps sending heartbeats for the length of a block."""

    def on_request(connection: Connection, command: Command) -> None:
        client.answer_check(connection, command)

    async with RemotingClient(on_request) as remoting, trio.open_nursery() as nursery:
        client = MessageClient(remoting, address, decide)
        nursery.start_soon(client.keep_beating)
        await client.wait_ready()
        yield client
        nursery.cancel_scope.cancel()
