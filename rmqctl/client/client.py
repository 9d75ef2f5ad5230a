"""One client of a cluster: its connections, routes, memberships and the requests that brokers send to it.

    Client
    ├─ connection      one multiplexed connection per server address, nameservers with fail-over
    ├─ routes          which brokers serve a topic; looked up again every 30 s while in use
    ├─ members         producer and consumer groups, one heartbeat task for all of them
    └─ requests        what brokers ask us, handed to the producer or consumer of the group

Producers, consumers and admins make one for themselves, or share one that is given to them.
Source: `MQClientInstance`, `ClientConfig` (RocketMQ 4.5.2).
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self, TypedDict

import trio

from rmqctl.client.addresses import parse_nameservers
from rmqctl.client.broker_requests import BrokerRequests
from rmqctl.client.connection import REQUEST_TIMEOUT_SECONDS, ClusterConnection
from rmqctl.client.errors import InvalidArgument
from rmqctl.client.membership import Membership
from rmqctl.client.replies import Replies
from rmqctl.client.routes import RouteTable, TopicRoute
from rmqnode.protocol.codes import RequestCode

_ROUTE_INTERVAL_SECONDS: Final = 30.0
"""Java's `pollNameServerInterval`."""

_ENVIRONMENT_VARIABLE: Final = "NAMESRV_ADDR"

_SOMEWHERE: Final = "192.0.2.1"
"""An address of nobody's (RFC 5737), behind the default route."""


class ClientOptions(TypedDict, total=False):
    """How to reach a cluster: what `Client` takes, and everything that makes a client of its own."""

    nameserver: str | Sequence[str] | None
    remap: Mapping[str, str] | None
    ssl_context: SSLContext | None
    timeout_seconds: float
    instance: str | None


class Client:
    """Connections and knowledge that producers, consumers and admins share. An async context manager.

    Args:
        nameserver: `host:port`, several separated by `;` or as a sequence; None takes NAMESRV_ADDR. They are asked in
            this order, starting at the last that answered.
        remap: Advertised to reachable broker addresses, `{"172.17.0.2": "127.0.0.1"}`, with ports where needed.
        ssl_context: Encrypts every connection; None sends in the clear.
        timeout_seconds: Limit of one request to one server, connecting included.
        instance: Second half of the client id, `ip@instance`; must differ between clients. None makes one up.

    Raises:
        InvalidArgument: No nameserver is named, or an address is none.
    """

    def __init__(
        self,
        nameserver: str | Sequence[str] | None = None,
        *,
        remap: Mapping[str, str] | None = None,
        ssl_context: SSLContext | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        instance: str | None = None,
    ) -> None:
        nameservers = _nameservers(nameserver)
        self.requests = BrokerRequests()
        self.replies = Replies()
        self.requests.serve(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, None, self.replies.take)
        self.connection = ClusterConnection(
            nameservers,
            timeout_seconds=timeout_seconds,
            remap=remap,
            ssl_context=ssl_context,
            on_request=self.requests.take,
            on_connected=self._connected,
            on_closed=self._closed,
        )
        self.routes = RouteTable(self.connection, self._route_changed)
        self.local_ip = _local_ip(nameservers)
        """Our own address as the cluster sees it, 4 or 16 bytes."""
        self.client_id = f"{ip_address(self.local_ip)}@{instance or f'{os.getpid()}#{time.time_ns()}'}"
        self.members = Membership(self.connection, self.client_id, lambda: self.routes.known)
        self._watchers: list[Callable[[TopicRoute], None]] = []
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        await self.connection.__aenter__()
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        await self._nursery.start(self.requests.run)
        self._nursery.start_soon(self.members.run)
        self._nursery.start_soon(self._keep_routes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._nursery is not None
        assert self._nursery_manager is not None
        self._nursery.cancel_scope.cancel()
        # Without the body's exception the nursery has none to wrap into a group: callers see it as it is.
        try:
            await self._nursery_manager.__aexit__(None, None, None)
        finally:
            await self.connection.__aexit__(None, None, None)

    def watch_routes(self, watcher: Callable[[TopicRoute], None]) -> Callable[[], None]:
        """Call a function with each route that is new or changed; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def _keep_routes(self) -> None:
        while True:
            await trio.sleep(_ROUTE_INTERVAL_SECONDS)
            await self.routes.refresh_known()

    def _route_changed(self, route: TopicRoute) -> None:
        self.members.beat_soon()
        for watcher in tuple(self._watchers):
            watcher(route)

    def _connected(self, address: str) -> None:
        self.members.connected(address)

    def _closed(self, address: str) -> None:
        self.members.lost(address)


def _nameservers(nameserver: str | Sequence[str] | None) -> tuple[str, ...]:
    if nameserver is not None:
        return parse_nameservers(nameserver)
    text = os.environ.get(_ENVIRONMENT_VARIABLE)
    if not text:
        raise InvalidArgument(
            "no nameserver was named",
            f"{_ENVIRONMENT_VARIABLE} is not set either",
            "give one as in 127.0.0.1:9876",
        )
    return parse_nameservers(text)


def _local_ip(nameservers: Sequence[str]) -> bytes:
    """Return the address from which the nameservers would be reached; nothing is sent."""
    hosts = [address.rpartition(":")[0].strip("[]") for address in nameservers]
    # To resolve a name would block: then it is the address from which the rest of the world would be reached.
    for host in (*hosts, _SOMEWHERE):
        try:
            ip = ip_address(host)
            with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.connect((str(ip), 9))
                return ip_address(probe.getsockname()[0].partition("%")[0]).packed
        except (ValueError, OSError):
            continue
    return bytes((127, 0, 0, 1))
