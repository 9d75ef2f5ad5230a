"""What producers, consumers and admins have in common: a client that is their own, or one that they share."""

from types import TracebackType
from typing import Self

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

    async def __aenter__(self) -> Self:
        if self._owns_client:
            await self.client.__aenter__()
        try:
            await self._open()
        except BaseException:
            if self._owns_client:
                await self.client.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._close()
        finally:
            if self._owns_client:
                await self.client.__aexit__(kind, error, traceback)

    async def _open(self) -> None:
        """Do what has to be done before use; the client is open."""

    async def _close(self) -> None:
        """Undo it; the client is still open."""
