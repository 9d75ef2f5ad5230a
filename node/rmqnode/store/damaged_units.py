"""Consume queue units whose messages lie in a damaged stretch of the log: found, counted, made filler units.

A filler unit keeps the queue offset, so that later messages keep theirs, and every reader passes over it without
knowing of damage.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.damage import Extent, QueuePart


def keep_trailing_units(queue: ConsumeQueue, extents: Sequence[Extent]) -> None:
    """Let a queue that was rewound and filled again keep the units behind its end that lead into damage.

    Without them the next message would get the queue offset of one that is damaged, and who had read that would not
    read the next one.
    """
    if not extents:
        return
    queue_offset = queue.max_queue_offset
    last_offset = queue.raw_unit(queue_offset - 1)[0] if queue_offset else -1
    while True:
        physical_offset, size, _ = queue.raw_unit(queue_offset)
        if size <= 0 or physical_offset < last_offset or not _is_inside(physical_offset, extents):
            break
        last_offset = physical_offset
        queue_offset += 1
    if queue_offset > queue.max_queue_offset:
        queue.rewind(queue_offset)


def find_damaged_units(queues: Iterable[ConsumeQueue], extents: Sequence[Extent]) -> list[Extent]:
    """Return damaged stretches, in the order of the log, with the messages that lay there as queues know them.

    Blocks for a few reads per queue and stretch; changes nothing.
    """
    parts: list[list[QueuePart]] = [[] for _ in extents]
    for queue in queues:
        first_known = queue.first_behind(extents[0].begin) if extents else 0
        for index, extent in enumerate(extents):
            if first_known >= queue.max_queue_offset:
                break
            if queue.raw_unit(first_known)[0] >= extent.end:
                continue
            first = first_known if index == 0 else queue.first_behind(extent.begin)
            first_known = min(queue.first_behind(extent.end), queue.max_queue_offset)
            if first < first_known:
                parts[index].append(QueuePart(queue.topic, queue.queue_id, first, first_known))
    return [extent._replace(queues=tuple(found)) for extent, found in zip(extents, parts, strict=True)]


def _is_inside(physical_offset: int, extents: Sequence[Extent]) -> bool:
    index = bisect_right(extents, physical_offset, key=lambda extent: extent.begin) - 1
    return index >= 0 and physical_offset < extents[index].end
