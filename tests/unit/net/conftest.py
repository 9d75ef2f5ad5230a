"""Real servers and raw peers on loopback for the tests of the network layer."""

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.net.client import RemotingClient
from rmqnode.net.connection import Connection
from rmqnode.net.dispatch import Dispatcher, RequestError
from rmqnode.net.listening import listen
from rmqnode.net.server import Server, ServerLimits
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command, decode_command, encode_command
from rmqnode.protocol.frame import FrameDecoder
from rmqnode.protocol.headers import NoHeader, OffsetResponseHeader, QueueRequestHeader
from rmqnode.protocol.routes import Reply, Request, Route

ECHO = RequestCode.HEART_BEAT
QUEUE = RequestCode.GET_MAX_OFFSET
FAIL = RequestCode.GET_MIN_OFFSET
REFUSE = RequestCode.UNREGISTER_CLIENT
READ_BODY = RequestCode.UNLOCK_BATCH_MQ
WAIT = RequestCode.LOCK_BATCH_MQ
SLOW = RequestCode.SEARCH_OFFSET_BY_TIMESTAMP


class Node:
    """A server whose handlers note what they got; requests of the code WAIT are answered by the test."""

    def __init__(self, limits: ServerLimits | None = None) -> None:
        self.handled: list[Request[Any]] = []
        self.waiting: list[Request[Any]] = []
        self.closed: list[Connection] = []
        self.address = ""
        self.port = 0
        routes = (
            Route(ECHO, NoHeader, None, echo),
            Route(QUEUE, QueueRequestHeader, OffsetResponseHeader, queue_id_as_offset),
            Route(FAIL, NoHeader, None, fail),
            Route(REFUSE, NoHeader, None, refuse),
            Route(READ_BODY, NoHeader, None, lambda node, request: Reply(body=KVTable.decode(request.body).encode())),
            Route(SLOW, NoHeader, OffsetResponseHeader, work_a_while),
            Route(WAIT, NoHeader, None, lambda node, request: object()),
        )
        self.dispatch = Dispatcher(routes, self, lambda outcome, request: self.waiting.append(request))
        self.full: list[str] = []
        """Names of budgets that were full, each time."""
        self.server = Server(
            self.dispatch, self.closed.append, 120, limits, lambda budget: self.full.append(budget.name)
        )
        self.scope = trio.CancelScope()

    async def run(self, listeners: list[socket.socket]) -> None:
        """Serve until `scope` is cancelled."""
        with self.scope:
            await self.server.serve(listeners)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let the server work until something is true."""
        with trio.fail_after(10):
            while not condition():
                await trio.testing.wait_all_tasks_blocked(0.001)


def echo(node: Node, request: Request[NoHeader]) -> Reply:
    node.handled.append(request)
    return Reply(body=request.body)


def queue_id_as_offset(node: Node, request: Request[QueueRequestHeader]) -> Reply:
    return Reply(header=OffsetResponseHeader(offset=request.header.queue_id))


def work_a_while(node: Node, request: Request[NoHeader]) -> Reply:
    until = time.thread_time() + 0.003
    while time.thread_time() < until:
        pass
    waited_ms = int(request.connection.queued_seconds * 1000)
    return Reply(header=OffsetResponseHeader(offset=waited_ms))


def fail(node: Node, request: Request[NoHeader]) -> Reply:
    raise ZeroDivisionError("a defect of ours")


def refuse(node: Node, request: Request[NoHeader]) -> Reply:
    raise RequestError(ResponseCode.NO_PERMISSION, "not you")


class Peer:
    """A client by hand: what it sends need not make sense."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.name = "{}:{}".format(*stream.socket.getsockname())
        self._decoder = FrameDecoder()
        self._received: list[Command] = []

    async def send(self, *pieces: bytes | Command) -> None:
        """Send everything in one write."""
        data = b"".join(encode_command(piece) if isinstance(piece, Command) else piece for piece in pieces)
        await self.stream.send_all(data)

    async def receive(self) -> Command:
        """Return the next command."""
        with trio.fail_after(10):
            while not self._received:
                data = await self.stream.receive_some()
                assert data, "the server closed the connection"
                self._received += map(decode_command, self._decoder.feed(data))
        return self._received.pop(0)

    async def ask(self, command: Command) -> Command:
        """Send a request and return what comes next."""
        await self.send(command)
        return await self.receive()

    async def wait_closed(self) -> None:
        """Wait until the server has closed the connection."""
        with trio.fail_after(10):
            try:
                while await self.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass


@pytest.fixture
async def node(nursery: trio.Nursery) -> AsyncIterator[Node]:
    """A running server on a free port of 127.0.0.1."""
    node = Node()
    listeners = listen(["127.0.0.1"], 0)
    node.port = listeners[0].getsockname()[1]
    node.address = f"127.0.0.1:{node.port}"
    nursery.start_soon(node.run, listeners)
    yield node
    node.scope.cancel()


@pytest.fixture
async def start_node(nursery: trio.Nursery) -> AsyncIterator[Callable[[ServerLimits], Node]]:
    """Start servers with limits of their own."""
    nodes: list[Node] = []

    def start(limits: ServerLimits) -> Node:
        node = Node(limits)
        nodes.append(node)
        listeners = listen(["127.0.0.1"], 0)
        node.port = listeners[0].getsockname()[1]
        nursery.start_soon(node.run, listeners)
        return node

    yield start
    for node in nodes:
        node.scope.cancel()


@pytest.fixture
async def connect_to() -> AsyncIterator[Callable[[Node], Awaitable[Peer]]]:
    """Make a peer that is connected to a node."""
    peers: list[Peer] = []

    async def connect(node: Node) -> Peer:
        peers.append(Peer(await trio.open_tcp_stream("127.0.0.1", node.port)))
        return peers[-1]

    yield connect
    for peer in peers:
        await trio.aclose_forcefully(peer.stream)


@pytest.fixture
async def connect(node: Node) -> AsyncIterator[Callable[[], Awaitable[Peer]]]:
    """Make a peer that is connected to the node."""
    peers: list[Peer] = []

    async def connect() -> Peer:
        peers.append(Peer(await trio.open_tcp_stream("127.0.0.1", node.port)))
        return peers[-1]

    yield connect
    for peer in peers:
        await trio.aclose_forcefully(peer.stream)


@pytest.fixture
def peer_of() -> Callable[[trio.SocketStream], Peer]:
    """Make a peer of a stream that a test connected itself."""
    return Peer


@pytest.fixture
async def peer(connect: Callable[[], Awaitable[Peer]]) -> Peer:
    """One such peer."""
    return await connect()


@pytest.fixture
async def client(node: Node) -> AsyncIterator[RemotingClient]:
    """Our own client."""
    async with RemotingClient() as client:
        yield client


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
