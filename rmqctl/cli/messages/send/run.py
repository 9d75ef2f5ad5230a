"""Sending the messages of one `rmqctl send`: one by one, many at a time, or without waiting for answers.

A message that fails is told and counted, and the next one goes out; many in a row end it, because then nothing works.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from enum import Enum
from functools import partial
from time import perf_counter
from typing import Final

import msgspec
import trio

from rmqctl.cli.messages.send.report import SendReport
from rmqctl.cli.messages.send.source import Item, Source
from rmqctl.cli.output import narrate, print_json_line, print_result
from rmqctl.client.errors import ClientError
from rmqctl.client.message import Message, SendResult
from rmqctl.client.producer import Producer, TransactionState
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqnode.protocol.bodies import MessageQueue

_FAILURES_IN_A_ROW_MAX: Final = 16
_FAILURES_TOLD_MAX: Final = 10


class SendMode(Enum):
    """How the next message relates to the answer of the one before."""

    SYNC = "sync"
    ASYNC = "async"
    ONEWAY = "oneway"


class Decision(Enum):
    """What a transaction comes to."""

    COMMIT = "commit"
    ROLLBACK = "rollback"
    UNKNOWN = "unknown"


_DECIDED: Final = {
    Decision.COMMIT: "committed",
    Decision.ROLLBACK: "rolled back",
    Decision.UNKNOWN: "undecided: the broker asks the producer group",
}


async def send_one(
    producer: Producer,
    message: Message,
    *,
    queue: MessageQueue | None,
    order_key: str | None,
    decision: Decision | None,
) -> SendResult:
    """Send a message and wait for its result; with a decision, as a half message that is decided about at once.

    Raises:
        ClientError: As `Producer.send` and `Producer.transaction`.
    """
    if decision is None:
        return await producer.send(message, queue=queue, order_key=order_key)
    async with producer.transaction(message, queue=queue, order_key=order_key) as transaction:
        transaction.state = TransactionState[decision.name]
    return transaction.half


class Sending:
    """One run over all messages.

    Args:
        producer: Open.
        mode: Whether answers are waited for.
        queue: Where every message goes; None lets the producer choose.
        order_key: Of messages that bring none of their own.
        decision: Makes every message a transaction of its own; only with SYNC.
        rate: Messages in a second at most; None as fast as it goes.
        report: Counts.
        tell: Takes the result of each message.
    """

    def __init__(
        self,
        producer: Producer,
        mode: SendMode,
        *,
        queue: MessageQueue | None,
        order_key: str | None,
        decision: Decision | None,
        rate: float | None,
        report: SendReport,
        tell: Callable[[SendResult], None],
    ) -> None:
        self._producer = producer
        self._queue = queue
        self._order_key = order_key
        self._decision = decision
        self._rate = rate
        self._report = report
        self._tell = tell
        self._send: Callable[[Item], Awaitable[None]] = {
            SendMode.SYNC: self._send_and_wait,
            SendMode.ASYNC: self._send_and_go_on,
            SendMode.ONEWAY: self._send_oneway,
        }[mode]

    async def run(self, source: Source) -> None:
        """Send everything.

        Raises:
            RmqctlError: So many messages failed one after the other that it was given up.
        """
        report = self._report
        report.begin()
        begun = trio.current_time()
        number = 0
        async with aclosing(source.items()) as items:
            async for item in items:
                if self._rate is not None:
                    await trio.sleep_until(begun + number / self._rate)
                number += 1
                report.read_bytes = item.read_bytes
                if isinstance(item.message, RmqctlError):
                    self._failed(item, item.message)
                else:
                    await self._send(item)
                if report.failures_in_a_row >= _FAILURES_IN_A_ROW_MAX:
                    await self._producer.flush()
                    raise self._given_up(item)
        await self._producer.flush()
        report.end()

    async def _send_and_wait(self, item: Item) -> None:
        assert not isinstance(item.message, RmqctlError)
        begun = perf_counter()
        try:
            result = await send_one(
                self._producer,
                item.message,
                queue=self._queue,
                order_key=self._key_of(item),
                decision=self._decision,
            )
        except ClientError as error:
            self._failed(item, error)
        else:
            self._stored(result, begun)

    async def _send_and_go_on(self, item: Item) -> None:
        assert not isinstance(item.message, RmqctlError)
        callback = partial(self._take_outcome, item, perf_counter())
        try:
            await self._producer.send_async(
                item.message, callback=callback, queue=self._queue, order_key=self._key_of(item)
            )
        except ClientError as error:
            self._failed(item, error)

    async def _send_oneway(self, item: Item) -> None:
        assert not isinstance(item.message, RmqctlError)
        try:
            await self._producer.send_oneway(item.message, queue=self._queue, order_key=self._key_of(item))
        except ClientError as error:
            self._failed(item, error)
        else:
            self._report.handed_over()

    def _key_of(self, item: Item) -> str | None:
        return None if self._queue is not None else item.order_key or self._order_key

    def _take_outcome(self, item: Item, begun: float, outcome: SendResult | ClientError) -> None:
        if isinstance(outcome, ClientError):
            self._failed(item, outcome)
        else:
            self._stored(outcome, begun)

    # Ctrl-C waits meanwhile: what is counted is told, too.
    @trio.lowlevel.enable_ki_protection
    def _stored(self, result: SendResult, begun: float) -> None:
        self._report.sent(result.status, perf_counter() - begun)
        self._tell(result)

    def _failed(self, item: Item, error: RmqctlError) -> None:
        report = self._report
        report.failed(error)
        if report.failed_count <= _FAILURES_TOLD_MAX:
            which = "a message" if item.line is None else f"line {item.line}"
            # What is wrong with the input names its line already.
            what = error.what if isinstance(error, UsageError) else f"{which} was not sent: {error.what}"
            narrate(f"rmqctl: {what}{f' ({error.why})' if error.why else ''}")
        elif report.failed_count == _FAILURES_TOLD_MAX + 1:
            narrate("rmqctl: further failures are counted, and not told one by one")

    def _given_up(self, item: Item) -> RmqctlError:
        failure = self._report.first_failure
        assert failure is not None
        done = self._report.sent_count + self._report.failed_count
        where = f"; line {item.line} was the last one that was tried" if item.line is not None else ""
        return RmqctlError(
            f"given up after {_FAILURES_IN_A_ROW_MAX} failures in a row: {self._report.sent_count} of {done} messages"
            f" were sent{where}",
            failure.what if failure.why is None else f"{failure.what}: {failure.why}",
            failure.cure,
            ExitCode(failure.exit_code),
        )


def print_send_result(result: SendResult, decision: Decision | None, *, json_output: bool) -> None:
    """Print where a message was stored: a line, or a JSON object. The place of a half message is its own."""
    if json_output:
        told = msgspec.to_builtins(result)
        print_json_line(told if decision is None else told | {"transaction": decision.value})
        return
    place = f"{result.broker} queue {result.queue_id} offset {result.queue_offset}"
    if decision is not None:
        place = f"{result.broker} {_DECIDED[decision]}"
    print_result(f"{result.message_id}  {place}  {result.status}")
