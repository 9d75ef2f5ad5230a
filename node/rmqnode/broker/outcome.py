"""What a handler decides when the answer is not ready: the broker's services act on it, no handler waits."""

from collections.abc import Callable

import msgspec

from rmqnode.net.connection import Connection
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.command import Command
from rmqnode.protocol.routes import Reply


class Hold(msgspec.Struct, gc=False):
    """Keep a pull until a message arrives in its queue or its time is over (long polling)."""

    queue_offset: int
    """The first offset that would be news to the client."""
    timeout_ms: int
    tags_codes: frozenset[int] | None
    """Only messages with one of these tags wake it; None: every message."""
    accepts: Callable[[bytes], bool] | None = None
    """Of those only messages whose properties, in wire form, it says yes to; None: all of them."""


class AfterFlush(msgspec.Struct, gc=False):
    """Answer once the commit log is synced to disk up to an offset (SYNC_FLUSH)."""

    reply: Reply
    physical_offset: int


class AfterRegistration(msgspec.Struct, gc=False):
    """Answer once the nameservers know the topic table as it is now, or failed to take it."""

    reply: Reply


class AfterIndexing(msgspec.Struct, gc=False):
    """Answer once the index knows every message that is in the log now."""

    answer: Callable[[], Reply]


class AfterReplication(msgspec.Struct, gc=False):
    """Answer once a slave has the commit log up to an offset (SYNC_MASTER)."""

    reply: Reply
    physical_offset: int


class ClientCall(msgspec.Struct, gc=False):
    """One request to a client, over the connection that it keeps."""

    connection: Connection
    command: Command
    timeout_seconds: float


class AfterClients(msgspec.Struct, gc=False):
    """Answer once clients have answered, or did not in time."""

    calls: list[ClientCall]
    answer: Callable[[list[Command | RemotingError]], Reply]
    """Gets the clients' responses in the order of the calls."""
