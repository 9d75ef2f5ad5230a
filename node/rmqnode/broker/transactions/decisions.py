"""Preparing, committing and rolling back: each an append to the log, noted in the ledger once it is there.

A commit stores the message first and the note behind it: a broker that is killed between the two asks again, and the
message may come twice, never not.
Source: `TransactionalMessageServiceImpl#prepareMessage`, `#deletePrepareMessage`, `EndTransactionProcessor`
(RocketMQ 4.5.2). Differs: a half message is taken only if each of its later forms can be stored; what was decided is
not decided again, where 4.5.2 delivers at each commit, also after a rollback.
"""

import logging
from collections.abc import Callable

from rmqnode.broker import system_topics
from rmqnode.broker.messages import Message, MessageWriter
from rmqnode.broker.transactions import half_messages
from rmqnode.broker.transactions.decision import COMMIT, ROLLBACK, Decision
from rmqnode.broker.transactions.ledger import TransactionLedger
from rmqnode.protocol.message import StoredMessage
from rmqnode.store import PutResult, PutStatus

logger = logging.getLogger(__name__)

_GIVEN_UP_NAME_SIZE = len(system_topics.TRANS_CHECK_MAX_TIME_TOPIC)


class Transactions:
    """What producers do to transactions."""

    def __init__(self, writer: MessageWriter, ledger: TransactionLedger, clock_ms: Callable[[], int]) -> None:
        self._writer = writer
        self._ledger = ledger
        self._clock_ms = clock_ms

    def prepare(self, message: Message) -> PutResult:
        """Store a message as a half message; a delay counts from its commit.

        Refused, too, when it would be too long once committed, asked about or given up: nobody could deliver it then.
        """
        topic, queue_id = message.topic, message.queue_id
        half = half_messages.prepared(message)
        # The name of the topic for given up ones may be the longer one.
        size = len(half.body) + max(0, _GIVEN_UP_NAME_SIZE - len(topic))
        status = self._writer.refusal(topic, queue_id, size, len(half.properties) + half_messages.GROWTH_MAX)
        if status is not PutStatus.OK:
            return PutResult(status)
        return self._writer.put(half, may_be_delayed=False)

    def decision_about(self, half: StoredMessage) -> Decision | None:
        """How this transaction was decided; None while a decision still counts."""
        return self._ledger.decision_about(half)

    def commit(self, half: StoredMessage, by: bytes) -> PutStatus:
        """Store the message of an open transaction where consumers find it; other statuses than OK leave it open.

        Args:
            half: The half message, of which nothing is decided.
            by: Address of the client that decides, 4 bytes IP and 4 bytes port.
        """
        message = half_messages.committed(half)
        if message is None:
            return PutStatus.MESSAGE_ILLEGAL
        status = self._writer.put_again(message).status
        if status is PutStatus.OK:
            self._note(half, Decision(COMMIT, self._clock_ms(), by))
        return status

    def roll_back(self, half: StoredMessage, by: bytes) -> None:
        """Let the message of an open transaction be forgotten; `by` as of `commit`."""
        self._note(half, Decision(ROLLBACK, self._clock_ms(), by))

    def resume(self, message: StoredMessage) -> PutStatus:
        """Make a message that was given up a half message again, to be asked about from the start."""
        result = self._writer.put_again(half_messages.copy_for_new_checks(message), may_be_delayed=False)
        if result.status is PutStatus.OK and half_messages.is_copy(message):
            self._ledger.note_copy(message, result.queue_offset)
        return result.status

    def _note(self, half: StoredMessage, decision: Decision) -> None:
        for queue_offset in (half.queue_offset, *self._ledger.settle(half, decision)):
            note = half_messages.decided(queue_offset, decision)
            if self._writer.put(note).status is PutStatus.OK:
                self._ledger.note_decided(queue_offset, decision)
            else:
                logger.error("decision not noted half_queue_offset=%d reason=its producer is asked again", queue_offset)
