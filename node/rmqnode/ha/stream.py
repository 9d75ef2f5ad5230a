"""The bytes of the replication stream. No sockets, no log; big-endian, no handshake, no end mark.

    slave → master    report      i64 physical offset: everything below it is in the slave's log
    master → slave    block head  i64 physical offset of its first byte | i32 size; size 0 is a heartbeat
                      block       that many bytes of the commit log, blank records included

The first report asks for the offset to start from, later ones acknowledge.
Source: HAConnection, HAService.HAClient (RocketMQ 4.5.2).
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

REPORT: Final = Struct(">q")
BLOCK_HEAD: Final = Struct(">qi")
assert (REPORT.size, BLOCK_HEAD.size) == (8, 12)


class StreamBroken(Exception):
    """The peer does not speak this protocol, or not with this log; the connection must be closed."""


class BlockHead(NamedTuple):
    """The head of a block; the block itself follows in pieces."""

    physical_offset: int
    size: int


class BlockPiece(NamedTuple):
    """Some bytes of a block, as they arrived."""

    physical_offset: int
    content: memoryview


class ReportDecoder:
    """Cuts what a slave sends into reports."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> int | None:
        """Return the last report that is complete now, None when there is none; only the last one counts."""
        data = self._rest + data
        whole = len(data) - len(data) % REPORT.size
        self._rest = data[whole:]
        return int(REPORT.unpack_from(data, whole - REPORT.size)[0]) if whole else None


class BlockDecoder:
    """Cuts what a master sends into block heads and pieces of blocks; keeps nothing but a head that is cut."""

    def __init__(self) -> None:
        self._head = b""
        self._physical_offset = 0
        self._bytes_left = 0

    def feed(self, data: bytes | memoryview) -> Iterator[BlockHead | BlockPiece]:
        """Yield what these bytes bring, in order. Each part is looked at before the next one is cut.

        Raises:
            StreamBroken: A block of negative size.
        """
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self._bytes_left:
                piece = view[position : position + self._bytes_left]
                position += len(piece)
                physical_offset = self._physical_offset
                self._physical_offset += len(piece)
                self._bytes_left -= len(piece)
                yield BlockPiece(physical_offset, piece)
                continue
            missing = BLOCK_HEAD.size - len(self._head)
            self._head += view[position : position + missing]
            position += missing
            if len(self._head) == BLOCK_HEAD.size:
                yield self._take_head()

    def _take_head(self) -> BlockHead:
        head = BlockHead(*BLOCK_HEAD.unpack(self._head))
        self._head = b""
        if head.size < 0:
            raise StreamBroken(f"a block of {head.size} bytes")
        self._physical_offset, self._bytes_left = head
        return head
