"""Preparing, committing and rolling back: each an append to the log, noted in the ledger once it is there.

A commit stores the message first and the note behind it: a broker that is killed between the two asks again, and the
message may come twice, never not.
Source: `TransactionalMessageServiceImpl#prepareMessage`, `#deletePrepareMessage`, `EndTransactionProcessor`
(RocketMQ 4.5.2).
"""

import logging
from collections.abc import Callable

from rmqnode.broker.messages import Message, MessageWriter
from rmqnode.broker.transactions import half_messages
from rmqnode.broker.transactions.ledger import TransactionLedger
from rmqnode.protocol.message import StoredMessage
from rmqnode.store import PutResult, PutStatus

logger = logging.getLogger(__name__)


class Transactions:
    """What producers do to transactions.

    Args:
        store_host: Address of this broker, 4 bytes IP and 4 bytes port.
    """

    def __init__(
        self, writer: MessageWriter, ledger: TransactionLedger, clock_ms: Callable[[], int], store_host: bytes
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._clock_ms = clock_ms
        self._store_host = store_host

    def prepare(self, message: Message) -> PutResult:
        """Store a message as a half message; a delay counts from its commit."""
        return self._writer.put(half_messages.prepared(message), may_be_delayed=False)

    def commit(self, half: StoredMessage) -> PutStatus:
        """Store the message where consumers find it; any other status than OK leaves it undecided."""
        if self._ledger.is_settled(half):
            return PutStatus.OK
        message = half_messages.committed(half)
        if message is None:
            return PutStatus.MESSAGE_ILLEGAL
        status = self._writer.put(message).status
        if status is PutStatus.OK:
            self._note(half)
        return status

    def roll_back(self, half: StoredMessage) -> None:
        """Let the message be forgotten."""
        if not self._ledger.is_settled(half):
            self._note(half)

    def resume(self, message: StoredMessage) -> PutStatus:
        """Make a message that was given up a half message again, to be asked about from the start."""
        result = self._writer.put(half_messages.copy_for_new_checks(message), may_be_delayed=False)
        if result.status is PutStatus.OK and half_messages.is_copy(message):
            self._ledger.note_copy(message, result.queue_offset)
        return result.status

    def _note(self, half: StoredMessage) -> None:
        for queue_offset in (half.queue_offset, *self._ledger.settle(half)):
            note = half_messages.decided(queue_offset, self._clock_ms(), self._store_host)
            if self._writer.put(note).status is PutStatus.OK:
                self._ledger.note_decided(queue_offset)
            else:
                logger.error("decision not noted half_queue_offset=%d reason=its producer is asked again", queue_offset)
