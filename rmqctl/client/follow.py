"""Following a topic: all queues of all its masters, read side by side and merged by store time.

    Follower            opens the queues, hands out what is in order
    ├─ route watch      looks routes up again: at intervals, and when a reader is in trouble
    └─ reader           one per queue: pull, deliver into the merge, wait until that was taken

A reader whose broker does not answer keeps trying and holds nobody up, so brokers may restart, move and be added.
Offsets live here only: nothing is committed.
"""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self

import msgspec
import trio

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import (
    BrokerUnreachable,
    ClientError,
    NameserverUnreachable,
    NoMaster,
    NoQueue,
    RequestRefused,
    RequestTimedOut,
    TopicNotFound,
)
from rmqctl.client.merge import QueueMerge
from rmqctl.client.names import Subscription
from rmqctl.client.offsets import QueueOffsets
from rmqctl.client.parallel import in_parallel
from rmqctl.client.pull import PullResult, PullStatus, pull
from rmqctl.client.routes import RouteTable, TopicRoute
from rmqctl.client.start_position import Earliest, Latest, Since, StartPosition
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.message import StoredMessage

_ROUTE_INTERVAL_SECONDS: Final = 30.0
"""How often routes are looked up without a reason, as Java's clients do."""

_RETRY_SECONDS_MIN: Final = 0.2
_RETRY_SECONDS_MAX: Final = 5.0

_PENDING_PER_QUEUE_MAX: Final = 32
"""A reader pulls ahead by one answer: with the answer that it delivers next, that bounds the memory of a queue."""

_TAKEN_AT_ONCE_MAX: Final = 256

_PASSING_REFUSALS: Final = frozenset(
    {
        int(ResponseCode.SYSTEM_ERROR),
        int(ResponseCode.SYSTEM_BUSY),
        int(ResponseCode.SERVICE_NOT_AVAILABLE),
        int(ResponseCode.TOPIC_NOT_EXIST),
        int(ResponseCode.FLOW_CONTROL),
    }
)
"""Codes of a broker that starts, stops, is busy, or lost a queue which the next route will not have any more."""

Delivered = tuple[MessageQueue, StoredMessage]


class _Reader(msgspec.Struct):
    """One queue being read."""

    queue: MessageQueue
    start: StartPosition
    next_offset: int | None = None
    """None until the start position was turned into an offset."""
    is_behind: bool = True
    """Messages are known to be there, so the broker need not hold the next pull."""
    scope: trio.CancelScope = msgspec.field(default_factory=trio.CancelScope)


