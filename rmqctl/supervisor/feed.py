"""Who hears of events: the ledger, the launcher, and commands that wait for the end of the cluster."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from rmqctl.supervisor.launcher_pipe import LauncherPipe
from rmqctl.supervisor.ledger import Ledger
from rmqctl.supervisor.messages import Event, Stopped

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
