"""Servers for client tests: real sockets on loopback that answer what a test tells them to."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
import trio

from rmqnode.protocol.bodies import BrokerData, ClusterInfo, QueueData, TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_RESPONSE, Command, decode_command, encode_command
from rmqnode.protocol.frame import FrameDecoder
from rmqnode.protocol.header_fields import Header, header_to_ext_fields

Answer = Command | None
Handler = Callable[[Command], Answer | Awaitable[Answer]]


class FakeServer:
    """Answers requests by code; a code without a handler gets REQUEST_CODE_NOT_SUPPORTED, None is silence."""

    def __init__(self, handlers: Mapping[int, Handler]) -> None:
        self.handlers = dict(handlers)
        self.requests: list[Command] = []
        self.address = ""
        self.scope = trio.CancelScope()
        self.ssl_context: ssl.SSLContext | None = None
        self.streams: list[tuple[trio.abc.Stream, trio.Lock]] = []

    def requests_of(self, code: RequestCode) -> list[Command]:
        return [request for request in self.requests if request.code == code]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                self.address = "{}:{}".format(*listener.socket.getsockname())
                task_status.started()
                await trio.serve_listeners(self._serve, [listener], handler_nursery=nursery)

    def stop(self) -> None:
        """Close the listener and every connection."""
        self.scope.cancel()

    async def ask_client(self, command: Command) -> None:
        """Send a request over the connection that was made last."""
        stream, lock = self.streams[-1]
        async with lock:
            await stream.send_all(encode_command(command))

    async def hang_up(self) -> None:
        """Close the connection that was made last."""
        await self.streams[-1][0].aclose()

    async def _serve(self, plain: trio.SocketStream) -> None:
        decoder = FrameDecoder()
        lock = trio.Lock()
        stream: trio.abc.Stream = plain
        if self.ssl_context is not None:
            stream = trio.SSLStream(plain, self.ssl_context, server_side=True, https_compatible=True)
        self.streams.append((stream, lock))
        async with trio.open_nursery() as nursery:
            try:
                async for data in stream:
                    for frame in decoder.feed(data):
                        nursery.start_soon(self._answer, stream, lock, decode_command(frame))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            nursery.cancel_scope.cancel()

    async def _answer(self, stream: trio.abc.Stream, lock: trio.Lock, request: Command) -> None:
        self.requests.append(request)
        if request.is_response:
            return
        handler = self.handlers.get(request.code)
        answer: Any = handler(request) if handler is not None else reply(ResponseCode.REQUEST_CODE_NOT_SUPPORTED)
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer is None:
            return
        answer.opaque = request.opaque
        answer.flag = FLAG_RESPONSE
        async with lock:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.send_all(encode_command(answer))


def reply(
    code: int = 0, header: Header | dict[str, str] | None = None, body: bytes = b"", remark: str | None = None
) -> Command:
    ext_fields = header_to_ext_fields(header) if isinstance(header, Header) else header
    return Command(code=code, ext_fields=ext_fields, body=body, remark=remark)


def route_body(brokers: Mapping[str, str], queues: int = 1, perm: int = 6) -> bytes:
    """A topic route of master addresses by broker name."""
    return TopicRouteData(
        queue_datas=[
            QueueData(broker_name=name, read_queue_nums=queues, write_queue_nums=queues, perm=perm) for name in brokers
        ],
        broker_datas=[
            BrokerData(cluster="C", broker_name=name, broker_addrs={0: address} if address else {1: "127.0.0.1:1"})
            for name, address in brokers.items()
        ],
    ).encode()


def cluster_body(brokers: Mapping[str, str], cluster: str = "C") -> bytes:
    return ClusterInfo(
        broker_addr_table={
            name: BrokerData(cluster=cluster, broker_name=name, broker_addrs={0: address})
            for name, address in brokers.items()
        },
        cluster_addr_table={cluster: list(brokers)},
    ).encode()


def no_route(_: Command) -> Command:
    return reply(ResponseCode.TOPIC_NOT_EXIST, remark="No topic route info in name server for the topic: T\nSee http")


class Toolbox:
    """What tests of the client use; a fixture, because test modules don't import one another."""

    reply = staticmethod(reply)
    route_body = staticmethod(route_body)
    cluster_body = staticmethod(cluster_body)
    no_route = staticmethod(no_route)

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    async def serve(self, handlers: Mapping[int, Handler]) -> FakeServer:
        server = FakeServer(handlers)
        await self._nursery.start(server.run)
        return server

    async def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition; fails with what was waited for."""
        with trio.move_on_after(10):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await trio.sleep(0.005)
        assert condition(), f"not within 10 s: {what}"

    async def nameserver(self, brokers: Mapping[str, str], queues: int = 1, perm: int = 6) -> FakeServer:
        """A nameserver that routes every topic to these brokers."""
        return await self.serve(
            {
                RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _: reply(body=route_body(brokers, queues, perm)),
                RequestCode.GET_BROKER_CLUSTER_INFO: lambda _: reply(body=cluster_body(brokers)),
            }
        )


@pytest.fixture
def toolbox(nursery: trio.Nursery) -> Toolbox:
    return Toolbox(nursery)


@pytest.fixture
def free_address() -> str:
    """An address on which nobody listens."""
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"
