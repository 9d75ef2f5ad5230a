"""What puts and reads answer: statuses with Java's names, structs with offsets. Values only, no behaviour."""

from enum import Enum, auto
from typing import NamedTuple

from msgspec import Struct


class PutStatus(Enum):
    """Outcome of a put. Source: PutMessageStatus (RocketMQ 4.5.2)."""

    OK = auto()
    """Stored and readable (not yet on disk)."""
    MESSAGE_ILLEGAL = auto()
    """Too long, or a topic or queue id that cannot name a folder."""
    PROPERTIES_SIZE_EXCEEDED = auto()
    """More than 32767 bytes of properties."""
    SERVICE_NOT_AVAILABLE = auto()
    """The disk is full or the store is closed; works again when that has changed."""
    CREATE_MAPPED_FILE_FAILED = auto()
    """The next file could not be created for another reason than a full disk."""


class GetStatus(Enum):
    """Outcome of a read. Source: GetMessageStatus (RocketMQ 4.5.2)."""

    FOUND = auto()
    """At least one message."""
    NO_MATCHED_MESSAGE = auto()
    """Units were scanned, none passed the filter."""
    MESSAGE_WAS_REMOVING = auto()
    """The records are no longer in the commit log."""
    OFFSET_FOUND_NULL = auto()
    """The queue file for this offset is missing."""
    OFFSET_OVERFLOW_BADLY = auto()
    """Behind the end of the queue."""
    OFFSET_OVERFLOW_ONE = auto()
    """Exactly at the end: the next message has not come yet."""
    OFFSET_TOO_SMALL = auto()
    """Before the first message that is still there."""
    NO_MATCHED_LOGIC_QUEUE = auto()
    """Apache's status for an unknown queue; kept for its name, an unknown queue reads as empty."""
    NO_MESSAGE_IN_QUEUE = auto()
    """Nothing was ever stored in this queue."""


class PutResult(Struct, gc=False):
    """Where a put went. Offsets are -1 unless the status is OK; of a batch they are the first part's."""

    status: PutStatus
    physical_offset: int = -1
    queue_offset: int = -1
    end_offset: int = -1
    """Log end after it (physical offset): what must be flushed for it to be durable."""
    store_timestamp: int = 0
    """Milliseconds since the epoch, as stored in the record."""
    physical_offsets: tuple[int, ...] = ()
    """Of a batch only: one per part."""


class BatchPart(NamedTuple):
    """One message of a batch."""

    flag: int
    body: bytes | memoryview
    properties: bytes
    tags_code: int


class QueryResult(NamedTuple):
    """Messages that may have a key: the index knows hashes only, whoever asked compares the keys."""

    buffers: list[memoryview]
    """One slice of the commit log per message, oldest first."""
    index_last_update_timestamp: int
    """Store timestamp of the last message in the index; 0 when nothing was found."""
    index_last_update_offset: int
    """Physical offset of the last message in the index; 0 when nothing was found."""


class GetResult(Struct):
    """Messages of one queue, as stored. `buffers` holds one slice of the commit log per message."""

    status: GetStatus
    next_queue_offset: int
    """Where to read next; as a master answers. A slave keeps the requested offset when nothing could be read."""
    min_queue_offset: int
    max_queue_offset: int
    buffers: list[memoryview] = []
    count: int = 0
    size_bytes: int = 0
    is_behind_memory: bool = False
    """The last unit looked at is further behind the log end than memory reaches: suggest reading from a slave."""
