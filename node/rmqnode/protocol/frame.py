"""Frames: cutting a TCP stream into header and body, and putting a frame together. No I/O.

A frame is `i32 length · u8 serialization · u24 header length · header · body`, big-endian, where length
counts everything after itself. Source: `RemotingCommand#encode`, `NettyDecoder` (RocketMQ 4.5.2).
"""

import struct
from enum import IntEnum
from typing import Final

import msgspec

from rmqnode.protocol.errors import FrameTooLarge, MalformedFrame, fresh

FRAME_SIZE_BYTES_MAX: Final = 16_777_216
"""Java's `com.rocketmq.remoting.frameMaxLength`, the four bytes of the length field included."""

FRAME_HEAD: Final = struct.Struct(">iI")
assert FRAME_HEAD.size == 8


class Serialization(IntEnum):
    """How the header of a frame is written (`SerializeType`)."""

    JSON = 0
    ROCKETMQ = 1


class Frame(msgspec.Struct, gc=False):
    """One frame as it came: the header still encoded, the body raw (empty when there is none)."""

    serialization: int
    header: bytes
    body: bytes


class FrameDecoder:
    """Turns chunks of a stream into frames; keeps what is incomplete until the rest arrives.

    Memory is bounded by one frame: a length above the limit is refused before anything of it is stored.
    """

    def __init__(self, size_bytes_max: int = FRAME_SIZE_BYTES_MAX) -> None:
        self._size_bytes_max = size_bytes_max
        self._pending = bytearray()
        self._needed_bytes = 0
        self._refused: FrameTooLarge | MalformedFrame | None = None

    @property
    def pending_bytes(self) -> int:
        """How much of an incomplete frame is kept."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Frame]:
        """Return every frame that `data` completes, oldest first.

        Raises:
            ProtocolError: The stream can't be understood from here on; close the connection. When frames came
                before that point they are returned, and `check` or the next call raises.
        """
        self.check()
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed_bytes:
                return []
            data = bytes(self._pending)
            self._pending.clear()
        frames: list[Frame] = []
        position = 0
        end = len(data)
        unpack = FRAME_HEAD.unpack_from
        while end - position >= 8:
            length, head = unpack(data, position)
            header_end = position + 8 + (head & 0xFFFFFF)
            frame_end = position + 4 + length
            if header_end > frame_end or head >= 0x2000000 or frame_end - position > self._size_bytes_max:
                self._refused = self._refusal(length, head)
                if not frames:
                    self.check()
                return frames
            if frame_end > end:
                self._needed_bytes = frame_end - position
                break
            frames.append(
                Frame(head >> 24, data[position + 8 : header_end], data[header_end:frame_end]),
            )
            position = frame_end
        else:
            self._needed_bytes = 8
        if position < end:
            self._pending += data[position:] if position else data
        return frames

    def check(self) -> None:
        """Raise what `feed` found wrong behind the frames that it returned last."""
        if self._refused is not None:
            raise fresh(self._refused)

    def _refusal(self, length: int, head: int) -> FrameTooLarge | MalformedFrame:
        if length + 4 > self._size_bytes_max:
            return FrameTooLarge(length + 4, self._size_bytes_max)
        if length < 4:
            return MalformedFrame(f"a frame announces a length of {length} bytes")
        if head >> 24 > 1:
            return MalformedFrame(f"unknown serialization type {head >> 24} of a frame header")
        return MalformedFrame(
            f"a frame of {length} bytes announces a header of {head & 0xFFFFFF} bytes",
        )


def encode_frame(serialization: int, header: bytes, body: bytes | memoryview = b"") -> bytes:
    """Put one frame together.

    Raises:
        FrameTooLarge: The header does not fit its 24-bit length.
    """
    header_size = len(header)
    if header_size > 0xFFFFFF:
        raise FrameTooLarge(header_size, 0xFFFFFF)
    return b"".join(
        (FRAME_HEAD.pack(4 + header_size + len(body), serialization << 24 | header_size), header, body),
    )
