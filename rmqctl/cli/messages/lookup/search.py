"""Which messages a command means, and how they are found. Prints nothing but where it looks."""

import re

import msgspec

from rmqctl.cli.output import narrate
from rmqctl.cli.queue_option import QueueChoice
from rmqctl.client.admin.lookup import Found, MessageLookup
from rmqctl.client.admin.topics import TopicAdmin
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.names import DLQ_PREFIX, is_system_topic
from rmqctl.client.routes import RouteTable
from rmqctl.errors import RmqctlError

__all__ = ["Found", "Search", "search"]

_HEXADECIMAL = re.compile("[0-9a-fA-F]+")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: an id, a key of a topic, or an offset of a queue."""

    message_id: str | None = None
    topic: str | None = None
    """None: in every topic that is not the system's."""
    key: str | None = None
    queue: QueueChoice | None = None
    offset: int | None = None
    since_ms: int = 0
    count: int = 32


async def search(connection: ClusterConnection, wanted: Search) -> list[Found]:
    """Return the messages that are meant, at least one, oldest first.

    Raises:
        RmqctlError: There is none.
        ClientError: A topic is not routed, or a server does not answer.
    """
    lookup = MessageLookup(connection, RouteTable(connection))
    if wanted.message_id is not None:
        return await _by_id(connection, lookup, wanted.message_id, wanted.topic)
    assert wanted.topic is not None
    if wanted.key is not None:
        found = await lookup.by_key(wanted.topic, wanted.key, wanted.count, wanted.since_ms)
        what = f"with key {wanted.key}"
    else:
        assert wanted.queue is not None
        assert wanted.offset is not None
        found = await _by_offset(connection, lookup, wanted.topic, wanted.queue, wanted.offset)
        what = f"at offset {wanted.offset} of queue {wanted.queue.queue_id}"
    if not found:
        raise RmqctlError(
            f"topic {wanted.topic} has no message {what}",
            "it was never there, or it is older than what the brokers keep",
            f"see how far its queues reach: rmqctl topic describe {wanted.topic}",
        )
    return found


async def _by_id(
    connection: ClusterConnection, lookup: MessageLookup, message_id: str, topic: str | None
) -> list[Found]:
    if _HEXADECIMAL.fullmatch(message_id):
        # As clients and brokers write ids. Some producers give ids of their own: these stay as they are.
        message_id = message_id.upper()
    at_its_place = await lookup.by_offset_id(message_id, await TopicAdmin(connection).topology())
    if at_its_place is not None:
        return [at_its_place]
    if topic is not None:
        found = await lookup.by_unique_id(topic, message_id)
    else:
        names = await TopicAdmin(connection).names()
        topics = [name for name in names if not is_system_topic(name) or name.startswith(DLQ_PREFIX)]
        narrate(f"looking in {len(topics)} topics (--topic names one)")
        found = await lookup.by_unique_id_anywhere(topics, message_id)
    if not found:
        where = f"topic {topic}" if topic else "this cluster"
        raise RmqctlError(
            f"there is no message {message_id} in {where}",
            "no broker has it at that place, and no producer gave that id to a message that is still stored",
            "a key finds messages too: rmqctl message get --topic TOPIC --key KEY",
        )
    return found


async def _by_offset(
    connection: ClusterConnection, lookup: MessageLookup, topic: str, choice: QueueChoice, offset: int
) -> list[Found]:
    route = await RouteTable(connection).get(topic)
    queues = [queue for queue in route.subscribe_queues() if choice.wants(queue)]
    found = [await lookup.by_queue_offset(queue, offset) for queue in queues]
    return [each for each in found if each is not None]
