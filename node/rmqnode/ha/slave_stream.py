"""The slave's end of its master's stream, without I/O: compare, append, report.

A slave does not ask for the first byte that it lacks but for its last bytes once more (`overlap_start`), and compares
them: the protocol itself has no way to notice that a master lost the end of its log and took other messages since,
and the logs would differ for good. Nothing is appended before the overlap was found equal.

Source: HAService.HAClient#dispatchReadRequest (RocketMQ 4.5.2). Differs: the overlap; pieces are appended as they
come, where Apache waits for whole blocks; the first report goes out at once, where Apache waits 5 s.
"""

from typing import Final, NamedTuple, Protocol

from rmqnode.ha.stream import REPORT, BlockDecoder, BlockHead, StreamBroken

OVERLAP_BYTES: Final = 32 * 1024
"""Bytes that are compared; the last record alone names its offset and time."""


PHYSICAL_OFFSET_MAX: Final = 1 << 62
"""No log gets so long; sums with sizes stay within 64 bits, as files are named."""


class LogsDiffer(Exception):
    """The master's log has other bytes than ours where both have some."""

    def __init__(self, physical_offset: int) -> None:
        self.physical_offset = physical_offset
        super().__init__(f"the master's log differs from ours at physical offset {physical_offset}")


class FileSizesDiffer(Exception):
    """The master's log files have another length than ours; blocks never cross the end of its own files."""

    def __init__(self, physical_offset: int, file_size: int) -> None:
        self.physical_offset = physical_offset
        super().__init__(
            f"the master's log files are longer than our {file_size} bytes (mappedFileSizeCommitLog): "
            f"it sent a block across {physical_offset}"
        )


class CopiedLog(Protocol):
    """The log that grows."""

    @property
    def log_file_size(self) -> int:
        """Length of one of its files, in bytes."""

    @property
    def wrote_offset(self) -> int:
        """Physical offset where it ends; 0 of an empty one."""

    @property
    def log_min_offset(self) -> int:
        """Physical offset where it begins."""

    def log_bytes(self, physical_offset: int, size_max: int) -> memoryview | None:
        """Bytes of one file; None when there are none at that offset."""

    def append(self, physical_offset: int, content: memoryview) -> None:
        """Append bytes; raises what makes that impossible."""

    @property
    def has_undispatched(self) -> bool:
        """Whether there is more to do with what was appended, for `dispatch_more`."""

    def dispatch_more(self) -> None:
        """Go on with it; raises as `append`."""


class LogEnds(NamedTuple):
    """Where a master's commit log begins and ends: physical offsets."""

    min_offset: int
    max_offset: int


def overlap_start(log: CopiedLog, master: LogEnds) -> int:
    """Physical offset to ask for: our end less what is compared; our end itself where there is nothing to compare.

    Never 0 unless our log is empty: asked for 0, Apache's master starts at its newest file.
    """
    end = log.wrote_offset
    return min(end, max(end - OVERLAP_BYTES, log.log_min_offset, master.min_offset, 1))


class SlaveStream:
    """What this slave and its master have said to each other.

    Attributes:
        next_offset: Physical offset of the next byte that the master shall send, None while any will do; everything
            below it is in both logs.
    """

    def __init__(self, log: CopiedLog, start_offset: int) -> None:
        self._log = log
        self._decoder = BlockDecoder()
        self.next_offset = start_offset or None
        self._reported = -1

    @property
    def is_compared(self) -> bool:
        """Whether everything we have is known to be in the master's log too."""
        return self.next_offset is None or self.next_offset >= self._log.wrote_offset

    def receive(self, data: bytes | memoryview) -> None:
        """Take what the master sent.

        Raises:
            StreamBroken: It does not continue what came before.
            LogsDiffer: The logs have nothing to do with each other any more; nothing was appended.
            FileSizesDiffer: Ours can't hold the master's.
        """
        for part in self._decoder.feed(data):
            if isinstance(part, BlockHead):
                self._check_head(part)
            else:
                self._take(part.physical_offset, part.content)

    def report(self) -> bytes:
        """Return the report that is true now."""
        self._reported = self.next_offset or 0
        return REPORT.pack(self._reported)

    def report_of_progress(self) -> bytes | None:
        """Return a report if the last one is no longer true."""
        return self.report() if (self.next_offset or 0) != self._reported else None

    def _check_head(self, head: BlockHead) -> None:
        if not 0 <= head.physical_offset <= PHYSICAL_OFFSET_MAX:
            raise StreamBroken(f"the master sent offset {head.physical_offset}")
        if self.next_offset is None and head.size:
            self.next_offset = head.physical_offset
        if self.next_offset is not None and head.physical_offset != self.next_offset:
            raise StreamBroken(f"the master sent offset {head.physical_offset}, {self.next_offset} comes next")
        file_size = self._log.log_file_size
        file_end = head.physical_offset - head.physical_offset % file_size + file_size
        if head.physical_offset + head.size > file_end:
            raise FileSizesDiffer(file_end, file_size)

    def _take(self, physical_offset: int, content: memoryview) -> None:
        known = min(len(content), max(0, self._log.wrote_offset - physical_offset)) if self._log.wrote_offset else 0
        self._compare(physical_offset, content[:known])
        if known < len(content):
            self._log.append(physical_offset + known, content[known:])
        self.next_offset = physical_offset + len(content)

    def _compare(self, physical_offset: int, content: memoryview) -> None:
        while content:
            own = self._log.log_bytes(physical_offset, len(content))
            if own is None or own != content[: len(own)]:
                raise LogsDiffer(physical_offset)
            physical_offset += len(own)
            content = content[len(own) :]
