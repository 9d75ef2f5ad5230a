"""How far each consumer group has read each queue: kept in memory, written to `config/consumerOffset.json`.

Source: `ConsumerOffsetManager` (RocketMQ 4.5.2). Offsets are stored as committed, also backwards, for topics and
groups that need not exist. Differs: once there are `consumerOffsetsMax` a queue gets its first offset only where group
and queue exist. Offsets never expire: a group that comes back after a year goes on where it was.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Final

from rmqnode.broker.saved_table import SavedTable
from rmqnode.net.budgets import Budget
from rmqnode.net.refusals import NAME_LENGTH_MAX
from rmqnode.net.slices import batched
from rmqnode.protocol.bodies import ConsumerOffsetSerializeWrapper
from rmqnode.store.config_file import ConfigFile

_KEYS_AT_ONCE: Final = 64
"""Groups in topics that are copied between two looks at the time."""


class ConsumerOffsets(SavedTable):
    """Consumer offset (entries) by topic, group and queue id.

    Args:
        file: `config/consumerOffset.json`.
        budget: How many there may be before it is asked whether group and queue exist.
        exists: Whether a group, a topic and a queue id of it exist.
    """

    def __init__(self, file: ConfigFile, budget: Budget, exists: Callable[[str, str, int], bool]) -> None:
        super().__init__(file)
        self._budget = budget
        self._exists = exists
        wrapper = file.load(ConsumerOffsetSerializeWrapper.decode)
        self._table: dict[str, dict[int, int]] = wrapper.offset_table if wrapper is not None else {}
        self._recount()

    def commit(self, group: str, topic: str, queue_id: int, consumer_offset: int) -> bool:
        """Store the offset of the next message that the group will read; False when there is no place for it."""
        offsets = self._table.get(f"{topic}@{group}")
        if offsets is None or queue_id not in offsets:
            if not self._has_place(group, topic, queue_id):
                return False
            offsets = self._table.setdefault(f"{topic}@{group}", {})
            self._budget.used += 1
        offsets[queue_id] = consumer_offset
        self._is_dirty = True
        return True

    def _has_place(self, group: str, topic: str, queue_id: int) -> bool:
        if len(group) > NAME_LENGTH_MAX or len(topic) > NAME_LENGTH_MAX:
            return False
        if self._budget.free > 0 or self._exists(group, topic, queue_id):
            return True
        self._budget.refuse()
        return False

    def _recount(self) -> None:
        self._budget.used = sum(map(len, self._table.values()))

    def find(self, group: str, topic: str, queue_id: int) -> int | None:
        """Return the committed offset, None when the group never committed one for the queue."""
        return self._table.get(f"{topic}@{group}", {}).get(queue_id)

    def keys(self) -> list[str]:
        """Return all `topic@group` of the table as it is now."""
        return list(self._table)

    def topics_of(self, group: str) -> Iterator[str]:
        """Yield the topics for which a group has committed offsets."""
        for key in self._table:
            topic, _, owner = key.partition("@")
            if owner == group:
                yield topic

    def groups_of(self, topic: str) -> Iterator[str]:
        """Yield the groups that have committed offsets for a topic."""
        return (group for group, _ in self.of_topic(topic))

    def clone(self, source: str, destination: str, topic: str) -> None:
        """Let a group be in a topic where another one is; without offsets of the other nothing changes."""
        offsets = self._table.get(f"{topic}@{source}")
        if offsets is not None:
            self._table[f"{topic}@{destination}"] = dict(offsets)
            self._is_dirty = True
            self._recount()

    def of_topic(self, topic: str) -> Iterator[tuple[str, Mapping[int, int]]]:
        """Yield each group that has offsets for a topic with its offsets by queue id."""
        for key, offsets in self._table.items():
            name, _, group = key.partition("@")
            if name == topic:
                yield group, offsets

    def forget_topic(self, topic: str) -> None:
        """Drop what all groups have committed for a topic."""
        for group in list(self.groups_of(topic)):
            del self._table[f"{topic}@{group}"]
            self._is_dirty = True
        self._recount()

    def forget_group(self, group: str) -> None:
        """Drop all offsets of a group."""
        for topic in list(self.topics_of(group)):
            del self._table[f"{topic}@{group}"]
            self._is_dirty = True
        self._recount()

    def count_with(self, table: Mapping[str, Mapping[int, int]]) -> int:
        """How many offsets there would be after `take_over`."""
        kept = sum(len(offsets) for key, offsets in self._table.items() if key not in table)
        return kept + sum(map(len, table.values()))

    def take_over(self, table: dict[str, dict[int, int]]) -> None:
        """Take a master's offsets; those of topics and groups that it does not know stay."""
        for key, offsets in table.items():
            if self._table.get(key) != offsets:
                self._table[key] = offsets
                self._is_dirty = True
        self._recount()

    def encode_steps(self) -> Generator[None, None, bytes]:
        """Write the table as GET_ALL_CONSUMER_OFFSET answers it."""
        body = yield from self._snapshot_steps()
        return (yield from body.encode_steps())

    def _snapshot_steps(self) -> Generator[None, None, ConsumerOffsetSerializeWrapper]:
        # Queue by queue the latest offset counts, so that no moment for the whole is needed.
        table: dict[str, dict[int, int]] = {}
        for keys in batched(self.keys(), _KEYS_AT_ONCE):
            yield
            table |= {key: dict(self._table[key]) for key in keys if key in self._table}
        return ConsumerOffsetSerializeWrapper(offset_table=table)
