"""What the parts of one consumer share: who it is, what it wants, how far it is, and how it asks. No behaviour."""

from collections.abc import Awaitable, Callable

import trio

from rmqctl.client.consumer.group_requests import GroupRequests
from rmqctl.client.consumer.offset_store import OffsetStore
from rmqctl.client.consumer.process_queue import QueueLimits
from rmqctl.client.consumer.statistics import ConsumerStatistics
from rmqctl.client.consumer.topics import Topics
from rmqctl.client.limits import check_at_least
from rmqctl.client.start_position import StartPosition


class GroupMember:
    """One member of a consumer group.

    Args:
        group: Name of the group.
        client_id: By which brokers and other members know this one.
        topics: What is subscribed.
        requests: Asks brokers in the name of the member.
        offsets: How far each queue is consumed.
        beat: Sends a heartbeat to all brokers and waits for the answers.
        start: Where queues without an offset are entered.
        limits: How much is held of each queue.
        is_orderly: One message of a queue at a time.
        is_broadcasting: Every member gets every message.
        posts_subscription: Send the selector with each pull, for brokers that may not know the member.
        commits_in_passing: Send the offset with each pull. A broker that answers requests side by side may see it after
            a later one that was sent by itself.
    """

    def __init__(
        self,
        group: str,
        client_id: str,
        topics: Topics,
        requests: GroupRequests,
        offsets: OffsetStore,
        beat: Callable[[], Awaitable[object]],
        *,
        start: StartPosition,
        limits: QueueLimits,
        is_orderly: bool = False,
        is_broadcasting: bool = False,
        posts_subscription: bool = False,
        commits_in_passing: bool = False,
    ) -> None:
        self.group = group
        self.client_id = client_id
        self.topics = topics
        self.requests = requests
        self.offsets = offsets
        self.beat = beat
        self.start = start
        check_at_least(1, messages=limits.messages, size_bytes=limits.size_bytes, span=limits.span)
        self.limits = limits
        self.is_orderly = is_orderly
        self.is_broadcasting = is_broadcasting
        self.posts_subscription = posts_subscription
        self.commits_in_passing = commits_in_passing
        self.statistics = ConsumerStatistics()
        self.may_pull = trio.Event()
        self.may_pull.set()

    @property
    def needs_locks(self) -> bool:
        """Whether brokers must keep queues for this member: it is orderly, and others of the group could take them."""
        return self.is_orderly and not self.is_broadcasting
