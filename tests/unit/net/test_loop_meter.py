"""What the loop meter says of a loop: a busy stretch counts, an idle one does not, and the counter goes up."""

import os
import socket
import time

import pytest
import trio

from rmqnode.net.connection import Connection
from rmqnode.net.loop_meter import PULSE_NAME, LoopMeter, Pulse
from rmqnode.net.server import Server
from rmqnode.protocol.command import Command, encode_command
from rmqnode.protocol.frame import Frame

_PEERS = 40


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_a_stretch_of_work_is_named_by_the_request_that_made_it() -> None:
    meter = LoopMeter()
    meter.start()
    await trio.lowlevel.checkpoint()
    work(0.02)
    meter.note("SEND_MESSAGE (10)", 0.02)
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()

    assert 0.02 <= meter.longest_seconds < 0.05
    assert meter.table()["longestStretchRequest"] == "SEND_MESSAGE (10)"


async def test_a_later_stretch_does_not_bear_the_name_of_an_earlier_request() -> None:
    meter = LoopMeter()
    meter.start()
    work(0.01)
    meter.note("SEND_MESSAGE (10)", 0.01)
    await trio.lowlevel.checkpoint()
    await trio.sleep(0.01)
    work(0.03)
    await trio.lowlevel.checkpoint()

    assert meter.longest_seconds >= 0.03
    assert meter.longest_request == ""


async def test_a_thread_that_sleeps_is_no_stretch() -> None:
    meter = LoopMeter()
    meter.start()
    await trio.sleep(0.05)
    time.sleep(0.05)  # noqa: ASYNC251 -- the machine has no time for us
    await trio.lowlevel.checkpoint()

    assert meter.longest_seconds < 0.02


async def test_each_turn_raises_the_counter_that_others_read() -> None:
    counter = memoryview(bytearray(8)).cast("Q")
    meter = LoopMeter(counter)
    meter.start()
    before = counter[0]
    for _ in range(5):
        await trio.lowlevel.checkpoint()

    assert counter[0] >= before + 5


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no anonymous files")
def test_the_counter_is_among_the_descriptors_of_the_process_until_it_is_closed() -> None:
    def count() -> int:
        links = (f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd"))
        return sum(PULSE_NAME in os.readlink(link) for link in links if os.path.islink(link))

    before = count()
    pulse = Pulse()
    assert count() == before + 1
    pulse.close()

    assert count() == before


async def test_many_busy_peers_share_one_turn_of_the_loop() -> None:
    meter, handled = LoopMeter(), []

    def on_frame(connection: Connection, frame: Frame) -> None:
        work(0.0005)
        handled.append(connection)

    server = Server(on_frame, lambda connection: None, 120, meter=meter)
    listener = socket.create_server(("127.0.0.1", 0), backlog=_PEERS)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, [listener])
        peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(_PEERS)]
        with trio.fail_after(20):
            while len(server.connections) < _PEERS:
                await trio.lowlevel.checkpoint()
            meter.start()
            for peer in peers:
                peer.sendall(encode_command(Command(code=105)) * 20)
            while len(handled) < 20 * _PEERS:
                await trio.lowlevel.checkpoint()
        meter.stop()
        for peer in peers:
            peer.close()
        nursery.cancel_scope.cancel()

    assert meter.longest_seconds < 0.05
