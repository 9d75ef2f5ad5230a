"""A broker without sockets: handlers are called, the clock stands still until a test moves it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rmqnode.broker.handlers.pull import pull_message_again
from rmqnode.broker.routes import ROUTES
from rmqnode.broker.server import _store_options
from rmqnode.broker.state import Broker
from rmqnode.config import BrokerConfig
from rmqnode.net.dispatch import RequestError
from rmqnode.net.slices import InSlices, finish
from rmqnode.protocol.bodies import ConsumerData, HeartbeatData, ProducerData, SubscriptionData, TopicConfig
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.header_fields import Header
from rmqnode.protocol.headers import PullMessageRequestHeader, SendMessageRequestHeaderV2
from rmqnode.protocol.java_text import string_hash
from rmqnode.protocol.message import StoredMessage, decode_record, decode_records
from rmqnode.protocol.properties import encode_properties
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store import MessageStore

START_MS = 1_700_000_000_000


class Clock:
    """Milliseconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.step_ms = 0
        """How far each look at the clock moves it."""

    def __call__(self) -> int:
        self.now_ms += self.step_ms
        return self.now_ms

    def seconds(self) -> float:
        return self.now_ms / 1000


class FakeConnection:
    """A peer that keeps what it is sent."""

    def __init__(self, peer: str = "10.1.2.3:4567") -> None:
        self.peer = peer
        self.peer_host_bytes = bytes([10, 1, 2, 3, 0, 0, 0x11, 0xD7])
        self.queued_seconds = 0.0
        self.queued_count = 0
        self.is_closed = False
        self.has_room = True
        self.is_holding = False
        self.close_reason = ""
        self.replies: list[tuple[Request[Any], Reply]] = []
        self.pushed: list[Command] = []

    def reply(self, request: Request[Any], reply: Reply) -> None:
        if not request.is_oneway:
            self.replies.append((request, reply))

    def send(self, command: Command) -> None:
        self.pushed.append(command)

    def hold_writes(self) -> None:
        self.is_holding = True

    def release_writes(self) -> None:
        self.is_holding = False

    def close(self, reason: str) -> None:
        self.is_closed = True
        self.close_reason = reason


