"""The message store: opens, reads, flushes and closes one store directory; puts are `appending`'s. Sync; no sockets.

One thread, the event loop's, calls everything; only the methods marked as blocking may run in worker threads beside
it. Dispatch to the consume queues happens inside the put, so a stored message is readable at once and there is no
queue that could be behind the log.

Source: DefaultMessageStore (RocketMQ 4.5.2).
"""

import errno
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rmqnode.store.appending import Appender
from rmqnode.store.checkpoint import StoreCheckpoint
from rmqnode.store.checkpointing import Checkpointing
from rmqnode.store.cleaning import Cleaner
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.completeness import Completeness
from rmqnode.store.consume_queue import ConsumeQueue
from rmqnode.store.copying import Copy, StoredMessage, append_copies, read_stretch
from rmqnode.store.damage import Damage
from rmqnode.store.disk import DISK_FULL
from rmqnode.store.filler import FILLER_BYTES_AT_STOP_MAX
from rmqnode.store.index.message_index import MessageIndex
from rmqnode.store.lock import StoreLock
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.opening import Opening
from rmqnode.store.options import StoreOptions
from rmqnode.store.put_times import PutTimes
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.queue_units import Unit
from rmqnode.store.reading import (
    Accepts,
    find_record,
    query_messages,
    read_messages,
    search_by_time,
    store_time_of_unit,
)
from rmqnode.store.recovery import Recovery, RecoveryReport
from rmqnode.store.replica import OnArrived, Replica
from rmqnode.store.results import GetResult, GetStatus, QueryResult

_RECORDS_PER_SLICE: Final = 4096


