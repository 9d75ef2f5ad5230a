"""Calling a handler: outcomes, the limit of its time, and what closing leaves it."""

import logging
from typing import Any

import pytest
import trio
import trio.testing

from rmqctl.client import ReceivedMessage
from rmqctl.client.consumer.handler_calls import Handler, HandlerCalls
from rmqctl.client.consumer.retry import Retry
from rmqctl.client.consumer.statistics import ConsumerStatistics
from rmqnode.protocol.bodies import MessageQueue
from tests.unit.client.consumer.records import stored_message

MESSAGE = ReceivedMessage(stored_message(0), MessageQueue(topic="orders", broker_name="broker-a"))


class Settled:
    """Notes outcomes; settling takes a second, as a request to a broker may."""

    def __init__(self) -> None:
        self.outcomes: list[Retry | None] = []

    async def __call__(self, retry: Retry | None) -> str:
        await trio.sleep(1)
        self.outcomes.append(retry)
        return "settled"


def calls(handler: Handler) -> HandlerCalls:
    return HandlerCalls(handler, timeout_seconds=60, close_seconds=10, statistics=ConsumerStatistics())


async def run_cancelled(called: HandlerCalls, settled: Settled, after_seconds: float) -> float:
    """Consume a message and have everything cancelled meanwhile; returns how long it took."""
    started_at = trio.current_time()
    with trio.move_on_after(after_seconds):
        async with trio.open_nursery() as nursery:
            await nursery.start(called.guard)
            nursery.start_soon(called.consume, MESSAGE, settled)
    return trio.current_time() - started_at


async def test_what_a_handler_returns_or_raises_is_settled(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[Retry | None] = []
    for answer in (None, Retry(delay_level=5), ValueError("broken")):

        async def handle(message: ReceivedMessage, answer: Retry | Exception | None = answer) -> Retry | None:
            if isinstance(answer, Exception):
                raise answer
            return answer

        settled = Settled()
        assert await calls(handle).consume(MESSAGE, settled) == "settled"
        outcomes += settled.outcomes
    assert outcomes == [None, Retry(delay_level=5), Retry()]
    assert "ValueError: broken" in caplog.text


async def test_a_handler_that_takes_too_long_is_cancelled_and_its_message_comes_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    settled, started_at = Settled(), trio.current_time()

    async def handle(message: ReceivedMessage) -> None:
        await trio.sleep_forever()

    with caplog.at_level(logging.WARNING):
        await calls(handle).consume(MESSAGE, settled)
    assert settled.outcomes == [Retry(delay_level=3)]
    assert trio.current_time() - started_at == pytest.approx(61)
    assert "no end within 60 s" in caplog.text


async def test_closing_lets_a_handler_finish_and_settle(autojump_clock: trio.testing.MockClock) -> None:
    async def handle(message: ReceivedMessage) -> None:
        await trio.sleep(5)

    settled = Settled()
    assert await run_cancelled(calls(handle), settled, 1) == pytest.approx(6)
    assert settled.outcomes == [None]


async def test_closing_ends_a_handler_that_does_not_end_and_settles_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handle(message: ReceivedMessage) -> None:
        await trio.sleep(50)

    settled = Settled()
    assert await run_cancelled(calls(handle), settled, 1) == pytest.approx(11)
    assert settled.outcomes == []


async def test_closing_does_not_give_a_handler_more_time_than_it_had(autojump_clock: trio.testing.MockClock) -> None:
    async def handle(message: ReceivedMessage) -> None:
        await trio.sleep_forever()

    settled = Settled()
    # It is cancelled after 60 s, as without closing, and the rest of the time for closing is for settling.
    assert await run_cancelled(calls(handle), settled, 55) == pytest.approx(61)
    assert settled.outcomes == [Retry(delay_level=3)]


async def test_a_handler_that_is_no_async_function_is_told_as_that() -> None:
    handler: Any = lambda message: None  # noqa: E731 - as an application might write it
    outcome = await calls(handler).attempt(MESSAGE)
    assert isinstance(outcome, TypeError)
    assert "no async function" in str(outcome)


async def test_only_none_and_retry_mean_something_when_they_are_returned() -> None:
    async def handle(message: ReceivedMessage) -> Any:
        return "consumed"

    outcome = await calls(handle).attempt(MESSAGE)
    assert isinstance(outcome, TypeError)
    assert "returned 'consumed', and not None or Retry" in str(outcome)


@pytest.mark.parametrize("answer", [Retry(delay_level=5), None])
async def test_a_message_with_a_damaged_body_is_given_up_loudly_instead_of_being_sent_back(
    answer: Retry | None, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stored = stored_message(0, properties={"KEYS": "k1"}, is_damaged=True)
    message = ReceivedMessage(stored, MESSAGE.queue)
    settled = Settled()

    async def handle(message: ReceivedMessage) -> Retry | None:
        return answer if answer is not None else message.json()

    with caplog.at_level(logging.ERROR):
        await calls(handle).consume(message, settled)
    assert settled.outcomes == [None], "the queue goes on; a copy would carry the damaged body under a CRC that fits"
    [record] = [each for each in caplog.records if "given up" in each.getMessage()]
    assert "reason=body damaged" in record.getMessage()
    assert "keys=k1" in record.getMessage()
