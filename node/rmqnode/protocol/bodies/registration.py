"""Body of REGISTER_BROKER, in its two forms: JSON, and the compressed one of `compressedRegister=true`.

Source: `RegisterBrokerBody#encode`, `#decode`, `TopicConfig#decode` (RocketMQ 4.5.2).
"""

import struct
import zlib
from collections.abc import Generator
from typing import Final

import msgspec
from msgspec import field

from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies.base import Body, DataVersion
from rmqnode.protocol.bodies.topics import TopicConfig, TopicConfigSerializeWrapper, TopicFilterType
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.java_text import parse_int

_INFLATED_BYTES_MAX: Final = 64 * 1024 * 1024
"""A broker with a million topics registers with less; the limit keeps a small body from filling the memory."""

REGISTRATION_BYTES_MAX: Final = 10 * 1024 * 1024
REGISTERED_TOPICS_MAX: Final = 65_536
"""What one registration may hold; finding where its topics begin takes 4 ms a MiB in one go."""

_TOPICS_AT_ONCE: Final = 256

_LENGTH: Final = struct.Struct(">i")


class MalformedRegistration(ProtocolError):
    """A compressed registration is no zlib stream, too large, or cut short."""


class RegisterBrokerBody(Body, frozen=True):
    """What a broker tells a nameserver beyond its address."""

    topic_config_serialize_wrapper: TopicConfigSerializeWrapper = field(default_factory=TopicConfigSerializeWrapper)
    filter_server_list: list[str] = field(default_factory=list)


class _RawTopics(Body, frozen=True):
    topic_config_table: dict[str, msgspec.Raw] = field(default_factory=dict)
    data_version: DataVersion = DataVersion()


class _RawRegistration(Body, frozen=True):
    topic_config_serialize_wrapper: _RawTopics = field(default_factory=_RawTopics)
    filter_server_list: list[str] = field(default_factory=list)


def decode_registration_steps(data: bytes) -> Generator[None, None, RegisterBrokerBody]:
    """Read the JSON form with a yield wherever the work may be interrupted.

    Raises:
        ProtocolError: Not that form, or more than `REGISTRATION_BYTES_MAX` bytes or `REGISTERED_TOPICS_MAX` topics.
    """
    if len(data) > REGISTRATION_BYTES_MAX:
        raise fastjson.TextTooLarge(REGISTRATION_BYTES_MAX, "the registration")
    if data.count(b"{") > REGISTERED_TOPICS_MAX:
        raise MalformedRegistration(f"registration has more than {REGISTERED_TOPICS_MAX} topics")
    try:
        raw = msgspec.json.decode(data, type=_RawRegistration)
        topics: dict[str, TopicConfig] = {}
        yield
        for name, encoded in raw.topic_config_serialize_wrapper.topic_config_table.items():
            topics[name] = _decode_topic(encoded)
            if not len(topics) % _TOPICS_AT_ONCE:
                yield
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return RegisterBrokerBody.decode_request(data)
    data_version = raw.topic_config_serialize_wrapper.data_version
    wrapper = TopicConfigSerializeWrapper(topic_config_table=topics, data_version=data_version)
    return RegisterBrokerBody(topic_config_serialize_wrapper=wrapper, filter_server_list=raw.filter_server_list)


_decode_topic: Final = msgspec.json.Decoder(TopicConfig, strict=False).decode


def decode_compressed_registration(data: bytes) -> RegisterBrokerBody:
    """Read the compressed form: data version, topics as lines of text, filter servers.

    Raises:
        ProtocolError: Not that form.
    """
    steps = decode_compressed_registration_steps(data)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def decode_compressed_registration_steps(data: bytes) -> Generator[None, None, RegisterBrokerBody]:
    """The same with a yield wherever the work may be interrupted.

    Lines have no `topicSysFlag` and no `order`. What brokers of 5.x append is ignored.
    """
    reader = _Reader(_inflate(data))
    data_version = DataVersion.decode_request(reader.bytes())
    topics: dict[str, TopicConfig] = {}
    for number in range(reader.count()):
        topic = _topic_of_line(reader.text())
        topics[topic.topic_name] = topic
        if not number % _TOPICS_AT_ONCE:
            yield
    filter_servers = fastjson.decode_request(reader.bytes(), list[str])
    wrapper = TopicConfigSerializeWrapper(topic_config_table=topics, data_version=data_version)
    return RegisterBrokerBody(topic_config_serialize_wrapper=wrapper, filter_server_list=filter_servers)


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, _INFLATED_BYTES_MAX)
    except zlib.error as error:
        raise MalformedRegistration(f"registration can't be inflated: {error}") from None
    if not inflater.eof:
        raise MalformedRegistration(f"registration is cut short or above {_INFLATED_BYTES_MAX} bytes")
    return inflated


class _Reader:
    """Walks over length-prefixed texts."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def count(self) -> int:
        """Read a count or length; it can't be more than the bytes that are left."""
        end = self._position + _LENGTH.size
        if end > len(self._data):
            raise MalformedRegistration("registration is cut short")
        (count,) = _LENGTH.unpack_from(self._data, self._position)
        self._position = end
        if not 0 <= count <= len(self._data) - end:
            raise MalformedRegistration(f"registration has a wrong length {count} at byte {end - _LENGTH.size}")
        return int(count)

    def bytes(self) -> bytes:
        length = self.count()
        self._position += length
        return self._data[self._position - length : self._position]

    def text(self) -> str:
        return self.bytes().decode("utf-8", "replace")


def _topic_of_line(line: str) -> TopicConfig:
    """Read `name readQueueNums writeQueueNums perm filterType`; brokers of 5.x add attributes, ignored here."""
    parts = line.split(" ", 5)
    numbers = [parse_int(part) for part in parts[1:4]]
    if len(parts) < 5 or None in numbers or parts[4] not in TopicFilterType.__members__:
        raise MalformedRegistration(f"registration has a wrong topic line {line[:160]!r}")
    read_queue_nums, write_queue_nums, perm = (number or 0 for number in numbers)
    return TopicConfig(
        topic_name=parts[0],
        read_queue_nums=read_queue_nums,
        write_queue_nums=write_queue_nums,
        perm=perm,
        topic_filter_type=TopicFilterType[parts[4]],
    )
