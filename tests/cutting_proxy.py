"""Proxies on loopback: one cuts or stalls what a server sends, one cuts all connections when it is told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio


@asynccontextmanager
async def cutting_proxy(target_port: int, budgets: list[tuple[str, int]]) -> AsyncIterator[tuple[int, list[str]]]:
    """Between slave and master: connection n is cut or stalled in the way of entry n, the last one lets all through."""
    done: list[str] = []

    async def serve(client: trio.SocketStream) -> None:
        way, budget = budgets[len(done)] if len(done) < len(budgets) else ("open", 1 << 60)
        done.append(way)
        server = await trio.open_tcp_stream("127.0.0.1", target_port)

        async def to_server() -> None:
            while data := await client.receive_some(4096):
                await server.send_all(data)
            nursery.cancel_scope.cancel()

        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(to_server)
            left = budget
            while left > 0 and (data := await server.receive_some(min(left, 4096))):
                await client.send_all(data)
                left -= len(data)
            if way == "stall":
                await trio.sleep(5)
            nursery.cancel_scope.cancel()

    async def serve_safely(client: trio.SocketStream) -> None:
        try:
            await serve(client)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve_safely, [listener])
        yield port, done
        nursery.cancel_scope.cancel()


class Cutter:
    """Cuts every connection that goes through a proxy now."""

    def __init__(self) -> None:
        self._scopes: set[trio.CancelScope] = set()

    def cut(self) -> None:
        """Cut them; new ones are let through."""
        for scope in self._scopes:
            scope.cancel()

    async def carry(self, client: trio.SocketStream, target_port: int) -> None:
        """Carry bytes both ways until either side ends, or `cut`."""
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                server = await trio.open_tcp_stream("127.0.0.1", target_port)
                async with client, server, trio.open_nursery() as nursery:
                    for source, sink in ((client, server), (server, client)):
                        nursery.start_soon(_copy, source, sink, nursery.cancel_scope)
            except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                pass
            finally:
                self._scopes.discard(scope)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    while data := await source.receive_some(1 << 16):
        await sink.send_all(data)
    scope.cancel()


@asynccontextmanager
async def open_cutter(listen_port: int, target_port: int) -> AsyncIterator[Cutter]:
    """A proxy between two ports of 127.0.0.1 for the length of a block."""
    cutter = Cutter()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(listen_port, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, partial(cutter.carry, target_port=target_port), listeners)
        yield cutter
        nursery.cancel_scope.cancel()
