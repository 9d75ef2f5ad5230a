"""How many messages each topic got, read off the ends of its queues: counting costs a put nothing.

What is counted is what was stored, so a slave counts what it copied, and delayed messages count again in their real
topic, as since 4.9; 4.5.2 counts sends of clients alone.
"""

import struct
from collections import Counter
from typing import Final

from rmqnode.store import MessageStore
from rmqnode.store.consume_queue import ConsumeQueue

_SIZES_READ_MAX: Final = 2000
"""Of more new messages in one queue at a time, the rest counts with the average size of so many."""

_unit_size: Final = struct.Struct(">8xi8x").iter_unpack


class TopicPuts:
    """Follows the ends of all queues of a store from now on."""

    def __init__(self, store: MessageStore) -> None:
        self._queues = store.queues()
        self._ends = {key: queue.max_queue_offset for key, queue in self._queues.items()}
        self.total = 0
        """Messages so far, all topics together."""

    def take(self) -> tuple[Counter[str], Counter[str]]:
        """Return messages and bytes that each topic got since the last time."""
        counts: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        ends = self._ends
        for key, queue in self._queues.items():
            end = queue.max_queue_offset
            known = ends.get(key)
            if end == known:
                continue
            # A topic that was deleted and came again begins anew; a slave's queue may begin in the middle.
            first = known if known is not None and known < end else queue.min_queue_offset
            ends[key] = end
            counts[key[0]] += end - first
            sizes[key[0]] += _size_of(queue, first, end)
        if len(ends) > len(self._queues):
            self._ends = {key: ends[key] for key in self._queues}
        self.total += counts.total()
        return counts, sizes


def _size_of(queue: ConsumeQueue, first: int, end: int) -> int:
    """Bytes of the records of some messages of a queue."""
    size = read = 0
    while first + read < end and read < _SIZES_READ_MAX:
        units = queue.units(first + read, min(end - first, _SIZES_READ_MAX) - read)
        if not units:
            break
        found = [each for (each,) in _unit_size(units)]
        size += sum(found)
        read += len(found)
    return size * (end - first) // read if read else 0
