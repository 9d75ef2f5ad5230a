"""Who hears of events: the log, the launcher, and commands that wait for the end of the cluster."""

import sys
import time
from collections.abc import AsyncGenerator, Callable

import msgspec
import trio

from rmqctl.supervisor.launcher_pipe import LauncherPipe
from rmqctl.supervisor.messages import Event, Stopped

_SUBSCRIBER_EVENTS_MAX = 256
"""A command that lags further behind than this does not read at all."""


class EventFeed:
    """Passes events on; nobody who does not listen holds it up.

    Args:
        launcher: The command that launched the supervisor.
        on_unsubscribed: Called when a subscriber has had its last event.
    """

    def __init__(self, launcher: LauncherPipe, on_unsubscribed: Callable[[], None]) -> None:
        self._launcher = launcher
        self._on_unsubscribed = on_unsubscribed
        self._subscribers: set[trio.MemorySendChannel[Event]] = set()

    @property
    def has_subscribers(self) -> bool:
        """Whether somebody still has events to come."""
        return bool(self._subscribers)

    def publish(self, event: Event) -> None:
        """Log an event and pass it on."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
        print(f"{stamp} {msgspec.json.encode(event).decode()}", file=sys.stderr, flush=True)
        self._launcher.send(event)
        for subscriber in list(self._subscribers):
            try:
                subscriber.send_nowait(event)
            except trio.WouldBlock:
                # Its command sees the connection end, which is the truth.
                self._subscribers.discard(subscriber)
                subscriber.close()

    async def subscribe(self) -> AsyncGenerator[Event, None]:
        """Every event from now on, the last one is `Stopped`."""
        send, receive = trio.open_memory_channel[Event](_SUBSCRIBER_EVENTS_MAX)
        self._subscribers.add(send)
        try:
            async for event in receive:
                yield event
                if isinstance(event, Stopped):
                    return
        finally:
            self._subscribers.discard(send)
            self._on_unsubscribed()
