"""The quick way through a log file: checks records of the usual form and gathers their units, queue by queue.

`recovery` may have to walk millions of records at an opening. One by one, with everything that a record may be, that
takes 6 µs each; here it takes 2 to 3 µs: no object for a record, no call but for its CRC, and units are written many at
once. Whatever is not as usual ends the quick way: another queue, a gap, a blank, a transaction, a delayed message,
damage. Then `recovery` looks at that one record by itself, and what it finds there is usual the next time.

The checks are those of `record.scan_record`, which has their reasons; a test compares the two.
"""

from mmap import mmap
from struct import Struct
from typing import Final
from zlib import crc32

from rmqnode.protocol.java_text import tag_hash
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.queue_units import UNIT
from rmqnode.store.record import (
    CRC_MASK,
    MESSAGE_MAGIC,
    PROPERTIES_SIZE_MAX,
    QUEUE_OFFSET_MAX,
    RECORD_FIXED_SIZE,
    RECORD_HEAD_SIZE,
    SYS_FLAG_IPV6,
    SYS_FLAG_WITHOUT_QUEUE_OFFSET,
)
from rmqnode.store.tags_code import SCHEDULE_TOPIC, TAGS_START

_UNITS_MAX: Final = 400_000
"""Units that are gathered at most before they are written, and those of one piece more: about 10 MB."""

_PIECE_SIZE: Final = 1 << 24

_HEAD: Final = Struct(">iIii4xqqi16xq20xi")
"""Total size, magic, CRC, queue id, queue offset, physical offset, sys flag, store timestamp, body length."""
assert _HEAD.size == RECORD_HEAD_SIZE

_UNUSUAL: Final = SYS_FLAG_IPV6 | SYS_FLAG_WITHOUT_QUEUE_OFFSET
_PAIR_END: Final = b"\x02"
_PAIR_END_BYTE: Final = _PAIR_END[0]
_TAGS_START_SIZE: Final = len(TAGS_START)

_unpack_head: Final = _HEAD.unpack_from
_pack_unit: Final = UNIT.pack


class _Run:
    """The next units of one queue, not written yet."""

    __slots__ = ("from_offset", "next_queue_offset", "queue", "units")

    def __init__(self, queue: ConsumeQueue, from_offset: int) -> None:
        self.queue = queue
        self.from_offset = from_offset
        """Physical offset below which the queue has its units."""
        self.next_queue_offset = queue.max_queue_offset
        self.units = bytearray()


class _TagsCodes(dict[bytes, int]):
    """Tags codes of tags; KeyError for what is not a plain value."""

    _REMEMBERED_MAX: Final = 4096

    def __missing__(self, tags: bytes) -> int:
        if not tags or b"\x01" in tags:
            raise KeyError(tags)
        if len(self) >= self._REMEMBERED_MAX:
            self.clear()
        code = self[tags] = tag_hash(tags.decode("utf-8", "replace"))
        return code


