"""One store folder, opened in turn by Apache's 4.5.2 broker and by ours, and a client that fills and checks it.

Both engines read the same configuration file. The client speaks raw requests, as it is not what is tested here: many at
a time over one connection, so that checking 20,000 messages in four ways takes seconds.
"""

import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from rmqnode.net.client import RemotingClient
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.java_text import string_hash
from rmqnode.protocol.message import BatchPart, StoredMessage, decode_record, decode_records, encode_batch
from rmqnode.protocol.properties import encode_properties
from tests.interop.apache_nodes import ApacheNode, broker_command, wait_for_boot

TOPICS = {"orders": 4, "payments": 1, "%DLQ%group": 1, "audit-log": 3}
TAGS = ("", "TagA", "标签", "polygenelubricants")
SIZES = (0, 1, 90, 1000, 4000)
AT_ONCE = 32


@dataclass
class StoreBroker:
    """A broker without a nameserver, whose engine changes between two starts."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)
    properties: dict[str, str] = field(default_factory=dict)
    """More keys of its configuration."""
    prefix: list[str] = field(default_factory=list)
    """What our broker is started with, such as a tracer."""

    def __post_init__(self) -> None:
        self.log = self.home / "node.log"
        store = self.store
        properties = {
            "brokerIP1": "127.0.0.1",
            "brokerName": "broker-a",
            "brokerId": "0",
            "brokerRole": "ASYNC_MASTER",
            "listenPort": str(self.port),
            "storePathRootDir": str(store),
            "storePathCommitLog": str(store / "commitlog"),
            "mappedFileSizeCommitLog": str(8 * 1024 * 1024),
            "mappedFileSizeConsumeQueue": "20000",
            "maxHashSlotNum": "2000",
            "maxIndexNum": "30000",
            "diskMaxUsedSpaceRatio": "95",
            "osPageCacheBusyTimeOutMills": "10000",
            "waitTimeMillsInSendQueue": "10000",
            **self.properties,
        }
        self.home.mkdir(parents=True)
        (self.home / "broker.conf").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        self.properties = properties

    @property
    def store(self) -> Path:
        """The folder that both engines open."""
        return self.home / "store"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self, engine: str) -> None:
        """Start a broker on the folder and wait until it serves."""
        conf = str(self.home / "broker.conf")
        if engine == "apache":
            command = broker_command(self.home, self.properties)
        else:
            command = [*self.prefix, sys.executable, "-m", "rmqnode", "broker", "-c", conf]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.home
            )
        if engine == "apache":
            wait_for_boot([ApacheNode("broker", self.port, self.process, self.log)])

    def stop(self, *, kill: bool) -> None:
        """Stop the broker in order, or with `kill -9`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(60)
        self.process = None

    def close(self) -> None:
        """Leave nothing running."""
        if self.process is not None:
            self.stop(kill=True)


@dataclass(frozen=True)
class Sent:
    """What was acknowledged of one message."""

    topic: str
    queue_id: int
    queue_offset: int
    offset_message_id: str
    unique_key: str
    keys: tuple[str, ...]
    tag: str
    digest: str


