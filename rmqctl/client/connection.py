"""Requests to the servers of one cluster: nameservers with fail-over, brokers by address, errors translated.

Everything in `rmqctl.client` talks through a `ClusterConnection`. It knows no topic and no body; it turns what
`rmqnode.net` raises, and every response code that is no success, into the errors of `rmqctl.client.errors`.
Source: `NettyRemotingClient#getAndCreateNameserverChannel` (sticky choice of a nameserver), differs: the list is
taken in its order, and a nameserver that does not answer in time is passed over as well.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self

import trio

from rmqctl.client.addresses import AddressMap
from rmqctl.client.answers import Answer as Answer
from rmqctl.client.answers import Submission
from rmqctl.client.dialing import Dialer
from rmqctl.client.errors import (
    BrokerUnreachable,
    ClientError,
    NameserverUnreachable,
    RequestRefused,
    RequestTimedOut,
)
from rmqctl.client.limits import SECONDS_MIN, check_at_least
from rmqnode.net.client import RemotingClient
from rmqnode.net.connection import Connection
from rmqnode.net.errors import ConnectError, RemotingError, RequestTimeout
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.header_fields import Header, header_to_ext_fields

REQUEST_TIMEOUT_SECONDS: Final = 3.0
"""Java's default for a call, to nameservers and brokers alike."""

SUCCESS: Final = frozenset({int(ResponseCode.SUCCESS)})


