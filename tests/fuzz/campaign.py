"""A flood of made requests at one node, beside a well-behaved client that must be answered all the while.

A connection carries frames until one of them is out of step (its length is not what it announces); then that connection
is closed and another one opened. At the end of each stretch of frames a question is asked that must be answered: so it
is known that the frames before it were handled, and not only sent. The last frames of each connection are kept, and
written to a file when the node ends.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import trio

from rmqnode.broker.routes import ROUTES as BROKER_ROUTES
from rmqnode.nameserver.routes import ROUTES as NAMESERVER_ROUTES
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_RESPONSE, Command, decode_command, encode_command
from rmqnode.protocol.frame import FrameDecoder
from tests.fuzz.node_process import Kind, NodeProcess
from tests.fuzz.requests import RequestMaker

_CONNECTIONS: Final = 8
_STRETCH_FRAMES: Final = 64
_ANSWER_SECONDS: Final = 60.0
_PROBE_SECONDS: Final = 0.02
_KEPT_FRAMES: Final = 2_000
_SIGN_OF_LIFE: Final = {"broker": RequestCode.GET_BROKER_CONFIG, "nameserver": RequestCode.GET_NAMESRV_CONFIG}
_ROUTES: Final = {"broker": BROKER_ROUTES, "nameserver": NAMESERVER_ROUTES}


@dataclass
class Report:
    """What a campaign saw."""

    seed: int
    frames: int = 0
    connections: int = 0
    seconds: float = 0.0
    figures: dict[str, str] = field(default_factory=dict)
    """What the node says of itself at the end, as far as it is about stretches and limits."""

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.frames} frames over {self.connections} connections in {self.seconds:.0f} s; "
            f"{json.dumps(self.figures)}"
        )


class Campaign:
    """One flood.

    Args:
        node: Running.
        seed: Decides every frame; the same seed makes the same frames for each connection.
        frames_max: Ends it.
        seconds_max: Ends it too.
        crash_folder: Where the last frames go if the node ends.
    """

    def __init__(self, node: NodeProcess, seed: int, frames_max: int, seconds_max: float, crash_folder: Path) -> None:
        self._node = node
        self._frames_max = frames_max
        self._seconds_max = seconds_max
        self._crash_folder = crash_folder
        self._kept: list[deque[bytes]] = []
        self.report = Report(seed)

    async def run(self) -> Report:
        """Flood the node until the frames or the time are used up, then ask it for its figures."""
        began = trio.current_time()
        try:
            with trio.move_on_after(self._seconds_max):
                async with trio.open_nursery() as probes:
                    probes.start_soon(self._behave_well)
                    probes.start_soon(self._watch)
                    async with trio.open_nursery() as floods:
                        for number in range(_CONNECTIONS):
                            floods.start_soon(self._flood, number)
                    probes.cancel_scope.cancel()
            self._node.look()
        except BaseException:
            self._keep_frames()
            raise
        self.report.seconds = trio.current_time() - began
        self.report.figures = await figures_of(self._node)
        return self.report

    async def _flood(self, number: int) -> None:
        maker = RequestMaker(Random(f"{self.report.seed}-{number}"), _ROUTES[self._node.kind], self._node.kind)
        kept: deque[bytes] = deque(maxlen=_KEPT_FRAMES)
        self._kept.append(kept)
        while self.report.frames < self._frames_max:
            stream = await trio.open_tcp_stream("127.0.0.1", self._node.port)
            self.report.connections += 1
            async with stream:
                try:
                    await self._flood_connection(stream, maker, kept)
                except* (trio.BrokenResourceError, trio.ClosedResourceError):
                    # The node closed it for a frame that cannot be understood, or for a limit.
                    pass

    async def _flood_connection(self, stream: trio.SocketStream, maker: RequestMaker, kept: "deque[bytes]") -> None:
        answers = _Answers(stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answers.read)
            is_in_step = True
            while is_in_step and not answers.is_closed and self.report.frames < self._frames_max:
                frames = []
                for _ in range(_STRETCH_FRAMES):
                    frame = maker.frame()
                    frames.append(frame)
                    if not maker.is_in_step(frame):
                        is_in_step = False
                        break
                kept.extend(frames)
                self.report.frames += len(frames)
                if is_in_step:
                    frames.append(answers.question(self._node.kind))
                with trio.fail_after(_ANSWER_SECONDS):
                    await stream.send_all(b"".join(frames))
                    if is_in_step:
                        await answers.wait()
            nursery.cancel_scope.cancel()

    async def _behave_well(self) -> None:
        """Ask a question fifty times a second over a connection of its own; each must be answered."""
        async with await trio.open_tcp_stream("127.0.0.1", self._node.port) as stream:
            answers = _Answers(stream)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answers.read)
                while True:
                    with trio.fail_after(_ANSWER_SECONDS):
                        await stream.send_all(answers.question(self._node.kind))
                        await answers.wait()
                    assert not answers.is_closed, "a well-behaved client's connection was closed"
                    await trio.sleep(_PROBE_SECONDS)

    async def _watch(self) -> None:
        while True:
            self._node.look()
            await trio.sleep(0.2)

    def _keep_frames(self) -> None:
        self._crash_folder.mkdir(parents=True, exist_ok=True)
        path = self._crash_folder / f"{self._node.kind}-{self.report.seed}.frames"
        path.write_text("\n".join(frame.hex() for kept in self._kept for frame in kept))


class _Answers:
    """Reads what comes over a connection and knows the answer to its own question."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._opaque = 1 << 30
        self._answered = trio.Event()
        self.is_closed = False

    def question(self, kind: Kind) -> bytes:
        """A request that is always answered."""
        self._opaque += 1
        self._answered = trio.Event()
        return encode_command(Command(code=_SIGN_OF_LIFE[kind], opaque=self._opaque))

    async def wait(self) -> None:
        """Until the question is answered or the connection ended."""
        await self._answered.wait()

    async def read(self) -> None:
        """Take everything that the node sends."""
        decoder = FrameDecoder()
        wanted = b'"opaque":%d'
        try:
            while data := await self._stream.receive_some(1 << 16):
                for frame in decoder.feed(bytes(data)):
                    if wanted % self._opaque in frame.header and decode_command(frame).flag & FLAG_RESPONSE:
                        self._answered.set()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.is_closed = True
        self._answered.set()


async def figures_of(node: NodeProcess) -> dict[str, str]:
    """What a node counts about itself: the stretches of its loop, its limits."""
    request: Any = Command(code=RequestCode.GET_BROKER_RUNTIME_INFO, opaque=1)
    stream = await trio.open_tcp_stream("127.0.0.1", node.port)
    decoder = FrameDecoder()
    async with stream:
        await stream.send_all(encode_command(request))
        with trio.fail_after(_ANSWER_SECONDS):
            while not (frames := decoder.feed(bytes(await stream.receive_some(1 << 16)))):
                pass
    command = decode_command(frames[0])
    table = KVTable.decode(command.body).table if command.code == 0 and command.body else {}
    wanted = ("stretch", "limited", "refused", "closed")
    return {key: value for key, value in table.items() if any(word in key.lower() for word in wanted)}