class MessageStore:
    """One store directory.

    Args:
        options: Folders, sizes and limits.
        clock_ms: Milliseconds since the epoch; asked once for each put.
    """

    def __init__(self, options: StoreOptions, clock_ms: Callable[[], int]) -> None:
        self._options = options
        self._clock_ms = clock_ms
        self._budget = MappingBudget(options.mapped_files_max)
        self._opening = Opening(options.root, self._budget)
        self._log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, self._budget)
        self._table = QueueTable(options.consume_queue_dir, options.mapped_file_size_consume_queue, self._budget)
        self._queues = self._table.by_key
        self._checkpoint = StoreCheckpoint(options.root)
        self.damage = Damage(options.root)
        """Stretches of the log that hold nothing whole, known since the opening."""
        self._log.damage = self.damage
        self._lock = StoreLock(options.root / "lock")
        self.index = MessageIndex(options, self._log, self._budget, clock_ms)
        """Finds messages by their keys; puts do nothing for it, whoever owns the store lets it `build`."""
        self._checkpointing = Checkpointing(self._log, self._table, self.index, self._checkpoint)
        self.cleaner = Cleaner(options, self._log, self._table, self.index, clock_ms)
        """Takes out files that have had their time, when whoever owns the store asks."""
        self._is_open = False
        self._replica: Replica | None = None
        self._folders: dict[Path, tuple[int, int] | None] = {}
        self.put_times = PutTimes()
        """Of the puts that had to make a file."""
        self._appender = Appender(options, self._log, self._table, self.cleaner, self.put_times, clock_ms)
        self.put = self._appender.put
        """Append one message; see `Appender.put`."""
        self.put_batch = self._appender.put_batch
        """Append several messages to one queue, all or none; see `Appender.put_batch`."""
        self.refusal = self._appender.refusal
        """Why a message could never be put; see `Appender.refusal`."""
        self.use_limit = self._appender.use_limit
        """How long messages may be, for those that were accepted under another limit; see `Appender.use_limit`."""

    def open(self, *, accept_loss: bool = False) -> RecoveryReport:
        """Lock, load and recover the store directory; creates it when there is none.

        On a full disk it may open for reading only, see `is_read_only`.

        Args:
            accept_loss: Go on, this once, without messages that the log lacks files of.

        Raises:
            StoreLocked: Another process has it open; nothing was touched.
            StoreIncomplete: The log lacks files that the rest of the store speaks of; nothing was changed.
            StoreFileMismatch: A file does not fit; nothing was changed.
            UnsupportedRecord: A later version wrote the log; no message was changed.
            OSError: The disk has no space for what cannot wait, or refuses a file; names the path.
        """
        self._options.root.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            was_clean = self._opening.was_clean
            has_filled = accept_loss and self._log.fill_holes()
            self._log.load()
            self._table.load()
            self._table.lost_units |= has_filled  # to be walked from the first record on
            self._checkpoint.load()
            self.damage.load()
            completeness = Completeness(
                self._options, self._log, self._table, self._checkpoint, self._clock_ms(), accept_loss=accept_loss
            )
            completeness.check_files()
            with self._opening.begun():
                report = Recovery(
                    self._log, self._table, self._checkpoint, self.damage, self._options, completeness, was_clean,
                    self._clock_ms(),
                ).run()  # fmt: skip
            report = report._replace(
                index_files_dropped=self._open_index(was_clean), index_lag_bytes=self.index.lag_bytes
            )
            self._note_new_log()
        except BaseException:
            self._lock.release()
            raise
        self._is_open = True
        self._appender.is_open = not self._opening.is_read_only
        if self._opening.is_read_only:
            self._appender.out_of_space = self._options.root
        self._folders = {folder: _identity(folder) for folder in (self._options.root, self._options.commit_log_dir)}
        return report

    def _note_new_log(self) -> None:
        """Write down before the first message that no other engine left anything in this log."""
        if self._log.file_offsets() or self._checkpoint.coverage is not None:
            return
        try:
            self.flush_consume_queues()
            self.write_checkpoint()
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise

    @property
    def is_read_only(self) -> bool:
        """Whether the disk had no space for what the opening has to write: open it again when it has room.

        All messages can be read. Nothing is written: puts are refused, flushes and checkpoints do nothing.
        """
        return self._opening.is_read_only

    @property
    def missing_bytes(self) -> int:
        """Disk space that the next opening needs before messages are taken again; 0 unless it is for reading only."""
        return self._opening.missing_bytes

    def find_gone(self) -> Path | None:
        """A folder or log file of the open store that was deleted or moved; None when all are there.

        Blocks for a few system calls; may run in a worker thread.
        """
        for folder, identity in list(self._folders.items()):
            now = _identity(folder)
            if identity is None and now is not None:
                self._folders[folder] = now  # made by the first put
            elif now != identity:
                return folder
        return self._log.find_gone()

    def refuse_puts(self, gone: Path) -> None:
        """Refuse messages from now on: what holds them has gone."""
        self._appender.gone = gone
        self._log.refuse_puts()

    @property
    def gone(self) -> Path | None:
        """What `refuse_puts` was called for."""
        return self._appender.gone

    def _open_index(self, was_clean: bool) -> int:
        coverage = self._checkpoint.coverage
        covered = coverage.index_state if coverage is not None else None
        return self.index.open(covered, was_clean=was_clean, full_timestamp=self._checkpoint.index_timestamp)

    def close(self) -> None:
        """Bring everything to the disk, mark the stop as clean and give the lock back; safe to repeat. Blocks.

        Raises:
            OSError: The disk failed; the next opening recovers as after a crash.
        """
        if not self._is_open:
            return
        self._is_open = self._appender.is_open = False
        try:
            if self.is_read_only:
                return
            self._log.delete_unused_file()
            self.flush_commit_log()
            is_index_complete = self._complete_index()
            self._table.fill_holes(FILLER_BYTES_AT_STOP_MAX)
            self.flush_consume_queues()
            self.write_checkpoint()
            if is_index_complete:
                self._opening.note_clean_stop()
        finally:
            self._table.unmap()
            self.index.close()
            self._log.deactivate()
            self._lock.release()

    def _complete_index(self) -> bool:
        """Index what is left; False when there is no space for it: then this is no clean stop for another engine."""
        try:
            while self.index.is_behind:
                self.index.build(_RECORDS_PER_SLICE)
            self.index.sync()
        except OSError:
            return False
        return True

    @property
    def full_folder(self) -> Path | None:
        """Folder whose disk is too full for the last put; None when that was not refused for it."""
        return self.cleaner.full_folder or self._appender.out_of_space

    def forget_full_folder(self) -> None:
        """Let the next put find out whether there is space; for when there is some again and nobody sends."""
        if not self.is_read_only:
            self._appender.out_of_space = None

    def append_replicated(self, physical_offset: int, content: bytes | memoryview, on_arrived: OnArrived) -> None:
        """Append bytes of the master's log at the same physical offset; only of a store that nobody puts into.

        Args:
            physical_offset: Where this log ends; of an empty log, any start of a file.
            content: Cut anywhere, but not across the end of a file; may be empty.
            on_arrived: Called for each message that is readable now; None when nobody waits for one.

        Raises:
            ReplicaMismatch: The bytes do not belong there, or are none that a master writes; they are not kept.
            OSError: The disk is full; go on from where the log ends then.
        """
        self._opening.refuse_writes()
        if self.gone is not None:
            raise FileNotFoundError(errno.ENOENT, "deleted or moved while it is written", str(self.gone))
        if self._replica is None:
            options = self._options
            self._replica = Replica(self._log, self._table, options.delay_levels_ms, options.message_size_bytes_max)
        try:
            self._replica.append(physical_offset, content, on_arrived)
        except OSError as error:
            if error.errno in DISK_FULL:
                self._appender.out_of_space = self._options.commit_log_dir
            raise

    @property
    def has_undispatched(self) -> bool:
        """Whether `dispatch_replicated` has something to do: the bytes of a master brought many new queues."""
        return self._replica is not None and self._replica.has_more

    @property
    def replicated_damage(self) -> int | None:
        """Physical offset of damage in the master's log behind which no whole record was found yet."""
        return None if self._replica is None else self._replica.damage_begin

    def dispatch_replicated(self, on_arrived: OnArrived) -> None:
        """Go on giving replicated records their units.

        Raises:
            ReplicaMismatch, OSError: As `append_replicated`.
        """
        if self._replica is not None:
            self._replica.dispatch(on_arrived)

    def get(
        self,
        topic: str,
        queue_id: int,
        queue_offset: int,
        count_max: int,
        tags_codes: frozenset[int] | None = None,
        accepts: Accepts | None = None,
    ) -> GetResult:
        """Read messages of a queue from an offset on.

        Args:
            topic: Topic of the queue.
            queue_id: Number of the queue.
            queue_offset: First message to look at.
            count_max: Most messages to return; the options bound it further. The first one always fits.
            tags_codes: Signed 32-bit tag hashes to let through; None lets all through.
            accepts: Is asked about the properties of each message that the tags let through; None lets all through.
        """
        queue = self._queues.get((topic, queue_id))
        if queue is None:
            return GetResult(GetStatus.NO_MESSAGE_IN_QUEUE, 0, 0, 0)
        return read_messages(self._log, queue, queue_offset, count_max, tags_codes, accepts, self._options)

    def stretch(
        self, topic: str, queue_id: int, queue_offset: int, count_max: int, belongs: Callable[[int], bool]
    ) -> list[StoredMessage]:
        """Read messages to be copied from an offset on; see `read_stretch`."""
        queue = self._queues.get((topic, queue_id))
        return [] if queue is None else read_stretch(self._log, queue, queue_offset, count_max, belongs)

    def put_copies(self, copies: Sequence[Copy]) -> int:
        """Append stored messages under other topics; return how many of them; see `append_copies`."""
        return append_copies(self._log, self._queues, copies, self._options.message_size_bytes_max, self._clock_ms)

    def query(self, topic: str, key: str, count_max: int, begin: int, end: int) -> QueryResult:
        """Find messages that may have a key, among those that the index knows; see `MessageIndex.query`."""
        return query_messages(self.index, self._log, self._queues, topic, key, count_max, begin, end)

    def find_record(self, physical_offset: int) -> memoryview | None:
        """Return the whole record at a physical offset that may come from anywhere; see `reading.find_record`."""
        return find_record(self._log, self._queues, physical_offset)

    def read_record(self, physical_offset: int) -> memoryview | None:
        """Return the whole record at a physical offset that a unit has; None when there is none.

        Never for an offset from outside, which may point into a body: `find_record`.
        """
        return self._log.record(physical_offset)

    def min_offset(self, topic: str, queue_id: int) -> int:
        """First queue offset that is still there; 0 for an unknown queue."""
        queue = self._queues.get((topic, queue_id))
        return 0 if queue is None else queue.min_queue_offset

    def max_offset(self, topic: str, queue_id: int) -> int:
        """Queue offset that the next message will get; 0 for an unknown queue."""
        queue = self._queues.get((topic, queue_id))
        return 0 if queue is None else queue.max_queue_offset

    def offset_by_time(self, topic: str, queue_id: int, timestamp_ms: int) -> int:
        """Queue offset of the message stored nearest to a time; see `search_by_time`."""
        queue = self._queues.get((topic, queue_id))
        return 0 if queue is None else search_by_time(self._log, queue, timestamp_ms)

    def store_time(self, topic: str, queue_id: int, queue_offset: int) -> int:
        """Store timestamp of a message, in milliseconds; -1 when there is none."""
        queue = self._queues.get((topic, queue_id))
        return -1 if queue is None else store_time_of_unit(self._log, queue, queue_offset)

    def earliest_store_time(self, topic: str, queue_id: int) -> int:
        """Store timestamp of the first message that is still there, in milliseconds; -1 when there is none."""
        return self.store_time(topic, queue_id, self.min_offset(topic, queue_id))

    def unit(self, topic: str, queue_id: int, queue_offset: int) -> Unit | None:
        """Unit of a message: physical offset, record size, tags code; None when there is none."""
        queue = self._queues.get((topic, queue_id))
        return None if queue is None else queue.unit(queue_offset)

    def is_behind_memory(self, topic: str, queue_id: int, queue_offset: int) -> bool:
        """Whether a message is so far behind the log end that reading it means reading the disk."""
        unit = self.unit(topic, queue_id, queue_offset)
        return unit is not None and unit[0] < self.wrote_offset - self._options.in_memory_bytes_max

    def queues(self) -> Mapping[QueueKey, ConsumeQueue]:
        """All queues that something was stored in, by topic and queue id; a live view."""
        return MappingProxyType(self._queues)

    @property
    def wrote_offset(self) -> int:
        """Physical offset where the log ends."""
        return self._log.wrote_offset

    @property
    def log_min_offset(self) -> int:
        """Physical offset of the first byte of the log that is still there."""
        return self._log.min_offset

    @property
    def dispatched_offset(self) -> int:
        """Physical offset up to which every record has its unit; behind the log end only while a slave receives."""
        return self._log.dispatched_offset

    @property
    def last_store_timestamp(self) -> int:
        """Store timestamp of the last message, in milliseconds; 0 when there is none."""
        return self._log.last_store_timestamp

    @property
    def earliest_message_time(self) -> int:
        """Store timestamp of the first message of the log, in milliseconds; -1 when there is none."""
        return self._log.store_timestamp(self._log.min_offset)

    def log_bytes(self, physical_offset: int, size_max: int) -> memoryview | None:
        """Raw bytes of the log, at most to the end of a file; None when there are none at that offset."""
        window = self._log.window(physical_offset)
        if window is None:
            return None
        view, base_offset, end = window
        return view[physical_offset - base_offset : min(physical_offset + size_max, end) - base_offset]

    @property
    def flushed_offset(self) -> int:
        """Physical offset up to which the log is on disk."""
        return self._log.flushed_offset

    @property
    def has_unflushed(self) -> bool:
        """Whether the log has bytes that are not on disk yet."""
        return self._log.flushed_offset < self._log.wrote_offset

    def flush_commit_log(self) -> int:
        """Bring the log to the disk; return up to which physical offset. Blocks; may run in a worker thread.

        Raises:
            OSError: The disk failed; nothing counts as flushed.
        """
        return self._log.flush()

    def flush_consume_queues(self) -> None:
        """Bring the units of all queues to the disk. Blocks; may run in a worker thread.

        Raises:
            OSError: The disk failed; nothing counts as flushed.
        """
        if not self.is_read_only:
            self._checkpointing.flush_queues()

    def write_checkpoint(self) -> None:
        """Note how far the last `flush_consume_queues` got, for the recovery. Blocks; may run in a worker thread.

        Raises:
            OSError: The disk failed; the last checkpoint still holds or counts as unknown.
        """
        if not self.is_read_only:
            self._checkpointing.write(is_running=self._appender.is_open)

    def delete_topic(self, topic: str) -> int:
        """Delete all queues of a topic and return how many; its records stay in the log, a new topic begins at 0.

        The transaction topics and the schedule topic are never deleted. Blocks for a checkpoint, without which a
        crash would bring the queues back.

        Source: DefaultMessageStore#cleanUnusedTopic. Differs: 4.5.2 deletes the op queue with any topic.
        """
        return self._delete_queues(lambda queue: queue.topic == topic)

    def delete_unused_topics(self, known_topics: Container[str]) -> int:
        """Delete the queues of all topics but the known ones and return how many; otherwise as `delete_topic`."""
        return self._delete_queues(lambda queue: queue.topic not in known_topics)

    def delete_expired_queues(self) -> int:
        """Delete the queues whose messages are all gone from the log and return how many; as `delete_topic`.

        Source: DefaultMessageStore#cleanExpiredConsumerQueue.
        """
        minimum = self._log.min_offset
        return self._delete_queues(lambda queue: 0 <= queue.end_physical_offset() <= minimum)

    def _delete_queues(self, goes: Callable[[ConsumeQueue], bool]) -> int:
        self._opening.refuse_writes()
        with self._checkpointing.lock:
            count = self._table.delete(goes)
        if count:
            self.flush_consume_queues()
            self.write_checkpoint()
        return count


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder this is, whatever its name; None when there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
