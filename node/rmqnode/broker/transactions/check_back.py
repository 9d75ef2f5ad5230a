"""Asks producers about half messages that stay undecided, and gives up on those that nobody decides.

A round looks at the half messages from the first undecided one on. One that is old enough is copied to the end of its
queue with its check-backs counted, then a producer of its group gets CHECK_TRANSACTION_STATE and answers with
END_TRANSACTION about that copy. So the first undecided one is always the oldest, and waiting ones cost nothing.

Source: `TransactionalMessageCheckService`, `TransactionalMessageServiceImpl#check`,
`AbstractTransactionalMessageCheckListener` (RocketMQ 4.5.2): a round counts even if no producer of the group is
connected. Differs: rounds within a message's immunity time do not count; what the store refuses is tried again.
"""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import trio

from rmqnode.broker import system_topics
from rmqnode.broker.clients import Member
from rmqnode.broker.messages import Message, MessageWriter
from rmqnode.broker.topics import TopicTable
from rmqnode.broker.transactions import half_messages
from rmqnode.broker.transactions.ledger import TransactionLedger
from rmqnode.config import BrokerConfig
from rmqnode.net.connection import Connection
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers import CheckTransactionStateRequestHeader
from rmqnode.protocol.java_text import parse_int, parse_long
from rmqnode.protocol.message import StoredMessage, encode_record
from rmqnode.protocol.message_id import encode_offset_message_id
from rmqnode.protocol.properties import PropertyName, decode_properties
from rmqnode.store import PutResult, PutStatus

logger = logging.getLogger(__name__)

_ROUND_SECONDS_MAX: Final = 60.0
_MESSAGES_IN_A_ROW_MAX: Final = 64
"""After so many the loop is yielded to, so that a backlog does not stop the traffic."""

_NEVER_STORABLE: Final = frozenset({PutStatus.MESSAGE_ILLEGAL, PutStatus.PROPERTIES_SIZE_EXCEEDED})
"""The counters made it too long: without giving up it would stop all checks for good."""


