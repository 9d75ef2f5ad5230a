"""Delivers delayed messages when they are due: from the schedule topic to the topic they were sent to.

Each level is a queue of `SCHEDULE_TOPIC_XXXX`; its messages are due in their order, so that looking at the first
of each level is enough and waiting ones cost nothing. The due time is the tags code of the consume queue unit.
How far each level is goes to `config/delayOffset.json`: after a kill a few messages may come twice, never not.
Source: `ScheduleMessageService` (RocketMQ 4.5.2). Differs: the offsets are also written at a clean stop; what can't be
delivered goes to the broker's own dead letters (`UNDELIVERED_TOPIC`), where 4.5.2 drops it; messages of a level that
`messageDelayLevel` has no more are delivered.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from rmqnode.broker import system_topics
from rmqnode.broker.delayed.levels import DelayLevels
from rmqnode.broker.messages import Message, MessageWriter, message_of_record
from rmqnode.broker.saved_table import SavedTable
from rmqnode.broker.topics import TopicTable
from rmqnode.protocol.bodies import DelayOffsetSerializeWrapper
from rmqnode.protocol.java_text import parse_int
from rmqnode.protocol.properties import PropertyName, find_property
from rmqnode.store import Copy, MessageStore, PutStatus, QueueKey, tags_code_of
from rmqnode.store.config_file import ConfigFile
from rmqnode.store.queue_units import BLANK_UNIT_SIZE_FIELD

logger = logging.getLogger(__name__)

_REAL_TOPIC_PAIR: Final = b"\x02" + PropertyName.REAL_TOPIC.encode() + b"\x01"

_RETRY_SECONDS: Final = 1.0
"""Pause after the store refused a message that is due."""

_DELIVERIES_IN_A_ROW_MAX: Final = 128
"""After so many of a level the next level has its turn, and after all levels the traffic."""

_SLEEP_MS_MAX: Final = 1000
"""While messages wait, the wall clock is looked at so often: it may be set forward, or the machine was asleep."""

_NEVER_MS: Final = 2**63

_NEVER_STORABLE: Final = frozenset({PutStatus.MESSAGE_ILLEGAL, PutStatus.PROPERTIES_SIZE_EXCEEDED})
"""Trying again does not help (no queue can have its real topic's name), and would stop its level for good."""

_NO_DESTINATION: Final = frozenset(
    {
        system_topics.SCHEDULE_TOPIC,
        system_topics.TRANS_HALF_TOPIC,
        system_topics.TRANS_OP_HALF_TOPIC,
        system_topics.TRANS_CHECK_MAX_TIME_TOPIC,
    }
)
"""Topics of which the broker believes what they hold: no message goes there by the word of its properties."""


class DelayedDelivery(SavedTable):
    """The delivery of one broker; only a master runs it."""

    def __init__(
        self,
        store: MessageStore,
        writer: MessageWriter,
        levels: DelayLevels,
        topics: TopicTable,
        file: ConfigFile,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._writer = writer
        self._levels = levels
        self._topics = topics
        super().__init__(file)
        self._clock_ms = clock_ms
        self._level_max = levels.level_max
        """With those that messages wait in from a time when there were more."""
        wrapper = file.load(DelayOffsetSerializeWrapper.decode)
        self.offsets: dict[int, int] = wrapper.offset_table if wrapper is not None else {}

    def take_over(self, offsets: dict[int, int]) -> None:
        """Take a master's offsets; the delivery goes on from there if this slave becomes a master."""
        if self.offsets != offsets:
            self.offsets = offsets
            self._is_dirty = True

    def encode(self) -> bytes:
        """Write the offsets as GET_ALL_DELAY_OFFSET answers them."""
        return self._body().encode()

    def _body(self) -> DelayOffsetSerializeWrapper:
        return DelayOffsetSerializeWrapper(offset_table=self.offsets)

    async def run(self) -> None:
        """Service: deliver what is due, sleep until the next message is or one that is due before it is scheduled."""
        known = [queue_id for topic, queue_id in self._store.queues() if topic == system_topics.SCHEDULE_TOPIC]
        self._level_max = max(self._levels.level_max, *(queue_id + 1 for queue_id in known), 0)
        while True:
            wait_ms = self._deliver_due_messages()
            if wait_ms is None:
                await self._levels.wait_scheduled_before(_NEVER_MS)
            elif wait_ms > 0:
                with trio.move_on_after(min(wait_ms, _SLEEP_MS_MAX) / 1000):
                    await self._levels.wait_scheduled_before(self._clock_ms() + wait_ms)
            else:
                await trio.lowlevel.checkpoint()

    def _deliver_due_messages(self) -> int | None:
        """Deliver some; return the milliseconds until the next message is due, None when none waits."""
        waits = (self._deliver_level(level) for level in range(1, self._level_max + 1))
        return min((wait_ms for wait_ms in waits if wait_ms is not None), default=None)

    def _deliver_level(self, level: int) -> int | None:
        queue_id = level - 1
        left = _DELIVERIES_IN_A_ROW_MAX
        while left > 0:
            offset = max(self.offsets.get(level, 0), self._store.min_offset(system_topics.SCHEDULE_TOPIC, queue_id))
            # A queue whose log was lost has begun anew.
            offset = min(offset, self._store.max_offset(system_topics.SCHEDULE_TOPIC, queue_id))
            unit = self._store.unit(system_topics.SCHEDULE_TOPIC, queue_id, offset)
            if unit is None:
                return None
            now_ms = self._clock_ms()
            physical_offset, size, due_ms = unit
            if size == BLANK_UNIT_SIZE_FIELD:
                logger.error("delayed message is damaged, skipped level=%d queue_offset=%d", level, offset)
                self.offsets[level] = offset + 1
                self._is_dirty = True
                left -= 1
                continue
            delay_ms = self._levels.delays_ms[queue_id] if level <= self._levels.level_max else _NEVER_MS
            is_due = partial(_is_due, now_ms, now_ms + delay_ms)
            if not is_due(due_ms):
                return due_ms - now_ms
            count = self._copy_due_messages(queue_id, offset, left, is_due)
            if not count:
                # Something is in the way of the first one, or it must make room.
                if not self._deliver(physical_offset, f"{system_topics.SCHEDULE_TOPIC}-{queue_id}-{offset}"):
                    return int(_RETRY_SECONDS * 1000)
                count = 1
            self.offsets[level] = offset + count
            self._is_dirty = True
            left -= count
        return 0

    def _copy_due_messages(self, queue_id: int, offset: int, count_max: int, is_due: Callable[[int], bool]) -> int:
        """Put messages of a level into their real topics until one is not due or in the way; return how many."""
        destinations: dict[bytes, QueueKey] = {}
        copies: list[Copy] = []
        for message in self._store.stretch(system_topics.SCHEDULE_TOPIC, queue_id, offset, count_max, is_due):
            properties = message.properties
            # From the last REAL_TOPIC on, all messages to one queue have the same bytes where our broker wrote them.
            tail = properties[properties.rfind(_REAL_TOPIC_PAIR) + 1 :]
            destination = destinations.get(tail)
            if destination is None:
                destination = _destination(properties)
                if destination is None:
                    break
                if _names_destination(tail):
                    destinations[tail] = destination
            copies.append((message, destination, tags_code_of(destination[0], properties, 0, ())))
        return self._writer.put_copies(copies)

    def _deliver(self, physical_offset: int, place: str) -> bool:
        """Put a message into its real topic, or keep it elsewhere; False when the store does not take it now."""
        record = self._store.read_record(physical_offset)
        if record is None:
            logger.warning("delayed message skipped physical_offset=%d reason=no record there", physical_offset)
            return True
        message = message_of_record(record)
        # A committed transaction names its half message; the delivered copy does not, as in Java.
        message.prepared_transaction_offset = 0
        destination = _destination(message.properties)
        if destination is None:
            return self._keep(message, place, "no topic and queue to deliver to")
        message.topic, message.queue_id = destination
        status = self._writer.put_again(message, may_be_delayed=False).status
        return self._keep(message, place, status.name) if status in _NEVER_STORABLE else status is PutStatus.OK

    def _keep(self, message: Message, place: str, reason: str) -> bool:
        """Put a message that can't be delivered among the broker's dead letters; False when it can't be put now."""
        wanted, kept_in = message.topic, system_topics.UNDELIVERED_TOPIC
        try:
            self._topics.create_if_absent(kept_in, 1)
        except OSError as error:
            logger.error("topic not created, tried again topic=%s reason=%s", kept_in, error)
            return False
        message.topic, message.queue_id = kept_in, 0
        status = self._writer.put_again(message, may_be_delayed=False).status
        if status is not PutStatus.OK and status not in _NEVER_STORABLE:
            return False
        if status in _NEVER_STORABLE:
            kept_in = place
        logger.error(
            "delayed message not delivered place=%s topic=%a reason=%s kept_in=%s", place, wanted, reason, kept_in
        )
        return True


def _is_due(now_ms: int, due_ms_max: int, due_ms: int) -> bool:
    """Whether to deliver now: also what is due beyond its level's delay, because the clock went back meanwhile."""
    return due_ms <= now_ms or due_ms > due_ms_max


def _names_destination(tail: bytes) -> bool:
    """Whether the last pairs of some properties alone say where the message goes."""
    names = (PropertyName.REAL_TOPIC, PropertyName.REAL_QUEUE_ID)
    return all(find_property(tail, name) is not None for name in names)


def _destination(properties: bytes) -> QueueKey | None:
    """Topic and queue id that a message was sent to; None where there is no way to deliver it."""
    topic = find_property(properties, PropertyName.REAL_TOPIC)
    queue_id = parse_int((find_property(properties, PropertyName.REAL_QUEUE_ID) or b"0").decode("ascii", "replace"))
    name = (topic or b"").decode("utf-8", "replace")
    # The schedule topic itself: somebody sent there directly, and each delivery would schedule the next one.
    if not name or name in _NO_DESTINATION or queue_id is None or queue_id < 0:
        return None
    return name, queue_id
