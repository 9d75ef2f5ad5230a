"""Tables that are written off the loop: many changes with one write, and none counts as lasting before."""

import threading
from collections.abc import Generator

import pytest
import trio
import trio.testing

from rmqnode.net.written_table import WrittenTable


class File:
    """A file whose writes wait until the test lets them, or fail."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.may_write = threading.Event()
        self.may_write.set()
        self.error: OSError | None = None

    def save(self, text: str) -> None:
        assert self.may_write.wait(10)
        if self.error is not None:
            raise self.error
        self.saved.append(text)


class Table(WrittenTable[int]):
    def put(self, name: str, value: int) -> None:
        self.replace_entries({**self._entries, name: value}, [name])

    @property
    def entries(self) -> dict[str, int]:
        return self._entries

    def _text_steps(self) -> Generator[None, None, bytes]:
        yield
        return ",".join(f"{name}={value}" for name, value in self._entries.items()).encode()


async def wait_written(table: Table) -> OSError | None:
    done = trio.Event()
    errors: list[OSError | None] = []

    def written(error: OSError | None) -> None:
        errors.append(error)
        done.set()

    table.when_written(written)
    with trio.fail_after(10):
        await done.wait()
    return errors[0]


def test_without_the_service_a_change_is_written_before_it_counts() -> None:
    file = File()
    table = Table(file, {})
    table.put("a", 1)
    file.error = OSError("full")

    with pytest.raises(OSError, match="full"):
        table.put("b", 2)
    assert (file.saved, table.entries, dict(table.unwritten)) == (["a=1"], {"a": 1}, {})


async def test_changes_during_a_write_share_the_next_one(nursery: trio.Nursery) -> None:
    file = File()
    table = Table(file, {})
    nursery.start_soon(table.keep_written)
    await trio.testing.wait_all_tasks_blocked()
    file.may_write.clear()
    table.put("a", 1)
    await trio.testing.wait_all_tasks_blocked(0.01)
    for number in range(100):
        table.put(f"b{number}", number)
    assert (len(table.unwritten), file.saved) == (101, [])
    file.may_write.set()

    assert await wait_written(table) is None
    assert (len(file.saved), len(file.saved[1].split(","))) == (2, 101)
    assert not table.unwritten


async def test_a_write_that_fails_takes_its_changes_back_and_says_so(nursery: trio.Nursery) -> None:
    file = File()
    table = Table(file, {"kept": 1, "changed": 1})
    nursery.start_soon(table.keep_written)
    await trio.testing.wait_all_tasks_blocked()
    file.error = OSError("full")
    table.put("changed", 2)
    table.put("new", 3)

    assert str(await wait_written(table)) == "full"
    assert table.entries == {"kept": 1, "changed": 1}


async def test_what_is_not_written_at_a_stop_is_written_then() -> None:
    file = File()
    table = Table(file, {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(table.keep_written)
        await trio.testing.wait_all_tasks_blocked()
        table.put("a", 1)
        nursery.cancel_scope.cancel()

    assert file.saved[-1] == "a=1"
    assert not table.unwritten


@pytest.mark.parametrize("error", [None, OSError("full")])
async def test_who_comes_while_an_entry_is_being_written_is_told_by_that_write(
    nursery: trio.Nursery, error: OSError | None
) -> None:
    file = File()
    table = Table(file, {})
    nursery.start_soon(table.keep_written)
    await trio.testing.wait_all_tasks_blocked()
    file.may_write.clear()
    file.error = error
    table.put("a", 1)
    await trio.testing.wait_all_tasks_blocked(0.01)
    nursery.start_soon(trio.to_thread.run_sync, file.may_write.set)
    assert await wait_written(table) is error


async def test_who_waits_for_an_entry_is_not_told_of_another_ones_write(nursery: trio.Nursery) -> None:
    file = File()
    table = Table(file, {})
    nursery.start_soon(table.keep_written)
    await trio.testing.wait_all_tasks_blocked()
    file.may_write.clear()
    table.put("a", 1)
    await trio.testing.wait_all_tasks_blocked(0.01)
    saved: dict[str, list[str]] = {}
    table.put("b", 2)
    table.when_written(lambda _: saved.update(b=list(file.saved)), ["b"])
    table.when_written(lambda _: saved.update(a=list(file.saved)), ["a"])
    nursery.start_soon(trio.to_thread.run_sync, file.may_write.set)
    assert await wait_written(table) is None
    assert saved == {"a": ["a=1"], "b": ["a=1", "a=1,b=2"]}
