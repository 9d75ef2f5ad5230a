"""Compares the consume queues of a store with the records of its log, one after the other; part of `verify`.

A queue may rightly lack a record: its topic was deleted, and perhaps made again since. What tells it from a queue that
is lost, first what is surest:

    our `coverage` counts the units of all queues: none is missing
    another queue of the topic begins anew behind the record: it has records before its first unit, too
    `topics.json` does not know the topic
    another queue of the topic has units from before the record: then nothing was deleted, the queue is lost

Units that lead into a damaged stretch of the log are that damage's, not the queue's: they say which messages it took.
"""

from bisect import bisect_right
from collections.abc import Sequence, Set
from typing import Final, NamedTuple

from rmqnode.store.commit_log import CommitLog
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.damage import Extent
from rmqnode.store.maintenance.config_check import readable_checkpoint
from rmqnode.store.maintenance.problems import Problem
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_table import QueueKey, QueueTable, is_protected
from rmqnode.store.queue_units import BLANK_UNIT_SIZE_FIELD
from rmqnode.store.record import SYS_FLAG_WITHOUT_QUEUE_OFFSET, ScannedRecord
from rmqnode.store.tags_code import SCHEDULE_TOPIC, tags_code_of

QUEUE_OFFSET_POSITION: Final = 20
"""Of a record's field."""


class _Absent(NamedTuple):
    """A queue that is not there although the log has records of it."""

    first_offset: int
    last_offset: int
    records: int