class Rig:
    """One broker with what a test does to it."""

    def __init__(self, config: BrokerConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.connection = FakeConnection()
        self.store = MessageStore(_store_options(config), clock)
        self.store.open()
        self.broker = Broker(config, self.store, pull_message_again, clock_ms=clock, clock=clock.seconds)

    def close(self) -> None:
        for write in self.broker.take_changes():
            write()
        self.store.close()

    def reopen(self) -> "Rig":
        """Stop cleanly and start on the same folder."""
        self.close()
        return Rig(self.config, self.clock)

    def ask(self, code: RequestCode, header: Header | None = None, body: bytes = b"", **fields: Any) -> Any:
        """Call the handler of a code; a refusal comes back as the reply that it becomes."""
        (route,) = (route for route in ROUTES if route.code is code)
        fields.setdefault("connection", self.connection)
        fields.setdefault("version", 317)
        request: Request[Any] = Request(code=code, header=header or route.request_header(), body=body, **fields)
        try:
            outcome = route.handler(self.broker, request)
            if isinstance(outcome, InSlices):
                # No loop turns here.
                outcome = finish(outcome.steps)
        except RequestError as error:
            return Reply(error.code, error.remark)
        if outcome is not None and not isinstance(outcome, Reply):
            self.broker.finish_later(outcome, request)
        return outcome

    def send(
        self, topic: str = "t", body: bytes = b"hello", properties: dict[str, str] | None = None, **fields: Any
    ) -> Any:
        """Send as a Java producer does; fields of the header and of the request by their names."""
        request = {name: fields.pop(name) for name in ("version", "connection", "flag_of_request") if name in fields}
        header = {
            "producer_group": "pg",
            "topic": topic,
            "default_topic": "TBW102",
            "default_topic_queue_nums": 4,
            "queue_id": 0,
            "sys_flag": 0,
            "born_timestamp": 5,
            "flag": 0,
            "properties": encode_properties(properties or {}),
        }
        code = fields.pop("code", RequestCode.SEND_MESSAGE_V2)
        if "flag_of_request" in request:
            request["flag"] = request.pop("flag_of_request")
        return self.ask(code, SendMessageRequestHeaderV2(**header | fields), body, **request)

    def pull(self, topic: str = "t", queue_offset: int = 0, sys_flag: int = 4, **fields: Any) -> Any:
        """Pull with the subscription in the request; `sys_flag` 2 asks to be held."""
        header = {
            "consumer_group": "g",
            "topic": topic,
            "queue_id": 0,
            "queue_offset": queue_offset,
            "max_msg_nums": 32,
            "sys_flag": sys_flag,
            "commit_offset": 0,
            "suspend_timeout_millis": 15_000,
            "subscription": "*",
            "sub_version": 0,
        }
        request = {name: fields.pop(name) for name in ("connection", "opaque") if name in fields}
        return self.ask(RequestCode.PULL_MESSAGE, PullMessageRequestHeader(**header | fields), **request)

    def messages(self, topic: str, queue_id: int = 0) -> list[StoredMessage]:
        """Everything that is in a queue."""
        count = self.store.max_offset(topic, queue_id)
        units = [self.store.unit(topic, queue_id, offset) for offset in range(count)]
        records = [self.store.read_record(unit[0]) for unit in units if unit is not None]
        return [decode_record(record) for record in records if record is not None]

    def heartbeat(
        self,
        *groups: str,
        topics: dict[str, str] | None = None,
        client_id: str = "c1",
        producers: tuple[str, ...] = (),
        connection: FakeConnection | None = None,
        sub_version: int = 1,
        **consumer: Any,
    ) -> Any:
        """Send a heartbeat of consumers with the given topics and tags."""
        subscriptions = [subscription(topic, tags, sub_version) for topic, tags in (topics or {"t": "*"}).items()]
        data = HeartbeatData(
            client_id=client_id,
            consumer_data_set=[
                ConsumerData(group_name=group, subscription_data_set=subscriptions, **consumer) for group in groups
            ],
            producer_data_set=[ProducerData(group_name=group) for group in producers],
        )
        connection = connection or self.connection
        return self.ask(RequestCode.HEART_BEAT, body=data.encode(), connection=connection, language="JAVA")

    def create_topic(self, topic: str = "t", **fields: Any) -> None:
        """Put a topic into the table."""
        counts = {"read_queue_nums": 4, "write_queue_nums": 4}
        self.broker.topics.put(TopicConfig(topic_name=topic, **counts | fields))


def subscription(topic: str, tags: str, version: int = 1) -> SubscriptionData:
    words = [] if tags == "*" else [tag.strip() for tag in tags.split("||")]
    codes = [string_hash(word) for word in words]
    return SubscriptionData(topic=topic, sub_string=tags, tags_set=words, code_set=codes, sub_version=version)


def messages_of(reply: Reply) -> list[StoredMessage]:
    """The messages in the body of a pull's answer."""
    body = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
    return decode_records(body)


@pytest.fixture
def clock() -> Clock:
    """Stands at one moment of 2023."""
    return Clock()


@pytest.fixture
def make_rig(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Rig]]:
    """Make a broker with keys of its configuration; closed after the test."""
    rigs: list[Rig] = []

    def make(**keys: Any) -> Rig:
        values: dict[str, Any] = {
            "broker_ip1": "127.0.0.1",
            "broker_name": "broker-a",
            "store_path_root_dir": tmp_path / f"store{len(rigs)}",
            "mapped_file_size_commit_log_bytes": 16 * 1024 * 1024,
            "mapped_file_size_consume_queue_bytes": 20_000,
        }
        rigs.append(Rig(BrokerConfig(**values | keys), clock))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.store.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A broker with default configuration."""
    return make_rig()


@pytest.fixture
def new_connection() -> Callable[..., FakeConnection]:
    """Make another peer."""
    return FakeConnection


@pytest.fixture
def read() -> Callable[[Reply], list[StoredMessage]]:
    """Read the messages of a pull's answer."""
    return messages_of
