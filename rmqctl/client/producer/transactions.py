"""Transactional messages: stored first, delivered once the producer's own transaction is done, or never.

    half message ─▶ broker           hidden from consumers
    local transaction                the caller's own work
    END_TRANSACTION ─▶ broker        commit: consumers get it; roll back: nobody does; unknown: the broker asks later
    CHECK_TRANSACTION_STATE ◀─ broker   it asks a producer of the group that did not say; the checker answers

Source: `DefaultMQProducerImpl#sendMessageInTransaction`, `#endTransaction`, `#checkTransactionState` (RocketMQ 4.5.2),
differs: brokers are asked to answer the end of a transaction, so that a commit which did not arrive is known.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Final

import msgspec
import trio

from rmqctl.client.broker_requests import BrokerRequest
from rmqctl.client.client import Client
from rmqctl.client.compression import decompressed_body
from rmqctl.client.errors import ClientError, RequestRefused
from rmqctl.client.message import Message, SendResult, SendStatus
from rmqctl.client.received import ReceivedMessage
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.headers import CheckTransactionStateRequestHeader, EndTransactionRequestHeader
from rmqnode.protocol.message import MalformedMessage, StoredMessage, SysFlag, crc_of_body, decode_record
from rmqnode.protocol.message_id import MalformedMessageId, decode_offset_message_id
from rmqnode.protocol.properties import PropertyName
from rmqnode.protocol.routes import Reply

logger = logging.getLogger(__name__)

_ZLIB_HEADS: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How a zlib stream begins, for each group of levels."""

_END_SECONDS: Final = 3.0
"""For telling the broker, even when the caller is being cancelled."""


class TransactionState(IntEnum):
    """What became of a producer's own transaction; the numbers are those of the wire."""

    UNKNOWN = 0
    """Not known yet: the broker asks later, after 6 s first, then once a minute, 15 times."""
    COMMIT = int(SysFlag.TRANSACTION_COMMIT)
    """Done: consumers get the message."""
    ROLLBACK = int(SysFlag.TRANSACTION_ROLLBACK)
    """Not done: nobody gets the message."""


Checker = Callable[[ReceivedMessage], Awaitable[TransactionState]]
"""Says what became of the transaction behind a half message; what it raises counts as UNKNOWN."""


class Transaction:
    """A half message and what is to become of it."""

    def __init__(self, half: SendResult) -> None:
        self.half = half
        self.state = TransactionState.COMMIT
        """What the broker is told at the end."""

    def roll_back(self) -> None:
        """Let nobody get the message."""
        self.state = TransactionState.ROLLBACK

    def leave_open(self) -> None:
        """Let the broker ask later: the checker of this producer, or of another one of its group, will know."""
        self.state = TransactionState.UNKNOWN


