"""What all bodies share: the base struct, and the two values that are part of many."""

from collections.abc import Generator
from typing import Final, Self

import msgspec

from rmqnode.protocol import fastjson
from rmqnode.protocol.frame import FRAME_SIZE_BYTES_MAX
from rmqnode.protocol.header_fields import I32, I64

ANSWER_BYTES_MAX: Final = FRAME_SIZE_BYTES_MAX - 65_536
"""Largest body that fits a frame which clients still read, with its header."""


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of all JSON bodies: values. Unknown members are ignored, missing ones have Java's default.

    Values hold no cycles, and the collector would go through hundreds of thousands of them in one go.
    """

    def encode(self) -> bytes:
        """Write the compact form, without blanks and with quoted keys, as every client reads it."""
        return fastjson.dumps(self)

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview | str) -> Self:
        """Read a body.

        Raises:
            FastjsonError: Not JSON of the dialect, or a member has a value that its type does not have.
        """
        return fastjson.decode(data, cls)

    @classmethod
    def decode_request(cls, data: bytes) -> Self:
        """Read the body of a request within what a node's loop may be kept waiting for.

        Raises:
            FastjsonError: As `decode`, or the body is larger than `fastjson.decode_request` takes.
        """
        return fastjson.decode_request(data, cls)

    def encode_steps(self, size_bytes_max: int | None = ANSWER_BYTES_MAX) -> Generator[None, None, bytes]:
        """Write the compact form with a yield wherever the work may be interrupted.

        Raises:
            TextTooLarge: Nobody could read it.
        """
        return fastjson.dump_steps(self, size_bytes_max=size_bytes_max)


class MessageQueue(Body, frozen=True, order=True):
    """One queue of one topic on one broker name; sorted by topic, broker name, queue id as in Java."""

    topic: str = ""
    broker_name: str = ""
    queue_id: I32 = 0


class DataVersion(Body, frozen=True):
    """Version of a table; two are equal when both members are."""

    timestamp: I64 = 0
    """Time of the last change, ms since the epoch."""
    counter: I64 = 0

    def next_version(self, now_ms: int) -> "DataVersion":
        """Return the version after one more change."""
        return DataVersion(timestamp=now_ms, counter=self.counter + 1)