class CheckBack:
    """The check-backs of one broker; only a master runs them.

    Args:
        producers: The members of a producer group that are connected now.
    """

    def __init__(
        self,
        config: BrokerConfig,
        writer: MessageWriter,
        ledger: TransactionLedger,
        topics: TopicTable,
        producers: Callable[[str], Mapping[Connection, Member]],
        clock_ms: Callable[[], int],
    ) -> None:
        self.config = config
        self._writer = writer
        self._ledger = ledger
        self._topics = topics
        self._producers = producers
        self._clock_ms = clock_ms
        self._turn = 0

    async def run(self) -> None:
        """Service: a round each `transactionCheckInterval`."""
        while True:
            await trio.sleep(self.config.transaction_check_interval_ms / 1000)
            await self.check_once()

    async def check_once(self) -> None:
        """Go through the half messages that were there when the round began, up to the first that is too young."""
        ledger = self._ledger
        end = ledger.half_end
        if end:
            # So that tools can look into it; as in 4.5.2, where the first round of checks makes it.
            self._has_topic(system_topics.TRANS_HALF_TOPIC)
        deadline = monotonic() + _ROUND_SECONDS_MAX
        looked_at = 0
        while ledger.half_offset < end and monotonic() < deadline:
            half = ledger.first_undecided()
            if half is not None and not self._is_dealt_with(half):
                break
            ledger.pass_over()
            looked_at += 1
            if looked_at % _MESSAGES_IN_A_ROW_MAX == 0:
                await trio.lowlevel.checkpoint()
        while ledger.skip_notes(_MESSAGES_IN_A_ROW_MAX):
            await trio.lowlevel.checkpoint()
        ledger.publish()

    def _is_dealt_with(self, half: StoredMessage) -> bool:
        """Copy, ask about or give up a half message; False when it has to stay where it is."""
        if self._ledger.is_settled(half) or self._ledger.is_superseded(half):
            return True
        age_ms = self._clock_ms() - half.born_timestamp
        times = half_messages.check_times(half)
        has_been_asked = times is not None and times >= self.config.transaction_check_max
        if has_been_asked or age_ms > self.config.file_reserved_time_hours * 3_600_000:
            return self._give_up(half)
        immunity_ms = _immunity_ms(half, self.config.transaction_time_out_ms)
        if immunity_ms is not None:
            if age_ms < immunity_ms:
                return self._put_copy(half, half_messages.copy_for_later(half)) is not None
        elif 0 <= age_ms < self.config.transaction_time_out_ms:
            return False
        copy = half_messages.copy_for_check(half)
        result = self._put_copy(half, copy)
        if result is not None and result.status is PutStatus.OK:
            self._ask(half, copy, result)
        return result is not None

    def _put_copy(self, half: StoredMessage, copy: Message) -> PutResult | None:
        """Store a copy of a half message; None when the store does not take it now."""
        result = self._writer.put_again(copy, may_be_delayed=False)
        if result.status is PutStatus.OK:
            self._ledger.note_copy(half, result.queue_offset)
        elif result.status in _NEVER_STORABLE:
            return result if self._give_up(half) else None
        else:
            return None
        return result

    def _give_up(self, half: StoredMessage) -> bool:
        if not self._has_topic(system_topics.TRANS_CHECK_MAX_TIME_TOPIC):
            return False
        result = self._writer.put_again(half_messages.given_up(half), may_be_delayed=False)
        kept_in, queue_offset = system_topics.TRANS_CHECK_MAX_TIME_TOPIC, result.queue_offset
        if result.status in _NEVER_STORABLE:
            # A record of another broker that fills a whole file of the log: it stays where it is.
            kept_in, queue_offset = half.topic, half.queue_offset
        elif result.status is not PutStatus.OK:
            return False
        logger.error(
            "transaction given up message_id=%s topic=%a producer_group=%a kept_in=%s queue_offset=%d",
            half.message_id,
            half.properties.get(PropertyName.REAL_TOPIC),
            half.properties.get(PropertyName.PRODUCER_GROUP),
            kept_in,
            queue_offset,
        )
        self._ledger.forget(half)
        return True

    def _has_topic(self, topic: str) -> bool:
        try:
            self._topics.create_if_absent(topic, 1)
        except OSError as error:
            logger.error("topic not created, tried again topic=%s reason=%s", topic, error)
            return False
        # One that a restart would forget is there the next time.
        return topic not in self._topics.unwritten

    def _ask(self, half: StoredMessage, copy: Message, result: PutResult) -> None:
        """Send the question about a copy to one producer of the group; without one the next round asks."""
        group = half.properties.get(PropertyName.PRODUCER_GROUP, "")
        topic = half.properties.get(PropertyName.REAL_TOPIC, "")
        queue_id = parse_int(half.properties.get(PropertyName.REAL_QUEUE_ID, ""))
        connections = [connection for connection in self._producers(group) if not connection.is_closed]
        if not connections or queue_id is None:
            logger.info("transaction not checked message_id=%s reason=no producer of group %s", half.message_id, group)
            return
        self._turn += 1
        unique_key = half.properties.get(PropertyName.UNIQUE_KEY)
        header = CheckTransactionStateRequestHeader(
            tran_state_table_offset=result.queue_offset,
            commit_log_offset=result.physical_offset,
            msg_id=unique_key,
            transaction_id=unique_key,
            offset_msg_id=encode_offset_message_id(*half.store_host, result.physical_offset),
        )
        connections[self._turn % len(connections)].send(
            Command(
                code=RequestCode.CHECK_TRANSACTION_STATE,
                flag=FLAG_ONEWAY,
                ext_fields=header_to_ext_fields(header),
                body=_question(half, copy, result, topic, queue_id),
            )
        )


def _question(half: StoredMessage, copy: Message, result: PutResult, topic: str, queue_id: int) -> bytes:
    """The message as its producer sent it, at the place of its newest copy."""
    return encode_record(
        StoredMessage(
            topic=topic,
            queue_id=queue_id,
            flag=half.flag,
            queue_offset=result.queue_offset,
            physical_offset=result.physical_offset,
            sys_flag=half.sys_flag,
            born_timestamp=half.born_timestamp,
            born_host=half.born_host,
            store_timestamp=result.store_timestamp,
            store_host=half.store_host,
            reconsume_times=half.reconsume_times,
            prepared_transaction_offset=0,
            body=half.body,
            body_crc=half.body_crc,
            properties=decode_properties(copy.properties.decode()),
            size_bytes=0,
        )
    )


def _immunity_ms(half: StoredMessage, default_ms: int) -> int | None:
    """How long a message asks to be left alone; None when it does not."""
    text = half.properties.get(PropertyName.CHECK_IMMUNITY_TIME_IN_SECONDS)
    if text is None:
        return None
    seconds = parse_long(text)
    return default_ms if seconds is None or seconds == -1 else seconds * 1000