class Follower:
    """Reads a topic from a start position on. An async context manager: inside it `receive` gives out messages.

    Args:
        connection: Open as long as the follower is used.
        routes: Looked up through this table.
        subscription: The topic and its tags.
        start: Where each queue is entered; queues that appear later are read from their first message.
        report: Takes sentences about gaps, and about brokers that went away and came back.

    Entering raises TopicNotFound, NoQueue (no broker lets the topic be read), or what a broker or nameserver says.
    """

    def __init__(
        self,
        connection: ClusterConnection,
        routes: RouteTable,
        subscription: Subscription,
        start: StartPosition,
        report: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._routes = routes
        self._subscription = subscription
        self._start = start
        self._report = report
        self._route = TopicRoute(subscription.topic, ())
        self._merge: QueueMerge[MessageQueue, StoredMessage] = QueueMerge()
        self._readers: dict[MessageQueue, _Reader] = {}
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
        queues = route.subscribe_queues()
        if not queues:
            raise NoQueue(
                f"no broker lets topic {route.topic} be read",
                ", ".join(f"{part.broker} has permission {part.permission}" for part in route.brokers),
                f"make it readable: rmqctl topic create {route.topic} --perm rw --queues N",
            )
        readers = [_Reader(queue, self._start) for queue in queues]
        await in_parallel([partial(self._enter, reader) for reader in readers])
        self._nursery = nursery = await self._nursery_manager.__aenter__()
        for reader in readers:
            self._add(reader, nursery)
        nursery.start_soon(self._watch_routes, nursery)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        # Without the body's exception the nursery has none to wrap into a group: callers see it as it is.
        await self._nursery_manager.__aexit__(None, None, None)

    async def receive(self) -> list[Delivered]:
        """Wait for messages and return those that are in order by now, at least one.

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
                raise self._failure
            self._changed = trio.Event()
            await self._changed.wait()

    def look_up_route(self) -> None:
        """Look the route up now instead of at the next interval."""
        self._route_wanted.set()

    async def _enter(self, reader: _Reader) -> None:
        offsets = QueueOffsets(self._connection, self._route)
        reader.next_offset = await offsets.starting_at(reader.queue, reader.start)
        reader.is_behind = not isinstance(reader.start, Latest)

    def _add(self, reader: _Reader, nursery: trio.Nursery) -> None:
        self._readers[reader.queue] = reader
        self._merge.open(reader.queue, behind=reader.is_behind)
        nursery.start_soon(self._read, reader)

    async def _read(self, reader: _Reader) -> None:
        retry_seconds = _RETRY_SECONDS_MIN
        with reader.scope:
            while True:
                await self._wait_for_room(reader.queue)
                try:
                    is_progress = await self._read_once(reader)
                except ClientError as error:
                    if not _is_passing(error):
                        return self._fail(error)
                    self._note_trouble(reader, error)
                    is_progress = False
                if is_progress:
                    retry_seconds = _RETRY_SECONDS_MIN
                    continue
                await trio.sleep(retry_seconds)
                retry_seconds = min(_RETRY_SECONDS_MAX, retry_seconds * 2)

    async def _wait_for_room(self, queue: MessageQueue) -> None:
        while self._merge.pending_count(queue) > _PENDING_PER_QUEUE_MAX:
            await self._taken.wait()

    async def _read_once(self, reader: _Reader) -> bool:
        """Pull once and deliver; returns whether it is sensible to pull again without a pause."""
        if reader.next_offset is None:
            await self._enter(reader)
            return True
        queue = reader.queue
        asked_at = trio.current_time()
        address = self._route.master_address(queue.broker_name)
        was_held = not reader.is_behind
        result = await pull(self._connection, address, queue, self._subscription, reader.next_offset, hold=was_held)
        if queue.broker_name in self._troubled:
            self._troubled.remove(queue.broker_name)
            self._report(f"{queue.broker_name} answers again")
        is_moved = self._advance(reader, result)
        # A broker that does not hold at the end of a queue is asked again only after a pause.
        return is_moved or trio.current_time() - asked_at > _RETRY_SECONDS_MIN or not was_held

    def _advance(self, reader: _Reader, result: PullResult) -> bool:
        asked_offset = reader.next_offset or 0
        next_offset = result.next_offset
        if result.status is PullStatus.OFFSET_ILLEGAL:
            # Beyond the end 4.5.2 says "from 0 on": that would repeat the whole queue.
            next_offset = result.max_offset if asked_offset > result.max_offset else max(next_offset, result.min_offset)
            self._report(
                f"{reader.queue.broker_name} queue {reader.queue.queue_id} has no offset {asked_offset} any more"
                f" (it holds {result.min_offset} to {result.max_offset}): reading goes on at {next_offset}"
            )
        reader.next_offset = next_offset
        reader.is_behind = next_offset < result.max_offset and result.status is not PullStatus.NO_NEW_MESSAGE
        messages = result.messages
        if isinstance(reader.start, Since):
            messages = [message for message in messages if message.store_timestamp >= reader.start.timestamp_ms]
        self._merge.add(reader.queue, messages, behind=reader.is_behind)
        self._changed.set()
        return next_offset != asked_offset

    def _note_trouble(self, reader: _Reader, error: ClientError) -> None:
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
        wanted = set(route.subscribe_queues())
        for queue in [queue for queue in self._readers if queue not in wanted]:
            # Queues of a broker that the route lacks come back with it; fewer queues of one that is there do not.
            if route.broker(queue.broker_name) is not None:
                self._readers.pop(queue).scope.cancel()
                self._merge.close(queue)
        for queue in sorted(wanted - self._readers.keys()):
            self._add(_Reader(queue, Earliest()), nursery)


def _is_passing(error: ClientError) -> bool:
    if isinstance(error, RequestRefused):
        return error.response_code in _PASSING_REFUSALS
    return isinstance(error, (BrokerUnreachable, RequestTimedOut, NoMaster))