class QuickWalk:
    """One walk over a log. `walk` goes as far as it can, `get_to_know` tells it about what stopped it.

    Args:
        dispatched_to: Physical offset below which each queue has its units; nothing below is given another one.
        completed: Takes the queues that units were written to.
        check_crc: Compare each body with its CRC.
        watches_time: Stop at a record that was stored before the one in front of it.
    """

    def __init__(
        self,
        dispatched_to: dict[ConsumeQueue, int],
        completed: set[ConsumeQueue],
        *,
        check_crc: bool,
        watches_time: bool = False,
    ) -> None:
        self._dispatched_to = dispatched_to
        self._completed = completed
        self._check_crc = check_crc
        self._watches_time = watches_time
        self._runs: dict[bytes, dict[int, _Run]] = {}
        self._tags_codes = _TagsCodes()
        self._gathered = 0
        self.records = 0
        """Records that were good so far; whoever looks at one singly counts it here."""
        self.last_store_timestamp = 0
        """That of the last of them; 0 before."""

    def get_to_know(self, queue: ConsumeQueue) -> None:
        """Note how a queue stands after one of its records was looked at singly."""
        if queue.topic == SCHEDULE_TOPIC:
            return
        runs = self._runs.setdefault(queue.topic_field, {})
        run = runs.get(queue.queue_id)
        if run is None:
            run = runs[queue.queue_id] = _Run(queue, self._dispatched_to.get(queue, -1))
        run.next_queue_offset = queue.max_queue_offset

    def walk(self, mapping: mmap, position: int, base_offset: int, limit: int) -> int:
        """Check records from a position on and gather their units; return the position of the one to look at singly.

        Args:
            mapping: Of the log file.
            position: Where a record begins.
            base_offset: Physical offset of the file's first byte.
            limit: Position where records end at the latest.
        """
        while (reached := self._walk_piece(mapping, position, base_offset, limit)) > position:
            position = reached
            if self._gathered >= _UNITS_MAX:
                self.write()
        return position

    def _walk_piece(self, mapping: mmap, position: int, base_offset: int, limit: int) -> int:
        runs_of, tags_codes, check_crc = self._runs, self._tags_codes, self._check_crc
        last_head = min(limit - RECORD_FIXED_SIZE, position + _PIECE_SIZE)
        records, timestamp = 0, self.last_store_timestamp
        watches_time = self._watches_time
        while position <= last_head:
            size, magic, crc, queue_id, queue_offset, physical_offset, sys_flag, store_timestamp, body_size = (
                _unpack_head(mapping, position)
            )
            body_at = position + RECORD_HEAD_SIZE
            topic_at = body_at + body_size
            end = position + size
            if (
                physical_offset != base_offset + position
                or magic != MESSAGE_MAGIC
                or sys_flag & _UNUSUAL
                or not body_at <= topic_at < end <= limit
                or (watches_time and store_timestamp < timestamp)
            ):
                break
            tail = mapping[topic_at:end]  # topic length, topic, properties length, properties
            try:
                topic_end = tail[0] + 1
                run = runs_of[tail[:topic_end]][queue_id]
                properties_size = tail[topic_end] << 8 | tail[topic_end + 1]
                tags_code = 0
                tags_at = tail.rfind(TAGS_START, topic_end + 2)
                if tags_at > 0:
                    if tags_at != topic_end + 2 and tail[tags_at - 1] != _PAIR_END_BYTE:
                        break
                    tags_code = tags_codes[tail[tags_at + _TAGS_START_SIZE : tail.index(_PAIR_END, tags_at)]]
            except (LookupError, ValueError):
                break
            if (
                topic_end + 2 + properties_size != len(tail)
                or properties_size > PROPERTIES_SIZE_MAX
                or not tail[-1]  # may be torn
                or (check_crc and crc32(mapping[body_at:topic_at]) & CRC_MASK != crc)
            ):
                break
            if physical_offset >= run.from_offset:
                if queue_offset != run.next_queue_offset:
                    break
                run.units += _pack_unit(physical_offset, size, tags_code)
                run.next_queue_offset = queue_offset + 1
            elif not 0 <= queue_offset <= QUEUE_OFFSET_MAX:
                break
            records += 1
            timestamp = store_timestamp
            position = end
        self.records += records
        self._gathered += records
        self.last_store_timestamp = timestamp
        return position

    def write(self) -> None:
        """Give the queues the units that were gathered.

        Raises:
            OSError: The disk is full or refuses a file.
        """
        for runs in self._runs.values():
            for run in runs.values():
                self._write(run)
        self._gathered = 0

    def write_of(self, queue: ConsumeQueue) -> None:
        """Give one queue its units, before it is looked at.

        Raises:
            OSError: As `write`.
        """
        run = self._runs.get(queue.topic_field, {}).get(queue.queue_id)
        if run is not None:
            self._write(run)

    def _write(self, run: _Run) -> None:
        if run.units:
            run.queue.append_all(run.units)
            run.units = bytearray()
            self._completed.add(run.queue)
