"""What all bodies share: the base struct, and the two values that are part of many."""

from typing import Self

import msgspec

from rmqnode.protocol import fastjson
from rmqnode.protocol.header_fields import I32, I64


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all JSON bodies: values. Unknown members are ignored, missing ones have Java's default."""

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
