"""Long polling: pulls that found nothing wait here for a message of their queue or for their time.

A held pull occupies no task. It is answered by running it again without the permission to be held, after the
batch of requests that stored the message, so that one answer carries all messages of the batch.
A message that a pull does not want lets it go on behind that message within 5 s, so that a group which wants little
does not seem to be far behind.
Source: `PullRequestHoldService` (RocketMQ 4.5.2). Differs: a timeout is answered when it is due, where Java
looks every 5 s and also answers then what waits by a filter that its group has replaced; here such pulls are
answered as soon as the new filter comes.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import msgspec
import trio

from rmqnode.broker.budgets import Shares
from rmqnode.broker.outcome import Hold
from rmqnode.net.budgets import Budget
from rmqnode.net.connection import Connection
from rmqnode.net.slices import SLICE_SECONDS, Steps, advance, batched, finish
from rmqnode.protocol.routes import Request

_SCAN_SECONDS: Final = 0.25
"""Precision of timeouts; nothing runs while no pull is held."""

_GIVEN_UP_SHARE: Final = 16
"""When there is no place, one part in so many of all places is taken from the connection that has most."""

_ROOM_SECONDS: Final = 0.02
"""How often those are looked at whose peers have no room for an answer."""

_LOOKED_AT_ONCE: Final = 256
"""Of more held pulls than this a service finds out in slices which are due: about 0.1 ms."""

_LOOKS_MAX: Final = 64
"""Messages of such a queue that wait for the service; when more come, all pulls that wait in the queue are answered."""

_LOOKS_MAX_IN_ALL: Final = 10_000
"""Groups that have changed what they want; pulls of more wait until their time is over."""

_PASSED_SECONDS: Final = 5.0
"""How long a pull stays held behind a message that it does not want: Java's interval between two scans."""

_SUBSCRIPTION_LENGTH: Final = 1024
"""A pull counts once more for each so many characters of the subscription that it brings: they stay in memory too."""


_Key = tuple[str, int]
"""Topic and queue id."""


class _HeldPull(msgspec.Struct):
    request: Request[Any]
    hold: Hold
    deadline: float
    is_passed: bool = False
    """Whether a message came that it does not want."""

    def wants(self, next_queue_offset: int, tags_code: int, properties: bytes) -> bool:
        """Whether it waits for the message before an offset; one that it does not want brings its time nearer."""
        hold = self.hold
        if hold.queue_offset >= next_queue_offset:
            return False
        if (hold.tags_codes is None or tags_code in hold.tags_codes) and (
            hold.accepts is None or hold.accepts(properties)
        ):
            return True
        if not self.is_passed:
            self.is_passed = True
            self.deadline = min(self.deadline, trio.current_time() + _PASSED_SECONDS)
        return False


