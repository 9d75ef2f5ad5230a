"""A slave whose master sends what none sends: it stops copying, says why, serves on, and starts again."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from rmqnode.protocol.codes import ResponseCode
from tests.unit.broker.replication.test_replication import Node, World, follows, has_topic, impatient, until, world

__all__ = ["impatient", "world"]


Tamper = Callable[[bytes], bytes]


@asynccontextmanager
async def tampering_proxy(port: int, tamper: Callable[[bytes], bytes]) -> AsyncIterator[int]:
    """A port that hands a master's bytes on as `tamper` returns them."""

    async def serve(slave: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as master, trio.open_nursery() as nursery:

            async def copy(
                source: trio.SocketStream, sink: trio.SocketStream, change: Callable[[bytes], bytes]
            ) -> None:
                try:
                    async for data in source:
                        await sink.send_all(change(bytes(data)))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                nursery.cancel_scope.cancel()

            nursery.start_soon(copy, slave, master, lambda data: data)
            nursery.start_soon(copy, master, slave, tamper)
        await slave.aclose()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def with_queue_offset(marked: bytes, queue_offset: int) -> Callable[[bytes], bytes]:
    """Give the record whose body is `marked` another queue offset."""

    def tamper(data: bytes) -> bytes:
        at = data.find(marked)
        if at < 88:
            return data
        field = at - 88 + 20
        return data[:field] + queue_offset.to_bytes(8, "big", signed=True) + data[field + 8 :]

    return tamper


async def refused(slave: Node) -> bool:
    return (await slave.info())["haState"] == "refused"


async def test_a_slave_stops_in_front_of_an_impossible_record_and_its_next_start_works(
    world: World,
) -> None:
    bad = b"the bad one" * 5
    async with world.broker(0) as master:
        for number in range(10):
            await master.send(b"%d" % number)
        async with tampering_proxy(master.config.ha_listen_port, with_queue_offset(bad, -1)) as port:
            async with world.broker(1, ha_master_address=f"127.0.0.1:{port}") as slave:
                await follows(slave, master)
                end = (await slave.info())["commitLogMaxOffset"]
                await master.send(bad)
                await until(lambda: refused(slave))
                info = await slave.info()
                assert "queue offset -1" in info["haProblem"]
                assert info["limited.replication"].startswith("nothing is copied from the master: ")
                assert info["commitLogMaxOffset"] == end
                await until(lambda: has_topic(slave))
                assert await slave.bodies() == [b"%d" % number for number in range(10)]
            queues = slave.config.store_path_root_dir / "consumequeue" / "t"
            names = [file.name for queue in queues.iterdir() for file in queue.iterdir()]
            assert all(name.isdecimal() for name in names)
            async with world.broker(1, ha_master_address=f"127.0.0.1:{port}") as slave:
                assert await slave.bodies() == [b"%d" % number for number in range(10)]
        async with world.broker(1) as slave:
            await follows(slave, master)
            assert (await slave.bodies())[-1] == bad
            assert "limited.replication" not in await slave.info()


async def test_damage_on_the_way_is_said_and_passed_over(world: World) -> None:
    bad = b"the bad one" * 5
    async with world.broker(0) as master:
        await master.send(b"first")

        def tamper(data: bytes) -> bytes:
            at = data.find(bad)
            return data if at < 88 else data[: at - 88] + bytes(88) + data[at:]

        async with (
            tampering_proxy(master.config.ha_listen_port, tamper) as port,
            world.broker(1, ha_master_address=f"127.0.0.1:{port}") as slave,
        ):
            await follows(slave, master)
            await master.send(bad)
            await until(lambda: is_limited(slave))
            await follows(slave, master)
            assert "log is damaged at physical offset" in (await slave.info())["limited.replication"]
            assert (await master.send(b"last")).code == ResponseCode.SUCCESS
            await follows(slave, master)
            await until(lambda: has_topic(slave))
            assert await slave.bodies(2) == [b"last"], "with the queue offset that the master gave it"
            assert "limited.replication" not in await slave.info()


async def is_limited(slave: Node) -> bool:
    return "limited.replication" in await slave.info()
