"""How far one queue is read: where it was entered, what an answer changes, where reading ends. No I/O, no clock."""

import msgspec
import trio

from rmqctl.client.pull import PullResult, PullStatus
from rmqctl.client.start_position import Since, StartPosition
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage


class Advance(msgspec.Struct, frozen=True):
    """What one answer of a broker means for a reader."""

    messages: list[StoredMessage]
    """Those between start and end, oldest first."""
    is_moved: bool
    """Whether the next pull asks for another offset than this one."""
    gap: str | None = None
    """A sentence about messages that were asked for and are not there any more."""


class QueueReader(msgspec.Struct):
    """One queue being read."""

    queue: MessageQueue
    start: StartPosition
    until_ms: int | None = None
    """Store time of the last message that is wanted, ms of the epoch."""
    next_offset: int | None = None
    """None until the start position was turned into an offset."""
    end_offset: int | None = None
    """Queue offset to stop before; None as long as there is no end in sight."""
    is_behind: bool = True
    """Messages are known to be there, so the broker need not hold the next pull."""
    scope: trio.CancelScope = msgspec.field(default_factory=trio.CancelScope)
    """Cancelled when the queue is not to be read any more."""
    pull_scope: trio.CancelScope = msgspec.field(default_factory=trio.CancelScope)
    """Of the pull that is under way: cancelled when it was asked with the wrong end in mind."""

    @property
    def is_done(self) -> bool:
        """Whether everything before the end was read."""
        return self.end_offset is not None and self.next_offset is not None and self.next_offset >= self.end_offset

    def advance(self, result: PullResult) -> Advance:
        """Go on behind an answer."""
        asked_offset = self.next_offset or 0
        next_offset, gap = self._after(result, asked_offset)
        messages = result.messages
        if isinstance(self.start, Since):
            messages = [message for message in messages if message.store_timestamp >= self.start.timestamp_ms]
        if self.until_ms is not None:
            late = next((message for message in messages if message.store_timestamp > self.until_ms), None)
            if late is not None:
                self.end_offset = min(late.queue_offset, self.end_offset or late.queue_offset)
        if self.end_offset is not None:
            messages = [message for message in messages if message.queue_offset < self.end_offset]
        self.next_offset = next_offset
        self.is_behind = next_offset < result.max_offset and result.status is not PullStatus.NO_NEW_MESSAGE
        return Advance(messages, next_offset != asked_offset, gap)

    def _after(self, result: PullResult, asked_offset: int) -> tuple[int, str | None]:
        if result.status is not PullStatus.OFFSET_ILLEGAL:
            return result.next_offset, None
        # Beyond the end 4.5.2 says "from 0 on": that would repeat the whole queue.
        beyond_end = asked_offset > result.max_offset
        next_offset = result.max_offset if beyond_end else max(result.next_offset, result.min_offset)
        gap = (
            f"{self.queue.broker_name} queue {self.queue.queue_id} has no offset {asked_offset} any more"
            f" (it holds {result.min_offset} to {result.max_offset}): reading goes on at {next_offset}"
        )
        return next_offset, gap
