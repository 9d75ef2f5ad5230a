"""Following a topic: all queues of all its masters, read side by side and merged by store time.

    Follower            opens the queues, hands out what is in order
    ├─ route watch      looks routes up again: at intervals, and when a reader is in trouble
    └─ reader           one per queue: pull, deliver into the merge, wait until that was taken

A reader whose broker does not answer keeps trying and holds nobody up, so brokers may restart, move and be added.
Offsets live here only: nothing is committed. With an end, a queue is left behind as soon as it is read up to there.
"""

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self

import trio

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import ClientError, InvalidArgument, NameserverUnreachable, NoQueue, TopicNotFound
from rmqctl.client.follower.merge import QueueMerge
from rmqctl.client.follower.queue_reader import QueueReader
from rmqctl.client.names import Subscription
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.parallel import in_parallel
from rmqctl.client.passing_errors import is_passing
from rmqctl.client.pull import pull
from rmqctl.client.routes import RouteTable, TopicRoute
from rmqctl.client.start_position import AsOfNow, Earliest, EndPosition, Latest, StartPosition, UntilTime
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.errors import fresh
from rmqnode.protocol.message import StoredMessage

_ROUTE_INTERVAL_SECONDS: Final = 30.0
"""How often routes are looked up without a reason, as Java's clients do."""

_RETRY_SECONDS_MIN: Final = 0.2
_RETRY_SECONDS_MAX: Final = 5.0

_PENDING_PER_QUEUE_MAX: Final = 32
"""A reader pulls ahead by one answer: with the answer that it delivers next, that bounds the memory of a queue."""

_TAKEN_AT_ONCE_MAX: Final = 256

Delivered = tuple[MessageQueue, StoredMessage]


def _every_queue(queue: MessageQueue) -> bool:
    return True


