"""Requests to clients on behalf of tools and of other clients: sent over the connections that they keep, then answered.

Source: `Broker2Client` (RocketMQ 4.5.2). Differs: several clients are asked at once, not one after the other.
"""

from typing import Any, Final

import trio

from rmqnode.broker.outcome import AfterClients, ClientCall
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.routes import Reply, Request

ASKED_AT_ONCE_MAX: Final = 10_000
"""`replyThreadPoolQueueCapacity`: with more requests open than this, the next is told to come again."""


class ClientCalls:
    """The calls of one broker."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._open_count = 0

    def answer_after_clients(self, outcome: AfterClients, request: Request[Any]) -> None:
        """Ask the clients of an outcome, then answer the request."""
        if self._nursery is None or self._open_count >= ASKED_AT_ONCE_MAX:
            remark = f"the broker is asking {self._open_count} clients already, try again later"
            request.connection.reply(request, Reply(ResponseCode.SYSTEM_BUSY, remark))
            return
        self._open_count += 1
        self._nursery.start_soon(self._ask_and_answer, outcome, request)

    async def run(self) -> None:
        """Service: owns the calls."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    async def _ask_and_answer(self, outcome: AfterClients, request: Request[Any]) -> None:
        try:
            answers = await ask_clients(outcome.calls)
            request.connection.reply(request, outcome.answer(answers))
        finally:
            self._open_count -= 1


async def ask_clients(calls: list[ClientCall]) -> list[Command | RemotingError]:
    """Ask all clients at once; return what each answered, or why it did not."""
    answers: dict[int, Command | RemotingError] = {}

    async def ask(index: int, call: ClientCall) -> None:
        try:
            answers[index] = await call.connection.call(call.command, call.timeout_seconds)
        except RemotingError as error:
            answers[index] = error

    async with trio.open_nursery() as nursery:
        for index, call in enumerate(calls):
            nursery.start_soon(ask, index, call)
    return [answers[index] for index in range(len(calls))]
