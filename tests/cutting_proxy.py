"""A proxy on loopback that cuts or stalls what a server sends, each connection in its own way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
