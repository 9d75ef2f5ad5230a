"""Consumer offsets that were committed at a slave and that its master does not know yet.

Consumers commit here while the master is away. Apache's slave then takes the master's older offsets over its own, and
the messages in between come again; we keep what was committed here, across restarts, until the master has it too.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rmqnode.broker.saved_table import SavedTable
from rmqnode.protocol.bodies import ConsumerOffsetSerializeWrapper
from rmqnode.store.config_file import ConfigFile


class SlaveCommit(NamedTuple):
    """One offset that a group committed at this slave."""

    topic: str
    group: str
    queue_id: int
    consumer_offset: int

    @property
    def key(self) -> str:
        """How offset tables name topic and group."""
        return f"{self.topic}@{self.group}"


class SlaveCommits(SavedTable):
    """The last such offset of each group and queue, kept in `config/slaveCommits.json`."""

    def __init__(self, file: ConfigFile) -> None:
        super().__init__(file)
        wrapper = file.load(ConsumerOffsetSerializeWrapper.decode)
        self._table: dict[str, dict[int, int]] = wrapper.offset_table if wrapper is not None else {}

    def note(self, group: str, topic: str, queue_id: int, consumer_offset: int) -> None:
        """Keep an offset for the master."""
        self._table.setdefault(f"{topic}@{group}", {})[queue_id] = consumer_offset
        self._is_dirty = True

    def pending(self) -> Iterator[SlaveCommit]:
        """Yield what the master has to be told."""
        for key, offsets in list(self._table.items()):
            topic, _, group = key.partition("@")
            for queue_id, consumer_offset in list(offsets.items()):
                yield SlaveCommit(topic, group, queue_id, consumer_offset)

    def settle(self, commit: SlaveCommit) -> None:
        """Forget an offset that the master has; a newer one of the same queue stays."""
        offsets = self._table.get(commit.key, {})
        if offsets.get(commit.queue_id) == commit.consumer_offset:
            del offsets[commit.queue_id]
            if not offsets:
                del self._table[commit.key]
            self._is_dirty = True

    def _body(self) -> ConsumerOffsetSerializeWrapper:
        return ConsumerOffsetSerializeWrapper(offset_table=self._table)
