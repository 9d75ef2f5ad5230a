"""What producers, consumers and admins have in common: a client that is their own, or one that they share."""

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import trio

from rmqctl.client.client import Client, ClientOptions
from rmqctl.client.errors import InvalidArgument


class Participant:
    """Works with a client. An async context manager: it opens and closes a client of its own, never a shared one.

    Args:
        client: A client that is open as long as this is used; None makes one.
        options: For a client of its own.

    Raises:
        InvalidArgument: A client and options for another one were both given.
    """

    def __init__(self, client: Client | None, options: ClientOptions) -> None:
        if client is not None and options:
            raise InvalidArgument(
                f"a client and {', '.join(options)} were both given",
                "a client knows its nameservers already",
                "give either of them",
            )
        self._owns_client = client is None
        self.client = Client(**options) if client is None else client
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._tasks: trio.Nursery | None = None

    @property
    def tasks(self) -> trio.Nursery:
        """Owns the tasks of this participant; they are cancelled after `_close`.

        Raises:
            InvalidArgument: It is not open.
        """
        self.check_open()
        assert self._tasks is not None
        return self._tasks

    def check_open(self) -> None:
        """Check that this is used inside its context.

        Raises:
            InvalidArgument: It was not entered yet, or left already.
        """
        if self._tasks is None:
            raise InvalidArgument(
                f"this {type(self).__name__} is not open", cure=f"async with {type(self).__name__}(…) as name: …"
            )

    async def __aenter__(self) -> Self:
        if self._owns_client:
            await self.client.__aenter__()
        self._nursery_manager = trio.open_nursery()
        self._tasks = await self._nursery_manager.__aenter__()
        try:
            await self._open()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._close()
        finally:
            await self._end()

    async def _end(self) -> None:
        assert self._nursery_manager is not None
        self.tasks.cancel_scope.cancel()
        try:
            # Without the body's exception the nursery has none to wrap into a group: callers see it as it is.
            await self._nursery_manager.__aexit__(None, None, None)
        finally:
            self._tasks = None
            if self._owns_client:
                await self.client.__aexit__(None, None, None)

    async def _open(self) -> None:
        """Do what has to be done before use; the client is open."""

    async def _close(self) -> None:
        """Undo it; the client is still open."""