class HalfMessageNotSafe(ClientError):
    """The half message is stored, but not as safely as the broker is configured: it was rolled back."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        half = transaction.half
        super().__init__(
            f"the half message for topic {half.topic} on {half.broker} has status {half.status}",
            "it was rolled back, and the local transaction did not run",
            "repeat it; the broker waits for its disk (SYNC_FLUSH) or its slave (SYNC_MASTER)",
        )


class Transactions:
    """The transactions of one producer group in one client.

    Args:
        client: Open as long as this is used.
        group: Producer group: brokers ask its members.
        checker: Answers what brokers ask; without one they ask in vain.
    """

    def __init__(self, client: Client, group: str, checker: Checker | None) -> None:
        self._client = client
        self._group = group
        self._checker = checker

    def start(self) -> None:
        """Answer what brokers ask from now on."""
        if self._checker is not None:
            self._client.requests.serve(RequestCode.CHECK_TRANSACTION_STATE, self._group, self._check)

    def stop(self) -> None:
        """Answer no more."""
        self._client.requests.stop_serving(self._group, RequestCode.CHECK_TRANSACTION_STATE)

    def half_message(self, message: Message) -> Message:
        """Return the message as a half message of this group."""
        half = {PropertyName.TRANSACTION_PREPARED: "true", PropertyName.PRODUCER_GROUP: self._group}
        return msgspec.structs.replace(message, system_properties={**message.system_properties, **half})

    @asynccontextmanager
    async def open(self, half: SendResult, address: str) -> AsyncIterator[Transaction]:
        """Run a block as the local transaction of a half message, and tell the broker at its end.

        Raises:
            HalfMessageNotSafe: The broker did not store it as safely as it should; the block is not run.
            ClientError: The broker could not be told of a commit, and there is no checker that it could ask; or
                somebody else had rolled the message back, and the broker asks nobody any more (`RequestRefused`).
        """
        transaction = Transaction(half)
        if half.status is not SendStatus.SEND_OK:
            transaction.roll_back()
            await self._end(transaction, address)
            raise HalfMessageNotSafe(transaction)
        try:
            yield transaction
        except BaseException:
            # Only a checker can tell whether the exception came before or after the local commit.
            transaction.state = TransactionState.ROLLBACK if self._checker is None else TransactionState.UNKNOWN
            await self._end(transaction, address)
            raise
        await self._end(transaction, address)

    async def _end(self, transaction: Transaction, address: str) -> None:
        half, state = transaction.half, transaction.state
        if state is TransactionState.UNKNOWN:
            # That is what brokers take a message for that they hear nothing of.
            return
        header = EndTransactionRequestHeader(
            producer_group=self._group,
            tran_state_table_offset=half.queue_offset,
            commit_log_offset=_physical_offset(half),
            commit_or_rollback=state,
            msg_id=half.message_id,
            transaction_id=half.message_id,
        )
        try:
            with trio.CancelScope(shield=True):
                await self._client.connection.ask_broker(
                    half.broker,
                    address,
                    RequestCode.END_TRANSACTION,
                    header,
                    topic=half.topic,
                    timeout_seconds=_END_SECONDS,
                )
        except ClientError as error:
            if state is TransactionState.COMMIT and (self._checker is None or _is_decided(error)):
                raise
            logger.warning("end of transaction not taken message_id=%s reason=%s", half.message_id, error)

    async def _check(self, request: BrokerRequest) -> Reply | None:
        header = request.header(CheckTransactionStateRequestHeader)
        stored = _readable(decode_record(request.body))
        message = ReceivedMessage(stored, MessageQueue(topic=stored.topic, queue_id=stored.queue_id))
        state = await self._ask_checker(message)
        request.send_back(
            RequestCode.END_TRANSACTION,
            EndTransactionRequestHeader(
                producer_group=self._group,
                tran_state_table_offset=header.tran_state_table_offset,
                commit_log_offset=header.commit_log_offset,
                commit_or_rollback=state,
                from_transaction_check=True,
                msg_id=message.message_id,
                transaction_id=header.transaction_id,
            ),
        )
        return None

    async def _ask_checker(self, message: ReceivedMessage) -> TransactionState:
        assert self._checker is not None
        try:
            return TransactionState(await self._checker(message))
        except Exception:
            # The edge to the application's code: its bug must not decide about a message.
            logger.exception("checker failed message_id=%s topic=%s", message.message_id, message.topic)
            return TransactionState.UNKNOWN


def _readable(stored: StoredMessage) -> StoredMessage:
    """Undo a slip of 4.5.2's brokers: what they ask about is decompressed already, and still flagged as compressed.

    Its CRC is that of the compressed body, so it says nothing. A body that begins as zlib's do was not decompressed.
    """
    try:
        decompressed_body(stored)
    except MalformedMessage:
        if stored.has_damaged_body and stored.body.startswith(_ZLIB_HEADS):
            return stored
        plain = stored.sys_flag & ~SysFlag.COMPRESSED
        return msgspec.structs.replace(stored, sys_flag=plain, body_crc=crc_of_body(stored.body))
    return stored


def _physical_offset(half: SendResult) -> int:
    try:
        return decode_offset_message_id(half.offset_message_id).physical_offset
    except MalformedMessageId as error:
        raise ClientError(
            f"{half.broker} gave the half message {half.message_id} an id that can't be read",
            str(error),
            "it stays hidden: the broker will ask the checker of its group",
        ) from None


def _is_decided(error: ClientError) -> bool:
    """Whether a broker of ours refused a decision because there was another one: it asks nobody any more."""
    return isinstance(error, RequestRefused) and (error.remark or "").startswith("already ")
