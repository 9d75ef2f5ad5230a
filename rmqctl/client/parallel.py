"""Asking several servers at the same time, with one plain error when one of them fails."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from rmqctl.client.errors import ClientError

T = TypeVar("T")


async def in_parallel(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run all calls at the same time and return their results in order.

    Raises:
        ClientError: Of the first call that failed; the others are cancelled then.
    """
    results: dict[int, T] = {}
    failures: list[ClientError] = []

    async def run(index: int, scope: trio.CancelScope) -> None:
        try:
            results[index] = await calls[index]()
        except ClientError as error:
            # A nursery would wrap it into a group; callers handle plain errors.
            failures.append(error)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for index in range(len(calls)):
            nursery.start_soon(run, index, nursery.cancel_scope)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(calls))]