class StoreClient:
    """Fills a broker with messages and checks that it has them."""

    def __init__(self, client: RemotingClient, address: str, seed: int) -> None:
        self._client = client
        self._address = address
        self._random = random.Random(seed)
        self._limit = trio.CapacityLimiter(AT_ONCE)
        self.sent: list[Sent] = []

    async def wait_ready(self) -> None:
        """Wait until the broker answers."""
        with trio.fail_after(60):
            while True:
                try:
                    await self.ask(RequestCode.GET_MAX_OFFSET, {"topic": "orders", "queueId": "0"})
                except OSError:
                    await trio.sleep(0.05)
                except Exception as error:
                    if "refused" not in str(error) and "onnect" not in type(error).__name__:
                        raise
                    await trio.sleep(0.05)
                else:
                    return

    async def ask(self, code: int, fields: dict[str, str], body: bytes = b"") -> Command:
        """One request."""
        command = Command(code=code, ext_fields=fields, body=body, language="JAVA")
        return await self._client.request(self._address, command, timeout_seconds=30)

    async def create_topics(self) -> None:
        """Make the topics that messages go to."""
        for topic, queues in TOPICS.items():
            fields = {"topic": topic, "defaultTopic": "TBW102", "perm": "6", "topicFilterType": "SINGLE_TAG"}
            fields |= {"readQueueNums": str(queues), "writeQueueNums": str(queues), "topicSysFlag": "0"}
            answer = await self.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, fields | {"order": "false"})
            assert answer.code == ResponseCode.SUCCESS, answer

    async def send(self, count: int, name: str) -> None:
        """Send messages of many kinds, a tenth of them in batches; remembers what was acknowledged."""
        async with trio.open_nursery() as nursery:
            index = 0
            while index < count:
                topic = self._random.choice(list(TOPICS))
                size = 20 if self._random.random() < 0.005 else 1
                size = min(size, count - index)
                messages = [self._message(f"{name}-{index + part}") for part in range(size)]
                queue_id = self._random.randrange(TOPICS[topic])
                await self._limit.acquire_on_behalf_of(messages[0][1]["UNIQ_KEY"])
                nursery.start_soon(self._send, topic, queue_id, messages)
                index += size

    def _message(self, name: str) -> tuple[bytes, dict[str, str]]:
        body = self._random.randbytes(self._random.choice(SIZES))
        unique_key = hashlib.md5(name.encode()).hexdigest().upper()
        properties = {"UNIQ_KEY": unique_key, "WAIT": "true", "KEYS": f"{name} key-{name}"}
        tag = self._random.choice(TAGS)
        if tag:
            properties["TAGS"] = tag
        if self._random.random() < 0.3:
            del properties["KEYS"]
        return body, properties

    async def _send(self, topic: str, queue_id: int, messages: list[tuple[bytes, dict[str, str]]]) -> None:
        fields = {"a": "pg", "b": topic, "c": "TBW102", "d": "4", "e": str(queue_id), "f": "0", "g": "1", "h": "7"}
        fields |= {"j": "0", "k": "false", "m": "false"}
        code, body = RequestCode.SEND_MESSAGE_V2, messages[0][0]
        if len(messages) == 1:
            fields["i"] = encode_properties(messages[0][1])
        else:
            code, fields["m"] = RequestCode.SEND_BATCH_MESSAGE, "true"
            parts = [BatchPart(7, body, encode_properties(properties).encode()) for body, properties in messages]
            body = encode_batch(parts)
        answer = await self.ask(code, fields, body)
        assert answer.code == ResponseCode.SUCCESS, answer
        assert answer.ext_fields is not None
        ids = answer.ext_fields["msgId"].split(",")
        first = int(answer.ext_fields["queueOffset"])
        for position, ((each, properties), message_id) in enumerate(zip(messages, ids, strict=True)):
            keys = tuple(properties.get("KEYS", "").split())
            self.sent.append(
                Sent(
                    topic,
                    queue_id,
                    first + position,
                    message_id,
                    properties["UNIQ_KEY"],
                    keys,
                    properties.get("TAGS", ""),
                    _digest(each),
                )
            )
        self._limit.release_on_behalf_of(messages[0][1]["UNIQ_KEY"])

    async def check_all(self) -> None:
        """Look for every message that was acknowledged by offset, by message id, by unique key and by key."""
        await self.check_queues()
        async with trio.open_nursery() as nursery:
            for sent in self.sent:
                await self._limit.acquire_on_behalf_of(sent)
                nursery.start_soon(self._check_one, sent)

    async def check_queues(self) -> dict[tuple[str, int], int]:
        """Look for every message by its offset; nothing else is there, tags filter. The ends of the queues."""
        expected: dict[tuple[str, int], dict[int, Sent]] = {}
        for sent in self.sent:
            assert expected.setdefault((sent.topic, sent.queue_id), {}).setdefault(sent.queue_offset, sent) is sent
        for (topic, queue_id), by_offset in expected.items():
            found = await self.pull_all(topic, queue_id, "*")
            assert {message.queue_offset: _digest(message.body) for message in found} == {
                offset: sent.digest for offset, sent in by_offset.items()
            }
            assert [message.queue_offset for message in found] == list(range(len(by_offset)))
            tagged = await self.pull_all(topic, queue_id, TAGS[2])
            assert len(tagged) == sum(sent.tag == TAGS[2] for sent in by_offset.values())
        return {queue: len(by_offset) for queue, by_offset in expected.items()}

    async def pull_all(self, topic: str, queue_id: int, tags: str) -> list[StoredMessage]:
        """Everything in a queue, as a consumer gets it."""
        found: list[StoredMessage] = []
        offset = 0
        while True:
            fields = {"consumerGroup": "g", "topic": topic, "queueId": str(queue_id), "queueOffset": str(offset)}
            fields |= {"maxMsgNums": "32", "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "1000"}
            fields |= {"subscription": tags, "subVersion": "0", "expressionType": "TAG"}
            answer = await self.ask(RequestCode.PULL_MESSAGE, fields)
            assert answer.ext_fields is not None, answer
            if answer.code == ResponseCode.SUCCESS:
                found += decode_records(answer.body)
            elif answer.code != ResponseCode.PULL_RETRY_IMMEDIATELY:
                assert answer.code == ResponseCode.PULL_NOT_FOUND, answer
                return found
            offset = int(answer.ext_fields["nextBeginOffset"])

    async def _check_one(self, sent: Sent) -> None:
        offset = str(int(sent.offset_message_id[16:], 16))
        viewed = await self.ask(RequestCode.VIEW_MESSAGE_BY_ID, {"offset": offset})
        assert viewed.code == ResponseCode.SUCCESS, (sent, viewed)
        message = decode_record(viewed.body)
        assert message.offset_message_id == sent.offset_message_id
        assert (message.topic, message.queue_id, message.queue_offset) == (sent.topic, sent.queue_id, sent.queue_offset)
        assert _digest(message.body) == sent.digest
        for key, is_unique in [(sent.unique_key, True), *((key, False) for key in sent.keys)]:
            found = await self._query(sent.topic, key, is_unique=is_unique)
            assert message in found, (sent, key)
        self._limit.release_on_behalf_of(sent)

    async def _query(self, topic: str, key: str, *, is_unique: bool) -> Iterable[StoredMessage]:
        fields = {"topic": topic, "key": key, "maxNum": "64", "beginTimestamp": "0", "endTimestamp": str(2**62)}
        answer = await self.ask(
            RequestCode.QUERY_MESSAGE, fields | {"_UNIQUE_KEY_QUERY": "true" if is_unique else "false"}
        )
        assert answer.code == ResponseCode.SUCCESS, (topic, key, string_hash(f"{topic}#{key}"), answer)
        return decode_records(answer.body)


def _digest(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


async def with_client(broker: StoreBroker, sent: list[Sent], work: Any) -> None:
    """Run some work with a client that knows what was sent before."""
    async with RemotingClient() as remoting:
        client = StoreClient(remoting, broker.address, seed=len(sent))
        client.sent = sent
        await client.wait_ready()
        with trio.fail_after(240):
            await work(client)
