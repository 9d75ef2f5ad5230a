"""Which half messages are decided: what the notes in the op topic say, and how far both topics are worked off.

Two consumer offsets of `CID_RMQ_SYS_TRANS` are all that is kept besides the log: every half message below the first is
decided, copied to the end or given up; every note below the second is about one of those. What lies behind them is read
again at a start, so a kill forgets nothing. In memory are only the decided half messages behind an undecided one, the
transactions that have been copied, and the latest decisions (`DECISIONS_MAX`), which a start reads again too.

Source: `TransactionalMessageServiceImpl#check`, `#fillOpRemoveMap`, `#calculateOpOffset` (RocketMQ 4.5.2). Differs: the
notes are read once, not in each round; what a client says about an earlier copy counts for all copies, and once.
"""

from collections.abc import Iterator
from typing import Final

from rmqnode.broker import system_topics
from rmqnode.broker.consumer_offsets import ConsumerOffsets
from rmqnode.broker.transactions.decision import DECISIONS_MAX, Decision, decision_of_note
from rmqnode.broker.transactions.half_messages import (
    QUEUE_ID,
    Identity,
    identity_of,
    is_copy,
    offsets_of_decisions,
)
from rmqnode.protocol.message import StoredMessage, decode_record
from rmqnode.store import MessageStore
from rmqnode.store.copying import StoredMessage as Note

HALF: Final = system_topics.TRANS_HALF_TOPIC
OP: Final = system_topics.TRANS_OP_HALF_TOPIC

_SETTLED_MAX: Final = 16_384
"""So many of the transactions that were asked about are remembered after their decision, to take no second one."""

_GIVEN_UP_MAX: Final = 1024
"""So many of the transactions that were given up are remembered: their producers can still decide. And so many of those
that nothing is remembered of.
"""