class QueueCheck:
    """Takes the records of a store in order; `finish` says what is wrong.

    Args:
        options: Of the store.
        log: Its commit log.
        table: Its queues, loaded.
        misfits: Queues whose files do not fit; not in the table, and not looked at.
        topics: Names in `topics.json`.
        was_stopped: The broker stopped cleanly. Otherwise it completes the queues at its next start.
    """

    def __init__(
        self,
        options: StoreOptions,
        log: CommitLog,
        table: QueueTable,
        misfits: Set[QueueKey],
        topics: Set[str],
        *,
        was_stopped: bool,
    ) -> None:
        self._options = options
        self._log = log
        self._table = table
        self._was_stopped = was_stopped
        self._topics = topics
        self._matched: dict[QueueKey, int] = {}
        self._next: dict[QueueKey, int] = {}
        """Queue offset that the next record of a queue should have, as the one before it says."""
        self._absent: dict[QueueKey, _Absent] = {}
        self._problems: list[Problem] = []
        self._begun_anew: set[str] = set()
        self.damaged: set[QueueKey] = set(misfits)
        """Queues to be built anew."""
        self.notes: list[str] = []

    def expect(self, record: ScannedRecord, physical_offset: int) -> None:
        """Compare the unit of the next record."""
        if record.sys_flag & SYS_FLAG_WITHOUT_QUEUE_OFFSET:
            return
        topic = record.topic.decode("utf-8", "replace")
        key = (topic, record.queue_id)
        queue = self._table.by_key.get(key)
        if queue is None:
            if key in self.damaged:
                return
            first_offset, _, count = self._absent.get(key, (physical_offset, 0, 0))
            self._absent[key] = _Absent(first_offset, physical_offset, count + 1)
            return
        unit = queue.unit(record.queue_offset)
        expected_offset, self._next[key] = self._next.get(key), record.queue_offset + 1
        if unit is not None and unit[:2] == (physical_offset, record.size):
            self._matched[key] = self._matched.get(key, 0) + 1
            expected = tags_code_of(topic, record.properties, record.store_timestamp, ())
            if unit[2] != expected and topic != SCHEDULE_TOPIC:
                self._wrong_unit(queue, record.queue_offset, f"tags code {unit[2]}, its record has {expected}")
        elif record.queue_offset != expected_offset and self._is_misnamed(queue, record, physical_offset):
            self._matched[key] = self._matched.get(key, 0) + 1
        elif self._belongs_to_queue(queue, physical_offset):
            self._wrong_or_missing(queue, record, physical_offset)
        else:
            self._begun_anew.add(topic)

    def finish(self, end: int, stretches: Sequence[Extent]) -> list[Problem]:
        """Return what is wrong, once all records were seen.

        Args:
            end: Physical offset where the log ends.
            stretches: What is damaged below it, in order.
        """
        begins = [stretch.begin for stretch in stretches]
        for key, queue in self._table.by_key.items():
            if key in self.damaged:
                continue
            first = max(queue.first_behind(self._log.min_offset), queue.min_queue_offset)
            if queue.max_queue_offset - first != self._matched.get(key, 0):
                self._find_wrong_unit(queue, end, begins, stretches)
            if key not in self.damaged:
                self._check_behind_end(queue)
        self._check_absent()
        return self._problems

    # --- units ---------------------------------------------------------------------------------------------------

    def _belongs_to_queue(self, queue: ConsumeQueue, physical_offset: int) -> bool:
        """Whether a record is of the queue as it is now, not of a deleted topic with the same name."""
        first = queue.unit(queue.min_queue_offset)
        return queue.min_queue_offset > 0 or first is None or physical_offset >= first[0]

    def _is_misnamed(self, queue: ConsumeQueue, record: ScannedRecord, physical_offset: int) -> bool:
        """Whether the queue has this record where it belongs, and only the field in the record says otherwise."""
        place = queue.first_behind(physical_offset)
        if queue.raw_unit(place)[:2] != (physical_offset, record.size):
            return False
        position = physical_offset % self._options.mapped_file_size_commit_log
        path = self._options.commit_log_dir / f"{physical_offset - position:020d}"
        what = f"the record says queue offset {record.queue_offset}, and is {place} of {queue.topic}/{queue.queue_id}"
        self._problems.append(Problem(path, position + QUEUE_OFFSET_POSITION, f"{what}: the field is damaged"))
        return True

    def _wrong_or_missing(self, queue: ConsumeQueue, record: ScannedRecord, physical_offset: int) -> None:
        if record.queue_offset < queue.max_queue_offset:
            what = f"no unit of the record at physical offset {physical_offset}, which has queue offset"
            self._wrong_unit(queue, record.queue_offset, f"{what} {record.queue_offset}")
        elif self._was_stopped:
            self._wrong_unit(queue, queue.max_queue_offset, f"the queue ends before its record at {physical_offset}")
        else:
            note = f"queue {queue.topic}/{queue.queue_id} lags behind the log: the next start completes it"
            if note not in self.notes:
                self.notes.append(note)

    def _wrong_unit(self, queue: ConsumeQueue, queue_offset: int, what: str) -> None:
        key = (queue.topic, queue.queue_id)
        if key not in self.damaged:
            self._problems.append(Problem(*queue.place(queue_offset), what))
        self.damaged.add(key)

    def _find_wrong_unit(self, queue: ConsumeQueue, end: int, begins: list[int], stretches: Sequence[Extent]) -> None:
        """Name the first unit whose record is not there, though the log is not damaged where it should be."""
        for queue_offset in range(queue.min_queue_offset, queue.max_queue_offset):
            unit = queue.unit(queue_offset)
            if unit is None or unit[1] == BLANK_UNIT_SIZE_FIELD or 0 <= unit[0] < self._log.min_offset:
                continue
            nearest = bisect_right(begins, unit[0]) - 1
            if nearest >= 0 and unit[0] < stretches[nearest].end:
                continue
            record = self._log.record(unit[0])
            if record is None or len(record) != unit[1]:
                where = "behind the end of the log" if unit[0] >= end else "no record is there"
                self._wrong_unit(queue, queue_offset, f"points to physical offset {unit[0]}: {where}")
                return

    def _check_behind_end(self, queue: ConsumeQueue) -> None:
        position = queue.content_behind_end()
        if position is not None:
            what = f"the queue ends here, but there are bytes at {position}"
            self._problems.append(Problem(*queue.place(queue.max_queue_offset), what))
            self.damaged.add((queue.topic, queue.queue_id))

    # --- queues that are not there -------------------------------------------------------------------------------

    def _check_absent(self) -> None:
        for key in sorted(self._lost_queues()):
            folder = self._options.consume_queue_dir / key[0] / str(key[1])
            first_offset, _, count = self._absent[key]
            what = f"the queue is missing; the log has {count} of its messages, the first at physical offset"
            self._problems.append(Problem(folder, 0, f"{what} {first_offset}"))
            self.damaged.add(key)

    def _lost_queues(self) -> set[QueueKey]:
        """Those that are not there, without those whose topic was deleted."""
        coverage = readable_checkpoint(self._options.root).coverage
        if coverage is not None and not self.damaged:
            units = sum(queue.first_behind(coverage.physical_offset) for queue in self._table.by_key.values())
            if units >= coverage.unit_count:
                return {key for key in self._absent if is_protected(key[0])}
        known = {key for key in self._absent if self._is_topic_there(*key)}
        unknown = self._absent.keys() - known
        if coverage is None:
            for topic in sorted({topic for topic, _ in unknown if topic not in self._topics}):
                self.notes.append(
                    f"the log has messages of topic {topic}, which has no queue and is not in topics.json: "
                    "it was deleted, or its queue and its entry are lost"
                )
        elif not self.damaged and not known:
            return set(unknown)
        return known

    def _is_topic_there(self, topic: str, queue_id: int) -> bool:
        """Whether the topic of a queue that is not there was not deleted since the last message of that queue."""
        if is_protected(topic):
            return True
        others = (queue for key, queue in self._table.by_key.items() if key[0] == topic)
        first_units = [unit for queue in others if (unit := queue.unit(queue.min_queue_offset)) is not None]
        last_offset = self._absent[topic, queue_id].last_offset
        if any(unit[0] <= last_offset for unit in first_units):
            return True
        return topic in self._topics and topic not in self._begun_anew
