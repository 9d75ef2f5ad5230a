"""Who hears of events: the ledger, the launcher, and commands that wait for what they asked for."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import trio

from rmqctl.supervisor.control.server import Reply
from rmqctl.supervisor.files.ledger import Ledger
from rmqctl.supervisor.launch.pipe import LauncherPipe
from rmqctl.supervisor.messages import Done, Event, NodeChanged, Notice, Stopped

SUBSCRIBER_EVENTS_MAX = 256
"""A command that lags further behind than this does not read at all."""


class EventFeed:
    """Passes events on; nobody who does not listen holds it up.

    Args:
        ledger: Keeps them.
        launcher: The command that launched the supervisor.
        on_unsubscribed: Called when a subscriber has had its last event.
    """

    def __init__(self, ledger: Ledger, launcher: LauncherPipe, on_unsubscribed: Callable[[], None]) -> None:
        self._ledger = ledger
        self._launcher = launcher
        self._on_unsubscribed = on_unsubscribed
        self._subscribers: set[trio.MemorySendChannel[Any]] = set()

    @property
    def has_subscribers(self) -> bool:
        """Whether somebody still has events to come."""
        return bool(self._subscribers)

    def publish(self, event: Event) -> None:
        """Enter an event in the ledger and pass it on."""
        self._ledger.write(event)
        self._launcher.send(event)
        for subscriber in list(self._subscribers):
            try:
                subscriber.send_nowait(event)
            except trio.WouldBlock:
                # Its command sees the connection end, which is the truth.
                self._subscribers.discard(subscriber)
                subscriber.close()

    @contextmanager
    def subscribed(self, channel: trio.MemorySendChannel[Any]) -> Iterator[None]:
        """Pass every event to the channel too."""
        self._subscribers.add(channel)
        try:
            yield
        finally:
            self._subscribers.discard(channel)
            self._on_unsubscribed()

    async def until_stopped(self) -> AsyncGenerator[Event, None]:
        """Every event from now on, the last one is `Stopped`."""
        send, receive = trio.open_memory_channel[Event](SUBSCRIBER_EVENTS_MAX)
        with self.subscribed(send):
            async for event in receive:
                yield event
                if isinstance(event, Stopped):
                    return

    async def accompany(self, work: Callable[[Reply], Awaitable[None]], nodes: list[str], reply: Reply) -> None:
        """Do work on nodes; whoever asked hears of them and of what the work says, up to its `Done`."""
        send, receive = trio.open_memory_channel[msgspec.Struct](SUBSCRIBER_EVENTS_MAX)
        # One channel for both, so that a command hears of things in the order in which they happened.
        with self.subscribed(send):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work, send.send)
                async for message in receive:
                    if not isinstance(message, Event) or _concerns(message, nodes):
                        await reply(message)
                    if isinstance(message, Done):
                        return


def _concerns(event: Event, nodes: list[str]) -> bool:
    """Whether whoever asked for work on some nodes wants to hear of an event."""
    return isinstance(event, Notice) or (isinstance(event, NodeChanged) and event.node in nodes)