class ClusterConnection:
    """Connections to the servers of one cluster. An async context manager; leaving it closes them.

    Args:
        nameservers: `host:port` each, at least one; asked in this order, starting at the last that answered.
        timeout_seconds: Limit of one request to one server, connecting included.
        remap: Advertised to reachable addresses, see `AddressMap`.
        ssl_context: Encrypts every connection; None sends in the clear.
        on_request: Takes requests that brokers send to us; without it they are ignored.
        on_connected: Called with the address when a connection was made.
        on_closed: Called with the address when a connection ended.

    Raises:
        InvalidArgument: An entry of `remap` is no address.
    """

    def __init__(
        self,
        nameservers: Sequence[str],
        *,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        remap: Mapping[str, str] | None = None,
        ssl_context: SSLContext | None = None,
        on_request: Callable[[Connection, Command], None] | None = None,
        on_connected: Callable[[str], None] | None = None,
        on_closed: Callable[[str], None] | None = None,
    ) -> None:
        assert nameservers, "a cluster is known by at least one nameserver"
        self.nameservers = tuple(dict.fromkeys(nameservers))
        check_at_least(SECONDS_MIN, timeout_seconds=timeout_seconds)
        self.timeout_seconds = timeout_seconds
        self._remoting = RemotingClient(
            on_request,
            on_closed,
            on_connected=on_connected,
            open_socket=Dialer(AddressMap(remap), ssl_context),
        )
        self._preferred = 0

    async def __aenter__(self) -> Self:
        await self._remoting.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Without the body's exception the inner nursery has none to wrap into a group: callers see it as it is.
        await self._remoting.__aexit__(None, None, None)

    async def ask_nameserver(
        self,
        code: RequestCode,
        header: Header | None = None,
        *,
        success: frozenset[int] = SUCCESS,
        topic: str | None = None,
    ) -> Answer:
        """Ask the nameserver that answered last, and the next ones when it does not answer.

        Raises:
            NameserverUnreachable: None of them answers.
            RequestRefused: One answered with a code that is not in `success`.
        """
        reasons: dict[str, str] = {}
        for _ in self.nameservers:
            address = self.nameservers[self._preferred]
            try:
                return await self.ask_this_nameserver(address, code, header, success=success, topic=topic)
            except NameserverUnreachable as error:
                reasons |= error.reasons
                self._preferred = (self._preferred + 1) % len(self.nameservers)
        raise NameserverUnreachable(reasons)

    async def ask_this_nameserver(
        self,
        address: str,
        code: RequestCode,
        header: Header | None = None,
        *,
        success: frozenset[int] = SUCCESS,
        topic: str | None = None,
    ) -> Answer:
        """Ask one nameserver, without fail-over.

        Raises:
            NameserverUnreachable: It does not answer.
            RequestRefused: It answered with a code that is not in `success`.
        """
        request = _request(code, header)
        try:
            response = await self._remoting.request(address, request, timeout_seconds=self.timeout_seconds)
        except RequestTimeout as error:
            reason = f"{address}: connected, but no answer within {self.timeout_seconds:g} s"
            raise NameserverUnreachable({address: reason}) from error
        except RemotingError as error:
            raise NameserverUnreachable({address: str(error)}) from error
        return _judge("nameserver", address, code, response, success, topic)

    async def ask_every_nameserver(
        self,
        code: RequestCode,
        header: Header | None = None,
        *,
        success: frozenset[int] = SUCCESS,
        topic: str | None = None,
    ) -> list[Answer]:
        """Ask all nameservers at the same time; answers come in the order of the list.

        Raises:
            NameserverUnreachable: At least one does not answer; the others may have done what was asked.
            RequestRefused: One answered with a code that is not in `success`.
        """
        answers: dict[str, Answer] = {}
        refusals: list[RequestRefused] = []
        reasons: dict[str, str] = {}

        async def ask(address: str) -> None:
            try:
                answers[address] = await self.ask_this_nameserver(address, code, header, success=success, topic=topic)
            except NameserverUnreachable as error:
                reasons.update(error.reasons)
            except RequestRefused as error:
                refusals.append(error)

        async with trio.open_nursery() as nursery:
            for address in self.nameservers:
                nursery.start_soon(ask, address)
        if reasons:
            raise NameserverUnreachable(
                {address: reasons[address] for address in self.nameservers if address in reasons}
            )
        if refusals:
            raise refusals[0]
        return [answers[address] for address in self.nameservers]

    async def ask_broker(
        self,
        broker: str,
        address: str,
        code: RequestCode,
        header: Header | None = None,
        *,
        body: bytes = b"",
        success: frozenset[int] = SUCCESS,
        topic: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Ask one broker, named for the messages of errors.

        Raises:
            BrokerUnreachable: No connection, or it broke; `maybe_done` says whether the request had left.
            RequestTimedOut: Connected, but no answer in time.
            RequestRefused: It answered with a code that is not in `success`.
        """
        limit = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            response = await self._remoting.request(address, _request(code, header, body), timeout_seconds=limit)
        except RequestTimeout as error:
            raise RequestTimedOut(broker, address, code, limit, topic) from error
        except RemotingError as error:
            maybe_done = not isinstance(error, ConnectError)
            raise BrokerUnreachable(broker, address, code, str(error), topic, maybe_done=maybe_done) from error
        return _judge(broker, address, code, response, success, topic)

    def submit_to_broker(
        self,
        broker: str,
        address: str,
        code: RequestCode,
        header: Header,
        take_outcome: Callable[[Answer | ClientError], None],
        *,
        body: bytes = b"",
        success: frozenset[int] = SUCCESS,
        topic: str | None = None,
    ) -> Submission | None:
        """Ask one broker without waiting, if there is a connection; requests in a row leave together.

        `take_outcome` is called once with the answer, or with the error that `ask_broker` would raise except for the
        time-out; it must not block or raise. Returns None when there is no open connection: nothing was sent.
        """
        connection = self._remoting.open_connection(address)
        if connection is None:
            return None

        def take_response(response: Command | None) -> None:
            if response is None:
                reason = f"{address}: {connection.close_reason}"
                take_outcome(BrokerUnreachable(broker, address, code, reason, topic, maybe_done=True))
            elif response.code in success:
                take_outcome(Answer(broker, address, code, response))
            else:
                take_outcome(RequestRefused(broker, address, code, response.code, response.remark, topic))

        try:
            opaque = connection.submit(_request(code, header, body), take_response)
        except RemotingError:
            return None
        return Submission(broker, address, code, topic, partial(connection.withdraw, opaque))

    async def tell_broker(
        self,
        broker: str,
        address: str,
        code: RequestCode,
        header: Header | None = None,
        *,
        body: bytes = b"",
        topic: str | None = None,
    ) -> None:
        """Send one broker a request that wants no answer; whether it arrives is not known.

        Raises:
            BrokerUnreachable: There is no connection, and none can be made.
        """
        try:
            await self._remoting.oneway(address, _request(code, header, body))
        except RemotingError as error:
            raise BrokerUnreachable(broker, address, code, str(error), topic, maybe_done=False) from error

    async def wait_sent(self) -> None:
        """Wait until everything has left that was sent so far."""
        await self._remoting.wait_sent()


def _request(code: RequestCode, header: Header | None, body: bytes = b"") -> Command:
    return Command(code=code, ext_fields=None if header is None else header_to_ext_fields(header), body=body)


def _judge(
    server: str, address: str, code: RequestCode, response: Command, success: frozenset[int], topic: str | None
) -> Answer:
    if response.code not in success:
        raise RequestRefused(server, address, code, response.code, response.remark, topic)
    return Answer(server, address, code, response)