class Follower:
    """Reads a topic from a start position on. An async context manager: inside it `receive` gives out messages.

    Args:
        connection: Open as long as the follower is used.
        routes: Looked up through this table.
        subscription: The topic and its tags.
        start: Where each queue is entered; queues that appear later are read from their first message.
        report: Takes sentences about gaps, and about brokers that went away and came back.
        end: Where reading ends; None goes on for ever.
        wants: Which queues are read; by default all.

    Entering raises TopicNotFound, NoQueue (no broker lets the topic be read), InvalidArgument (no queue is wanted), or
    what a broker or nameserver says.
    """

    def __init__(
        self,
        connection: ClusterConnection,
        routes: RouteTable,
        subscription: Subscription,
        start: StartPosition,
        report: Callable[[str], None],
        *,
        end: EndPosition | None = None,
        wants: Callable[[MessageQueue], bool] = _every_queue,
    ) -> None:
        self._connection = connection
        self._routes = routes
        self._subscription = subscription
        self._start = start
        self._report = report
        self._end = end
        self._end_is_due = isinstance(end, AsOfNow)
        self._wants = wants
        self._route = TopicRoute(subscription.topic, ())
        self._merge: QueueMerge[MessageQueue, StoredMessage] = QueueMerge()
        self._readers: dict[MessageQueue, QueueReader] = {}
        self._troubled: set[str] = set()
        self._failure: ClientError | None = None
        self._route_wanted = trio.Event()
        self._changed = trio.Event()
        self._taken = trio.Event()
        self._nursery_manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    @property
    def queues(self) -> list[MessageQueue]:
        """The queues that are read at present."""
        return sorted(self._readers)

    async def __aenter__(self) -> Self:
        self._route = route = await self._routes.refresh(self._subscription.topic)
        queues = [queue for queue in _readable_queues(route) if self._wants(queue)]
        if not queues:
            raise _no_such_queue(route)
        wait_seconds = 0.0
        if isinstance(self._end, UntilTime):
            wait_seconds = self._end.timestamp_ms / 1000 - time.time()
            self._end_is_due = wait_seconds <= 0
        readers = [self._reader_of(queue, self._start) for queue in queues]
        await in_parallel([partial(self._enter, reader) for reader in readers])
        self._nursery = nursery = await self._nursery_manager.__aenter__()
        for reader in readers:
            self._add(reader, nursery)
        nursery.start_soon(self._watch_routes, nursery)
        if wait_seconds > 0:
            nursery.start_soon(self._end_later, wait_seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        # Without the body's exception the nursery has none to wrap into a group: callers see it as it is.
        await self._nursery_manager.__aexit__(None, None, None)

    async def receive(self) -> list[Delivered]:
        """Wait for messages and return those that are in order by now; none means that the end is reached.

        Raises:
            ClientError: A broker refuses to be read from for good, or answers what can't be read.
        """
        while True:
            messages = self._merge.take(_TAKEN_AT_ONCE_MAX)
            if messages:
                self._taken.set()
                self._taken = trio.Event()
                return messages
            if self._failure is not None:
                raise fresh(self._failure)
            if self._end_is_due and not self._readers:
                return []
            self._changed = trio.Event()
            await self._changed.wait()

    def look_up_route(self) -> None:
        """Look the route up now instead of at the next interval."""
        self._route_wanted.set()

    async def _enter(self, reader: QueueReader) -> None:
        offsets = QueueOffsets(self._connection, self._route)
        reader.next_offset = await offsets.starting_at(reader.queue, reader.start)
        reader.is_behind = not isinstance(reader.start, Latest)
        if self._end_is_due:
            await self._find_end(reader)

    async def _find_end(self, reader: QueueReader) -> None:
        reader.end_offset = await QueueOffsets(self._connection, self._route).next(reader.queue)

    async def _end_later(self, wait_seconds: float) -> None:
        await trio.sleep(wait_seconds)
        self._end_is_due = True
        for reader in self._readers.values():
            # It may be held by the broker for messages that are not wanted any more.
            reader.pull_scope.cancel()

    def _reader_of(self, queue: MessageQueue, start: StartPosition) -> QueueReader:
        until_ms = self._end.timestamp_ms if isinstance(self._end, UntilTime) else None
        return QueueReader(queue, start, until_ms)

    def _add(self, reader: QueueReader, nursery: trio.Nursery) -> None:
        self._readers[reader.queue] = reader
        self._merge.open(reader.queue, behind=reader.is_behind)
        nursery.start_soon(self._read, reader)

    async def _read(self, reader: QueueReader) -> None:
        retry_seconds = _RETRY_SECONDS_MIN
        with reader.scope:
            while not reader.is_done:
                await self._wait_for_room(reader.queue)
                is_progress = True
                try:
                    with trio.CancelScope() as reader.pull_scope:
                        is_progress = await self._read_once(reader)
                except ClientError as error:
                    if not is_passing(error):
                        return self._fail(error)
                    self._note_trouble(reader, error)
                    is_progress = False
                if is_progress:
                    retry_seconds = _RETRY_SECONDS_MIN
                    continue
                await trio.sleep(retry_seconds)
                retry_seconds = min(_RETRY_SECONDS_MAX, retry_seconds * 2)
            self._drop(reader.queue)

    def _drop(self, queue: MessageQueue) -> None:
        del self._readers[queue]
        self._merge.close(queue)
        self._changed.set()

    async def _wait_for_room(self, queue: MessageQueue) -> None:
        while self._merge.pending_count(queue) > _PENDING_PER_QUEUE_MAX:
            await self._taken.wait()

    async def _read_once(self, reader: QueueReader) -> bool:
        """Pull once and deliver; returns whether it is sensible to pull again without a pause."""
        if reader.next_offset is None:
            await self._enter(reader)
            return True
        if self._end_is_due and reader.end_offset is None:
            await self._find_end(reader)
            return True
        queue = reader.queue
        asked_at = trio.current_time()
        address = self._route.master_address(queue.broker_name)
        was_held = not reader.is_behind
        result = await pull(self._connection, address, queue, self._subscription, reader.next_offset, hold=was_held)
        if queue.broker_name in self._troubled:
            self._troubled.remove(queue.broker_name)
            self._report(f"{queue.broker_name} answers again")
        advance = reader.advance(result)
        if advance.gap is not None:
            self._report(advance.gap)
        self._merge.add(queue, advance.messages, behind=reader.is_behind and not reader.is_done)
        self._changed.set()
        # A broker that does not hold at the end of a queue is asked again only after a pause.
        return advance.is_moved or trio.current_time() - asked_at > _RETRY_SECONDS_MIN or not was_held

    def _note_trouble(self, reader: QueueReader, error: ClientError) -> None:
        """Let the others go on without this queue, say so once per broker, and have the route looked up."""
        self._merge.mark(reader.queue, behind=False)
        self._changed.set()
        broker = reader.queue.broker_name
        if broker not in self._troubled:
            self._troubled.add(broker)
            self._report(f"{error.what}{f' ({error.why})' if error.why else ''}: trying again")
        self.look_up_route()

    def _fail(self, error: ClientError) -> None:
        self._failure = error
        self._changed.set()

    async def _watch_routes(self, nursery: trio.Nursery) -> None:
        is_lost = False
        while True:
            with trio.move_on_after(_ROUTE_INTERVAL_SECONDS):
                await self._route_wanted.wait()
            self._route_wanted = trio.Event()
            try:
                route = await self._routes.refresh(self._subscription.topic)
            except (TopicNotFound, NameserverUnreachable) as error:
                # A nameserver forgets a topic when its last broker goes away: nobody can tell that from deletion.
                if not is_lost:
                    self._report(f"{error.what}: waiting for it")
                is_lost = True
                continue
            except ClientError as error:
                self._fail(error)
                return
            is_lost = False
            self._apply(route, nursery)

    def _apply(self, route: TopicRoute, nursery: trio.Nursery) -> None:
        self._route = route
        wanted = {queue for queue in route.subscribe_queues() if self._wants(queue)}
        for queue in [queue for queue in self._readers if queue not in wanted]:
            # Queues of a broker that the route lacks come back with it; fewer queues of one that is there do not.
            if route.broker(queue.broker_name) is not None:
                self._readers[queue].scope.cancel()
                self._drop(queue)
        if not self._end_is_due:
            for queue in sorted(wanted - self._readers.keys()):
                self._add(self._reader_of(queue, Earliest()), nursery)


def _readable_queues(route: TopicRoute) -> list[MessageQueue]:
    queues = route.subscribe_queues()
    if not queues:
        raise NoQueue(
            f"no broker lets topic {route.topic} be read",
            ", ".join(f"{part.broker} has permission {part.permission}" for part in route.brokers),
            f"make it readable: rmqctl topic create {route.topic} --perm rw --queues N",
        )
    return queues


def _no_such_queue(route: TopicRoute) -> InvalidArgument:
    known = ", ".join(f"{part.broker} 0 to {part.read_queues - 1}" for part in route.brokers if part.is_readable)
    return InvalidArgument(f"topic {route.topic} has no such queue", f"queues are: {known}", "choose one of them")
