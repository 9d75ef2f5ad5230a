"""How far each consumer group has read each queue: kept in memory, written to `config/consumerOffset.json`.

Source: `ConsumerOffsetManager` (RocketMQ 4.5.2). Offsets are stored as committed, also backwards, for topics and
groups that need not exist.
"""

from collections.abc import Iterator, Mapping

from rmqnode.broker.saved_table import SavedTable
from rmqnode.protocol.bodies import ConsumerOffsetSerializeWrapper
from rmqnode.store.config_file import ConfigFile


class ConsumerOffsets(SavedTable):
    """Consumer offset (entries) by topic, group and queue id."""

    def __init__(self, file: ConfigFile) -> None:
        super().__init__(file)
        wrapper = file.load(ConsumerOffsetSerializeWrapper.decode)
        self._table: dict[str, dict[int, int]] = wrapper.offset_table if wrapper is not None else {}

    def commit(self, group: str, topic: str, queue_id: int, consumer_offset: int) -> None:
        """Store the offset of the next message that the group will read."""
        self._table.setdefault(f"{topic}@{group}", {})[queue_id] = consumer_offset
        self._is_dirty = True

    def find(self, group: str, topic: str, queue_id: int) -> int | None:
        """Return the committed offset, None when the group never committed one for the queue."""
        return self._table.get(f"{topic}@{group}", {}).get(queue_id)

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

    def forget_group(self, group: str) -> None:
        """Drop all offsets of a group."""
        for topic in list(self.topics_of(group)):
            del self._table[f"{topic}@{group}"]
            self._is_dirty = True

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

    def encode(self) -> bytes:
        """Write the table as GET_ALL_CONSUMER_OFFSET answers it."""
        return self._body().encode()

    def _body(self) -> ConsumerOffsetSerializeWrapper:
        return ConsumerOffsetSerializeWrapper(offset_table=self._table)
