"""Hostile peers of the replication port: slaves that report nonsense, masters that send it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from struct import pack
from typing import Final

import trio

from rmqnode.ha.stream import BLOCK_HEAD, REPORT
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_RESPONSE, Command, decode_command, encode_command
from rmqnode.protocol.frame import FrameDecoder
from tests.fuzz import values
from tests.fuzz.node_process import NodeProcess
from tests.fuzz.store_files import open_rig
from tests.ports import free_port

_OFFSETS: Final = (0, 1, -1, 100, 1 << 20, (1 << 63) - 1, -(1 << 63))
_PATIENCE_SECONDS: Final = 10.0
_TABLES: Final = (
    {"dataVersion": {"timestamp": 1, "counter": 1}, "topicConfigTable": {"fuzz-0": {"topicName": "fuzz-0", "perm": 6}}},
    {"dataVersion": {"timestamp": 1, "counter": 1}, "subscriptionGroupTable": {"g": {"groupName": "g", "brokerId": 0}}},
    {"offsetTable": {"fuzz-0@g": {"0": 5}}},
    {"offsetTable": {"1": 5, "2": 0}},
)


async def fake_slaves(node: NodeProcess, chance: Random, count: int) -> None:
    """Connect to a broker's replication port again and again, and report what no slave would."""
    for _ in range(count):
        try:
            async with await trio.open_tcp_stream("127.0.0.1", node.port + 1) as stream:
                for _ in range(chance.randrange(1, 30)):
                    report = REPORT.pack(chance.choice((*_OFFSETS, chance.randrange(1 << 20))))
                    await stream.send_all(
                        report if chance.random() < 0.8 else chance.randbytes(chance.randrange(1, 40))
                    )
                with trio.move_on_after(0.01):
                    await stream.receive_some(1 << 16)
        except (trio.BrokenResourceError, OSError):
            continue
        finally:
            node.look()


def log_of_a_master(folder: Path, messages: int = 60) -> bytes:
    """The commit log of a master that took some messages."""
    rig = open_rig(folder)
    rig.create_topic("fuzz-0")
    for number in range(messages):
        rig.send("fuzz-0", b"body %d" % number, {"TAGS": "a"}, queue_id=number % 2)
    end = rig.store.wrote_offset
    rig.close()
    (file,) = (folder / "commitlog").iterdir()
    return file.read_bytes()[:end]


def hostile_log(chance: Random, log: bytes) -> bytes:
    """A log with one record that no master would have written, and whole ones before it."""
    starts = [0]
    while starts[-1] < len(log):
        starts.append(starts[-1] + int.from_bytes(log[starts[-1] : starts[-1] + 4], "big"))
    place = chance.randrange(1, len(starts) - 1)
    record = bytearray(log[starts[place] : starts[place + 1]])
    match chance.randrange(5):
        case 0:  # queue offset
            record[20:28] = pack(">q", chance.choice((-1, 1 << 40, (1 << 63) - 1, -(1 << 63), 10_000_000)))
        case 1:  # queue id
            record[12:16] = pack(">i", chance.choice((-1, (1 << 31) - 1, 70_000)))
        case 2:  # size
            record[:4] = pack(">i", chance.choice((0, -1, 8, 91, (1 << 31) - 1)))
        case 3:  # physical offset
            record[28:36] = pack(">q", chance.choice((-1, 0, 1 << 50)))
        case _:
            record = bytearray(values.changed_bytes(chance, bytes(record), 3))
    return log[: starts[place]] + bytes(record) + log[starts[place + 1] :]


@asynccontextmanager
async def fake_master(log: bytes, chance: Random) -> AsyncIterator[tuple[int, trio.Event]]:
    """A master that sends a log to whoever asks; yields its replication port and an event for the end of a slave.

    Now and then a head lies about its offset or size. The tables that a slave asks for are hostile.
    """
    ended = trio.Event()
    port = free_port()

    async def replicate(stream: trio.SocketStream) -> None:
        try:
            async with stream:
                await _send_log(stream, log, chance)
                with trio.move_on_after(_PATIENCE_SECONDS):
                    while await stream.receive_some(1 << 12):
                        pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            ended.set()

    async def answer(stream: trio.SocketStream) -> None:
        decoder = FrameDecoder()
        try:
            async with stream:
                while data := await stream.receive_some(1 << 16):
                    for frame in decoder.feed(bytes(data)):
                        await stream.send_all(_answer(decode_command(frame), len(log), chance))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        for serve, number in ((answer, port), (replicate, port + 1)):
            listeners = await trio.open_tcp_listeners(number, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield port + 1, ended
        nursery.cancel_scope.cancel()


def _answer(request: Command, log_size: int, chance: Random) -> bytes:
    if request.code == RequestCode.GET_BROKER_RUNTIME_INFO:
        body = KVTable(table={"commitLogMinOffset": "0", "commitLogMaxOffset": str(log_size)}).encode()
    else:
        document = chance.choice(_TABLES)
        for _ in range(chance.randrange(3)):
            document = values.changed_json(chance, document)
        body = json.dumps(document).encode("utf-8", "surrogatepass")
    return encode_command(Command(code=0, opaque=request.opaque, flag=FLAG_RESPONSE, body=body))


async def _send_log(stream: trio.SocketStream, log: bytes, chance: Random) -> None:
    asked = b""
    while len(asked) < REPORT.size:
        data = await stream.receive_some(1 << 12)
        if not data:
            return
        asked += bytes(data)
    position = min(max(0, REPORT.unpack_from(asked)[0]), len(log))
    while position < len(log):
        block = log[position : position + chance.choice((1, 50, 1000, 32 * 1024))]
        head = BLOCK_HEAD.pack(position, len(block))
        if chance.random() < 0.02:
            head = BLOCK_HEAD.pack(chance.choice(_OFFSETS), chance.choice((0, -1, (1 << 31) - 1, len(block))))
        await stream.send_all(head + block)
        position += len(block)
