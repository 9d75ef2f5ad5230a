"""Work in slices: what is small is done at once, what is long lets the loop turn in between."""

import time

import pytest
import trio

from rmqnode.net import slices
from rmqnode.net.loop_meter import LoopMeter
from rmqnode.net.slices import InSlices, SlicedWork, Steps, advance, in_slices


def steps_of(count: int, seconds: float) -> Steps[str]:
    for _ in range(count):
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass
        yield
    return "done"


def test_what_is_small_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # However long the machine takes for it.
    monkeypatch.setattr(slices, "SLICE_SECONDS", 60)
    assert in_slices(steps_of(3, 0.0001)) == "done"


def test_what_is_long_is_an_outcome_of_its_own() -> None:
    outcome = in_slices(steps_of(30, 0.001))

    assert isinstance(outcome, InSlices)


async def test_long_work_leaves_the_loop_its_turns(nursery: trio.Nursery) -> None:
    meter = LoopMeter()
    sliced = SlicedWork(meter)
    results: list[str] = []
    meter.start()

    def add(name: str) -> None:
        outcome = in_slices(steps_of(100, 0.001))
        assert isinstance(outcome, InSlices)

        def work() -> bool:
            result = advance(outcome.steps)
            if result is not None:
                results.append(name)
            return result is not None

        sliced.add(name, work)

    nursery.start_soon(sliced.run)
    await trio.lowlevel.checkpoint()
    meter.reset()
    for name in ("a", "b"):
        add(name)
        await trio.lowlevel.checkpoint()
    with trio.fail_after(10):
        while len(results) < 2:
            await trio.lowlevel.checkpoint()

    assert meter.longest_seconds <= 0.05
    assert set(results) == {"a", "b"}
