"""Work that takes longer than one may keep others waiting: done in slices between the turns of the loop.

A handler that answers a whole table or takes over a long list is a generator: it yields wherever it could be
interrupted and returns its outcome. What is small is done at once, without a task and without waiting. The rest is
taken up by `SlicedWork` in turn, one slice of each and then a turn of the loop.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from time import perf_counter
from typing import Any, Final, TypeVar

import msgspec
import trio

from rmqnode.net.loop_meter import LoopMeter

SLICE_SECONDS: Final = 0.005
"""Length of a slice: ten of them still fit between two turns that nobody calls long."""

_ACTIVE_MAX: Final = 4
"""Requests that are worked on in turn; others wait."""

_WAITING_MAX: Final = 256
_OF_ONE_MAX: Final = 32
"""Requests that wait, of all connections and of one; who brings more is told that the node is busy."""

T = TypeVar("T")
V = TypeVar("V")

Steps = Generator[None, None, T]
"""Work that may be interrupted at each yield, and its result."""


class InSlices(msgspec.Struct, gc=False):
    """Outcome of a handler whose work has only begun."""

    steps: Steps[Any]


class TooMuchSlicedWork(Exception):
    """As many requests as may be are worked on in slices."""

    def __init__(self) -> None:
        super().__init__(
            f"{_OF_ONE_MAX} long requests of this connection or {_WAITING_MAX} of all wait, try again later"
        )


def in_slices(steps: Steps[T]) -> T | InSlices:
    """Do the first slice; return the result if that was all, else what `SlicedWork` goes on with."""
    return result[0] if (result := advance(steps)) is not None else InSlices(steps)


def batched(items: Sequence[V], count: int) -> Iterator[Sequence[V]]:
    """Yield the items in runs of up to `count`."""
    for start in range(0, len(items), count):
        yield items[start : start + count]


def advance(steps: Steps[T]) -> tuple[T] | None:
    """Do one slice; return the result if that was the last one."""
    end = perf_counter() + SLICE_SECONDS
    try:
        while perf_counter() < end:
            next(steps)
    except StopIteration as stop:
        return (stop.value,)
    return None


def finish(steps: Steps[T]) -> T:
    """Do all of it without interruption: where nobody waits, at a start or a stop."""
    while (result := advance(steps)) is None:
        pass
    return result[0]


async def finish_in_turns(steps: Steps[T]) -> T:
    """Do all of it, with a turn of the loop after each slice."""
    while (result := advance(steps)) is None:
        await trio.lowlevel.checkpoint()
    return result[0]


class _Work(msgspec.Struct):
    name: str
    advance: Callable[[], bool]
    owner: object


class SlicedWork:
    """The long requests of a node, a few at a time: each may build an answer of 16 MiB. Its owner runs `run`."""

    def __init__(self, meter: LoopMeter) -> None:
        self._meter = meter
        self._active: deque[_Work] = deque()
        self._waiting: deque[_Work] = deque()
        self._count_by_owner: Counter[object] = Counter()
        self._has_work = trio.Event()

    def add(self, name: str, work: Callable[[], bool], owner: object = None) -> None:
        """Take work up.

        Args:
            name: What a long stretch is blamed on.
            work: Does one slice; says whether that was the last one. Must not raise.
            owner: Who wants it, such as a connection: nobody may have more than `_OF_ONE_MAX` at a time.

        Raises:
            TooMuchSlicedWork: There is no room for it.
        """
        if len(self._waiting) >= _WAITING_MAX or self._count_by_owner[owner] >= _OF_ONE_MAX:
            raise TooMuchSlicedWork
        self._count_by_owner[owner] += 1
        self._waiting.append(_Work(name, work, owner))
        self._has_work.set()

    async def run(self) -> None:
        """Service: work."""
        while True:
            await self._has_work.wait()
            while self._active or self._waiting:
                while self._waiting and len(self._active) < _ACTIVE_MAX:
                    self._active.append(self._waiting.popleft())
                self._work_on(self._active.popleft())
                await trio.lowlevel.checkpoint()
            self._has_work = trio.Event()

    def _work_on(self, work: _Work) -> None:
        begun = perf_counter()
        is_done = work.advance()
        self._meter.note(work.name, perf_counter() - begun)
        if not is_done:
            self._active.append(work)
            return
        self._count_by_owner[work.owner] -= 1
        if not self._count_by_owner[work.owner]:
            del self._count_by_owner[work.owner]
