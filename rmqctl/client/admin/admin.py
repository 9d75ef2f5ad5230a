"""Administration of a cluster, for programs: topics, groups, messages, offsets and brokers behind one object.

Each part is a class of its own that works on a plain connection, which is what the command line uses.
"""

from typing import Unpack

from rmqctl.client.admin.brokers import BrokerAdmin
from rmqctl.client.admin.groups import GroupAdmin
from rmqctl.client.admin.messages import MessageAdmin
from rmqctl.client.admin.offset_reset import OffsetReset
from rmqctl.client.admin.topics import TopicAdmin
from rmqctl.client.admin.topology import Topology
from rmqctl.client.client import Client, ClientOptions
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.participant import Participant


class Admin(Participant):
    """Asks and changes a cluster. An async context manager; on a client that is open it can be used at once.

    Args:
        client: A client to share; None makes one of `options`.
        options: See `ClientOptions`.

    Raises:
        InvalidArgument: An option is not allowed.
    """

    def __init__(self, client: Client | None = None, **options: Unpack[ClientOptions]) -> None:
        super().__init__(client, options)
        connection, routes = self.client.connection, self.client.routes
        self.topics = TopicAdmin(connection, routes)
        """Create, change, list, describe and delete topics; their routes."""
        self.groups = GroupAdmin(connection)
        """Create, list, describe and delete consumer groups; members, lag and offsets."""
        self.messages = MessageAdmin(connection, routes)
        """Find messages by id, key, place or time; have a group consume one again."""
        self.brokers = BrokerAdmin(connection)
        """Configuration and figures of single brokers, and their producers."""

    async def topology(self) -> Topology:
        """Return all brokers that the nameserver knows."""
        return await self.topics.topology()

    async def offsets(self, topic: str) -> QueueOffsets:
        """Return what asks for the first, the next and the offset nearest to a time, of each queue of a topic.

        Raises:
            TopicNotFound: No nameserver routes it.
        """
        return QueueOffsets(self.client.connection, await self.client.routes.refresh(topic))

    def reset(self, group: str, topic: str) -> OffsetReset:
        """Return what moves a group to other offsets of a topic: `plan` first, then `write` or `tell_members`."""
        return OffsetReset(self.client.connection, self.client.routes, group, topic)
