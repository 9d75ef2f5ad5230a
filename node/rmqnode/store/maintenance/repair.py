"""Mends what a verification found: consume queues and index from the commit log, the log from a replica.

The log itself is changed in two ways, both only when they are asked for, and what stood there is kept in `damaged/`:
bytes that a replica has whole replace damaged ones, and a torn tail, behind which nothing whole follows, becomes zeros.
"""

import time
from collections.abc import Sequence

from rmqnode.store.checkpoint import Coverage, StoreCheckpoint
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.damage import Damage
from rmqnode.store.dispatch import queue_of_record
from rmqnode.store.index.files import IndexState
from rmqnode.store.index.message_index import MessageIndex
from rmqnode.store.lock import StoreLock
from rmqnode.store.maintenance.config_check import readable_checkpoint
from rmqnode.store.maintenance.found_files import find_files
from rmqnode.store.maintenance.found_queues import FoundQueues
from rmqnode.store.maintenance.replica import Offer, Replica
from rmqnode.store.maintenance.verify import StoreCheck, Verification, records_of
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.options import StoreOptions
from rmqnode.store.placing import Placing
from rmqnode.store.put_aside import PutAside
from rmqnode.store.queue_table import QueueKey, QueueTable
from rmqnode.store.tags_code import tags_code_of

_MAPPED_FILES_MAX = 256
_RECORDS_PER_SLICE = 4096


def repair(
    options: StoreOptions,
    found: Verification,
    *,
    cut_tail: bool,
    replica: Replica | None = None,
    offers: Sequence[Offer] = (),
) -> list[str]:
    """Repair what can be; return what was done, in words.

    Args:
        options: Of the store.
        found: What is wrong with it.
        cut_tail: Also remove the bytes behind the last record.
        replica: Has the bytes of `offers`.
        offers: Stretches to be taken from it, as far as they are not refused.

    Raises:
        StoreLocked: A broker has the store open; nothing was changed.
        OSError: The disk is full or refuses; run it again.
    """
    lock = StoreLock(options.root / "lock")
    lock.acquire()
    try:
        done: list[str] = []
        if replica is not None and any(offer.refusal is None for offer in offers):
            size_bytes = replica.restore(offers, _now_ms())
            done.append(f"{size_bytes} damaged bytes of the commit log replaced by those of {replica.options.root}")
            found = StoreCheck(options).run()
        return done + _Repair(options, found).run(cut_tail=cut_tail)
    finally:
        lock.release()


def plan_repair(found: Verification, offers: Sequence[Offer]) -> list[str]:
    """What `repair` would do, in words; nothing when there is nothing to be done."""
    steps: list[str] = []
    taken = [offer for offer in offers if offer.refusal is None]
    if taken:
        size_bytes = sum(offer.extent.end - offer.extent.begin for offer in taken)
        records = sum(offer.records for offer in taken)
        noun = "record" if records == 1 else "records"
        steps.append(
            f"replace {size_bytes} damaged bytes of the commit log by the {records} {noun} that the replica has "
            "there, and build their consume queues and the index anew"
        )
    if found.tail_bytes:
        steps.append(
            f"cut {found.tail_bytes} bytes behind the last whole record (physical offset {found.end_offset}): they are "
            "no message, nothing whole follows them, and a broker cuts them at its start too"
        )
    if found.damaged_queues:
        names = sorted(f"{topic}/{queue_id}" for topic, queue_id in found.damaged_queues)
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        steps.append(f"build consume queues anew from the commit log: {shown}")
    if found.is_index_damaged:
        steps.append("build the index anew from the commit log")
    if found.unmarked_whole:
        steps.append("take back the marks of stretches that are whole")
    return steps