class TransactionLedger:
    """The state of all transactions of one broker; only a master's is loaded."""

    def __init__(self, store: MessageStore, offsets: ConsumerOffsets) -> None:
        self._store = store
        self._offsets = offsets
        self.half_offset = 0
        """Queue offset of the first half message that may be undecided."""
        self._op_offset = 0
        self._decided_ahead: set[int] = set()
        self._copies: dict[Identity, list[int]] = {}
        self._settled: dict[Identity, Decision] = {}
        self._decisions: dict[int, Decision] = {}
        """By the queue offset of the half message that a note is about, the latest `DECISIONS_MAX`."""
        self._given_up: dict[Identity, None] = {}
        self._forgotten: dict[int, Decision] = {}
        """Decisions that somebody asked for and nobody remembers, so that the log tells each once."""
        self._captured: tuple[int, int, int] | None = None
        self._is_loaded = False

    def load(self) -> None:
        """Read the notes and the undecided half messages that the last broker left behind its offsets."""
        self._is_loaded = True
        self.half_offset = self._start_of(HALF)
        self._op_offset = self._start_of(OP)
        end = self._store.max_offset(OP, QUEUE_ID)
        remembered_from = max(end - DECISIONS_MAX, self._store.min_offset(OP, QUEUE_ID))
        for offset, note in self._notes(min(self._op_offset, remembered_from), end):
            decision = decision_of_note(note)
            for half_offset in offsets_of_decisions(note.body):
                self._remember(half_offset, decision)
                if offset >= self._op_offset:
                    self._count_decided(half_offset)
        found: dict[Identity, list[int]] = {}
        copied: set[Identity] = set()
        for half in self._undecided():
            found.setdefault(identity_of(half), []).append(half.queue_offset)
            if is_copy(half):
                copied.add(identity_of(half))
        self._copies = {identity: found[identity] for identity in copied}

    @property
    def half_end(self) -> int:
        """Queue offset behind the last half message."""
        return self._store.max_offset(HALF, QUEUE_ID)

    def first_undecided(self) -> StoredMessage | None:
        """The half message at `half_offset`; None when the log has lost it."""
        return self._half_at(self.half_offset)

    def pass_over(self) -> None:
        """Be done with the half message at `half_offset`: it is copied, given up or gone."""
        self.half_offset += 1
        self._skip_decided()

    def note_decided(self, half_offset: int, decision: Decision) -> None:
        """Be done with a half message because there is a note about it."""
        self._remember(half_offset, decision)
        self._count_decided(half_offset)

    def _remember(self, half_offset: int, decision: Decision) -> None:
        self._decisions[half_offset] = decision
        if len(self._decisions) > DECISIONS_MAX:
            del self._decisions[next(iter(self._decisions))]

    def _count_decided(self, half_offset: int) -> None:
        if self.half_offset <= half_offset < self.half_end:
            self._decided_ahead.add(half_offset)
            self._skip_decided()

    def is_settled(self, half: StoredMessage) -> bool:
        """Whether this transaction is certainly decided: another decision about it comes too late."""
        return half.queue_offset in self._decided_ahead or identity_of(half) in self._settled

    def decision_about(self, half: StoredMessage) -> Decision | None:
        """The decision about this transaction; None while it is open, or was given up, where a decision still counts.

        A half message below `half_offset` that has no open copy is done with: its decision is older than the memory, or
        it was given up before this start. Its kind is 0 then.
        """
        known = self._decisions.get(half.queue_offset)
        if known is not None:
            return known
        identity = identity_of(half)
        known = self._settled.get(identity)
        if known is not None:
            return known
        is_ahead = half.queue_offset >= self.half_offset and half.queue_offset not in self._decided_ahead
        if is_ahead or identity in self._copies or identity in self._given_up:
            return None
        known = self._forgotten.get(half.queue_offset)
        if known is None:
            # Whoever asks for thousands of old ones gets his answers, and no more lines in the log.
            known = Decision(0, is_reported=len(self._forgotten) >= _GIVEN_UP_MAX)
            if not known.is_reported:
                self._forgotten[half.queue_offset] = known
        return known

    def note_copy(self, half: StoredMessage, queue_offset: int) -> None:
        """Remember where a transaction that is still open was copied to."""
        self._copies.setdefault(identity_of(half), []).append(queue_offset)

    def is_superseded(self, half: StoredMessage) -> bool:
        """Whether a later copy of this half message stands for it."""
        return any(each > half.queue_offset for each in self._copies.get(identity_of(half), ()))

    def settle(self, half: StoredMessage, decision: Decision) -> list[int]:
        """Remember that a transaction is decided; return the queue offsets of its copies that need a note."""
        if not self._copies and not self._given_up:
            return []
        identity = identity_of(half)
        copies = self._copies.pop(identity, [])
        was_given_up = identity in self._given_up
        if copies or was_given_up:
            self._given_up.pop(identity, None)
            self._settled[identity] = decision
            if len(self._settled) > _SETTLED_MAX:
                del self._settled[next(iter(self._settled))]
        return [each for each in copies if each >= self.half_offset and each != half.queue_offset]

    def forget(self, half: StoredMessage) -> None:
        """Drop what is known of a transaction that was given up; its producer may still decide."""
        identity = identity_of(half)
        self._copies.pop(identity, None)
        self._given_up[identity] = None
        if len(self._given_up) > _GIVEN_UP_MAX:
            del self._given_up[next(iter(self._given_up))]

    def skip_notes(self, count_max: int) -> bool:
        """Move on over at most so many notes about half messages that are done with; True when there may be more."""
        end = self._store.max_offset(OP, QUEUE_ID)
        if not self._decided_ahead:
            self._op_offset = end
        for _ in range(count_max):
            if self._op_offset >= end or any(each >= self.half_offset for each in self._decisions_at(self._op_offset)):
                return False
            self._op_offset += 1
        return True

    def publish(self, *, is_stop: bool = False) -> None:
        """Commit the offsets: those of the last call, once the log is on disk up to there; at a stop, those of now.

        After a power failure the offsets must not be ahead of the notes that they leave out.
        """
        if not self._is_loaded:
            return
        if self._captured is not None and self._captured[0] <= self._store.flushed_offset:
            self._commit(*self._captured[1:])
        self._captured = (self._store.wrote_offset, self.half_offset, self._op_offset)
        if is_stop:
            self._commit(*self._captured[1:])

    def _commit(self, half_offset: int, op_offset: int) -> None:
        group = system_topics.TRANS_GROUP
        for topic, queue_offset in ((HALF, half_offset), (OP, op_offset)):
            if self._offsets.find(group, topic, QUEUE_ID) != queue_offset and self._store.max_offset(topic, QUEUE_ID):
                self._offsets.commit(group, topic, QUEUE_ID, queue_offset)

    def _start_of(self, topic: str) -> int:
        """The committed offset, kept within the queue: a log that lost its end takes new messages before it."""
        committed = self._offsets.find(system_topics.TRANS_GROUP, topic, QUEUE_ID) or 0
        low, high = self._store.min_offset(topic, QUEUE_ID), self._store.max_offset(topic, QUEUE_ID)
        return min(max(committed, low), high)

    def _skip_decided(self) -> None:
        while self.half_offset in self._decided_ahead:
            self._decided_ahead.remove(self.half_offset)
            self.half_offset += 1

    def _undecided(self) -> Iterator[StoredMessage]:
        for offset in range(self.half_offset, self.half_end):
            half = None if offset in self._decided_ahead else self._half_at(offset)
            if half is not None:
                yield half

    def _half_at(self, offset: int) -> StoredMessage | None:
        record = self._record(HALF, offset)
        return None if record is None else decode_record(record)

    def _decisions_at(self, offset: int) -> list[int]:
        return [half for _, note in self._notes(offset, offset + 1) for half in offsets_of_decisions(note.body)]

    def _notes(self, begin: int, end: int) -> Iterator[tuple[int, Note]]:
        """Yield the notes that are there with their queue offsets."""
        while begin < end:
            notes = self._store.stretch(OP, QUEUE_ID, begin, end - begin, lambda _: True)
            yield from enumerate(notes, begin)
            # A stretch ends at what is gone.
            begin += len(notes) or 1

    def _record(self, topic: str, offset: int) -> memoryview | None:
        unit = self._store.unit(topic, QUEUE_ID, offset)
        return None if unit is None else self._store.read_record(unit[0])