class HeldPulls:
    """The held pulls of a broker.

    Args:
        run_again: Executes a pull a last time and answers it.
        budget: How many there may be; with more, pulls are answered at once, as after their time.
    """

    def __init__(self, run_again: Callable[[Request[Any]], None], budget: Budget) -> None:
        self._run_again = run_again
        self._budget = budget
        self._by_connection: Shares[Connection] = Shares()
        self._by_queue: defaultdict[_Key, list[_HeldPull]] = defaultdict(list)
        self._due: deque[_HeldPull] = deque()
        self._looks: deque[tuple[_Key | None, Steps[None]]] = deque()
        """What the service has to look through, oldest first."""
        self._looked_through: dict[_Key, int] = {}
        """Queues for which looks are waiting or begun, and how many."""
        self._overrun: set[_Key] = set()
        """Queues in which more messages came than are looked at one by one."""
        self._without_room: defaultdict[Connection, list[_HeldPull]] = defaultdict(list)
        """Due pulls of peers that do not take their answers: what they would be given stays in the log."""
        self._something_held = trio.Event()
        self._something_due = trio.Event()
        self._something_without_room = trio.Event()

    @property
    def has_any(self) -> bool:
        """Whether any pull is held."""
        return self._budget.used > 0

    def hold(self, hold: Hold, request: Request[Any]) -> None:
        """Keep a pull."""
        header = request.header
        held = _HeldPull(request, hold, trio.current_time() + max(0, hold.timeout_ms) / 1000)
        weight = _weight(held)
        is_refused = weight > self._budget.free and not self._make_place(request.connection, weight)
        self._budget.used += weight
        self._by_connection[request.connection] += weight
        if is_refused:
            return self._make_due([held])
        self._by_queue[header.topic, header.queue_id].append(held)
        self._something_held.set()

    def _make_place(self, connection: Connection, weight: int) -> bool:
        """Answer pulls of the connection that has far too many, unless it is the one that wants to add one."""
        self._budget.refuse()
        worst = self._by_connection.worst_but(connection, self._budget.maximum)
        if worst is None:
            return False
        left = max(weight, self._budget.maximum // _GIVEN_UP_SHARE)

        def is_given_up(held: _HeldPull) -> bool:
            nonlocal left
            if held.request.connection is not worst or left <= 0:
                return False
            left -= _weight(held)
            return True

        for key, waiting in list(self._by_queue.items()):
            self._release(key, waiting, is_given_up)
        return True

    def message_arrived(
        self, topic: str, queue_id: int, next_queue_offset: int, tags_code: int, properties: bytes
    ) -> None:
        """Make those pulls of a queue due that wait for such a message; while none is held, nobody needs to call it."""
        key = (topic, queue_id)
        waiting = self._by_queue.get(key)
        if key in self._looked_through or (waiting and len(waiting) > _LOOKED_AT_ONCE):
            if self._looked_through.get(key, 0) < _LOOKS_MAX:
                self._look_later(
                    key, lambda held: key in self._overrun or held.wants(next_queue_offset, tags_code, properties)
                )
            else:
                self._overrun.add(key)
        elif waiting:
            self._release(key, waiting, lambda held: held.wants(next_queue_offset, tags_code, properties))

    def wake_group(self, group: str) -> None:
        """Answer the pulls of a group now: what it wants has changed, and they wait for what it wanted before."""
        self._look_through_all(lambda held: bool(held.request.header.consumer_group == group))

    def answer_all(self) -> None:
        """Answer every held pull now; the broker stops."""
        while self._looks:
            self._finish_look()
        for key, waiting in list(self._by_queue.items()):
            self._release(key, waiting, lambda _: True)
        while self._due:
            self._answer(self._due.popleft())

    async def answer_due_pulls(self) -> None:
        """Service: answer pulls as soon as they are due, and find out which are where many wait."""
        while True:
            await self._something_due.wait()
            self._something_due = trio.Event()
            while self._due or self._looks:
                end = perf_counter() + SLICE_SECONDS
                while self._due and perf_counter() < end:
                    self._answer(self._due.popleft())
                if not self._due and self._looks and advance(self._looks[0][1]) is not None:
                    self._forget_look()
                await trio.lowlevel.checkpoint()

    async def watch_timeouts(self) -> None:
        """Service: make pulls due whose time is over, and forget those whose client is gone."""
        while True:
            await self._something_held.wait()
            await trio.sleep(_SCAN_SECONDS)
            if not self._looks:
                self._look_through_all(_is_over)
            if not self.has_any:
                self._something_held = trio.Event()

    def _answer(self, held: _HeldPull) -> None:
        connection = held.request.connection
        if not connection.has_room and not connection.is_closed:
            self._without_room[connection].append(held)
            self._something_without_room.set()
            return
        weight = _weight(held)
        self._budget.used -= weight
        self._by_connection.give(connection, weight)
        if not connection.is_closed:
            self._run_again(held.request)

    async def answer_when_there_is_room(self) -> None:
        """Service: answer due pulls of peers that had not taken their answers, as soon as they have."""
        while True:
            await self._something_without_room.wait()
            await trio.sleep(_ROOM_SECONDS)
            for connection in list(self._without_room):
                if connection.is_closed or connection.has_room:
                    self._answer_some(connection, self._without_room.pop(connection))
                    await trio.lowlevel.checkpoint()
            if not self._without_room:
                self._something_without_room = trio.Event()

    def _answer_some(self, connection: Connection, waiting: list[_HeldPull]) -> None:
        """Answer pulls of a connection as far as it has room; an answer takes up to a quarter of a MiB."""
        waiting.reverse()
        while waiting and (connection.is_closed or connection.has_room):
            self._answer(waiting.pop())
        if waiting:
            waiting.reverse()
            self._without_room[connection] = waiting + self._without_room.pop(connection, [])

    def _look_through_all(self, is_due: Callable[[_HeldPull], bool]) -> None:
        if self._budget.used <= _LOOKED_AT_ONCE and not self._looks:
            for key, waiting in list(self._by_queue.items()):
                self._release(key, waiting, is_due)
        elif len(self._looks) < _LOOKS_MAX_IN_ALL:
            self._looks.append((None, self._steps_of_all(is_due)))
            self._something_due.set()

    def _look_later(self, key: _Key, is_due: Callable[[_HeldPull], bool]) -> None:
        self._looked_through[key] = self._looked_through.get(key, 0) + 1
        self._looks.append((key, self._steps(key, is_due)))
        self._something_due.set()

    def _steps_of_all(self, is_due: Callable[[_HeldPull], bool]) -> Steps[None]:
        for key in list(self._by_queue):
            yield
            if key in self._by_queue:
                yield from self._steps(key, is_due)

    def _steps(self, key: _Key, is_due: Callable[[_HeldPull], bool]) -> Steps[None]:
        """Look through what is held for a queue now; what comes meanwhile has seen the message itself."""
        waiting = self._by_queue.pop(key, [])
        kept: list[_HeldPull] = []
        self._looked_through[key] = self._looked_through.get(key, 0) + 1
        for some in batched(waiting, _LOOKED_AT_ONCE):
            for held in some:
                if is_due(held):
                    self._make_due([held])
                else:
                    kept.append(held)
            yield
        if kept:
            self._by_queue[key] = kept + self._by_queue.get(key, [])
        self._done_with(key)

    def _finish_look(self) -> None:
        finish(self._looks[0][1])
        self._forget_look()

    def _forget_look(self) -> None:
        key, _ = self._looks.popleft()
        if key is not None:
            self._done_with(key)

    def _done_with(self, key: _Key) -> None:
        self._looked_through[key] -= 1
        if not self._looked_through[key]:
            del self._looked_through[key]
            self._overrun.discard(key)

    def _release(self, key: _Key, waiting: list[_HeldPull], is_due: Callable[[_HeldPull], bool]) -> None:
        due: list[_HeldPull] = []
        kept: list[_HeldPull] = []
        for held in waiting:
            (due if is_due(held) else kept).append(held)
        if not due:
            return
        if kept:
            self._by_queue[key] = kept
        else:
            del self._by_queue[key]
        self._make_due(due)

    def _make_due(self, due: list[_HeldPull]) -> None:
        self._due.extend(due)
        self._something_due.set()


def _weight(held: _HeldPull) -> int:
    subscription = held.request.header.subscription
    return 1 + len(subscription) // _SUBSCRIPTION_LENGTH if subscription else 1


def _is_over(held: _HeldPull) -> bool:
    return held.deadline <= trio.current_time() or bool(held.request.connection.is_closed)