class _Repair:
    def __init__(self, options: StoreOptions, found: Verification) -> None:
        self._options = options
        self._found = found
        self._budget = MappingBudget(_MAPPED_FILES_MAX)
        self._log = CommitLog(options.commit_log_dir, options.mapped_file_size_commit_log, self._budget)
        self._table = QueueTable(options.consume_queue_dir, options.mapped_file_size_consume_queue, self._budget)

    def run(self, *, cut_tail: bool) -> list[str]:
        done: list[str] = []
        found = self._found
        self._log.show(find_files(self._options.commit_log_dir, self._options.mapped_file_size_commit_log).files)
        if cut_tail and found.tail_bytes:
            aside = PutAside(Damage(self._options.root).folder, _now_ms(), self._options.message_size_bytes_max)
            aside.take_tail(self._log, found.end_offset)
            self._log.cut(found.end_offset)
            done.append(f"{found.tail_bytes} bytes behind the last record cut from the commit log")
        self._log.wrote_offset = found.end_offset
        checkpoint = readable_checkpoint(self._options.root)
        index_state = checkpoint.coverage.index_state if checkpoint.coverage is not None else None
        if found.damaged_queues:
            units = self._rebuild_queues(found.damaged_queues)
            done.append(f"{len(found.damaged_queues)} consume queues built anew, {units} units")
        if found.is_index_damaged:
            index_state = self._rebuild_index()
            done.append("index built anew")
        if found.damaged_queues or found.is_index_damaged:
            self._note_coverage(checkpoint, index_state)
        if found.unmarked_whole:
            self._take_marks_back()
            done.append(f"{len(found.unmarked_whole)} marks of damage taken back")
        return done

    def _rebuild_queues(self, keys: set[QueueKey]) -> int:
        folder = self._options.consume_queue_dir
        FoundQueues(folder, self._options.mapped_file_size_consume_queue, self._table).load()
        for key in keys:
            queue = self._table.by_key.pop(key, None)
            if queue is not None:
                queue.delete()
            for path in (folder / key[0] / str(key[1])).glob("*"):
                if path.name.isdecimal() and path.is_file():
                    path.unlink()
        placing = Placing(self._log, self._found.extents, walks_all=True, on_missing=_raise_units_missing)
        units = 0
        for physical_offset, record in records_of(self._log, self._found.extents):
            key = (record.topic.decode("utf-8", "replace"), record.queue_id)
            queue = queue_of_record(self._table, record) if key in keys else None
            if queue is not None:
                placing.prepare(queue, record, physical_offset)
                delays = self._options.delay_levels_ms
                tags_code = tags_code_of(key[0], record.properties, record.store_timestamp, delays)
                queue.append(physical_offset, record.size, tags_code)
                self._table.by_key[key] = queue
                units += 1
        self._keep_offsets_of_damaged(keys)
        for key in keys:
            if key in self._table.by_key:
                self._table.by_key[key].flush()
                self._table.by_key[key].unmap()
        return units

    def _keep_offsets_of_damaged(self, keys: set[QueueKey]) -> None:
        """Let filler units stand for damaged messages at the end of a queue: the next one must not get their offset."""
        for extent in self._found.extents:
            for part in extent.queues:
                queue = self._table.by_key.get((part.topic, part.queue_id))
                if queue is not None and (part.topic, part.queue_id) in keys:
                    queue.fill_to(max(part.to_offset, queue.max_queue_offset), extent.begin)

    def _take_marks_back(self) -> None:
        damage = Damage.of(self._options.root)
        damage.use([known for known in damage.extents if known not in self._found.unmarked_whole], damage.more)
        damage.save()

    def _note_coverage(self, checkpoint: StoreCheckpoint, index_state: IndexState | None) -> None:
        """Let `coverage` say what queues and index hold now; how far the log reaches is known by nothing else."""
        former = checkpoint.coverage
        if former is None or index_state is None:
            return
        table = QueueTable(self._options.consume_queue_dir, self._options.mapped_file_size_consume_queue, self._budget)
        FoundQueues(self._options.consume_queue_dir, self._options.mapped_file_size_consume_queue, table).load()
        units = sum(queue.first_behind(former.physical_offset) for queue in table.by_key.values())
        # Never fewer than before: by that the next start sees that units are missing which it can complete.
        coverage = Coverage(former.physical_offset, max(units, former.unit_count), index_state)
        checkpoint.save(checkpoint.physic_timestamp, checkpoint.index_timestamp, coverage)

    def _rebuild_index(self) -> IndexState:
        for path in self._options.index_dir.iterdir():
            if path.name.isdecimal():
                path.unlink()
        self._log.damage = Damage(self._options.root)
        self._log.damage.use(self._found.extents)
        index = MessageIndex(self._options, self._log, self._budget, _now_ms)
        index.open(None, was_clean=True, full_timestamp=0)
        while index.is_behind:
            index.build(_RECORDS_PER_SLICE)
        index.sync()
        state = index.on_disk
        index.close()
        return state


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _raise_units_missing() -> None:
    raise AssertionError("the walk begins at the first record")
