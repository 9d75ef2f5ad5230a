"""The master's end of one slave's stream, without I/O: what to send from where, and what the slave has.

    first report       what is sent
    ------------------------------------------------------------------------------------------------------------
    0                  everything from the first file on. Apache: from the newest file, the slave lacks the rest
    in the log         everything from there on
    at or behind its end   heartbeats with that offset, until the log reaches it
    below its start    heartbeats only: the slave lacks what is gone here
    -1                 nothing, another report may ask; other negative ones: heartbeats only

The first report is a claim that nobody can check, so it confirms nothing. A later one confirms what was sent here.

Source: HAConnection (RocketMQ 4.5.2).
"""

from typing import Final, Protocol

from rmqnode.ha.stream import BLOCK_HEAD, ReportDecoder, StreamBroken

_BLOCKS_MAX: Final = 16
"""Blocks that one write carries at most: half a megabyte with Apache's block size."""

_NOTHING_ASKED: Final = -1


class SourceLog(Protocol):
    """The log that is sent."""

    @property
    def wrote_offset(self) -> int:
        """Physical offset where it ends."""

    @property
    def log_min_offset(self) -> int:
        """Physical offset where it begins; the start of a file."""

    def log_bytes(self, physical_offset: int, size_max: int) -> memoryview | None:
        """Bytes of one file; None when there are none at that offset."""


class MasterStream:
    """What this master and one slave have said to each other.

    Attributes:
        next_offset: Physical offset of the next byte to send; -1 until the slave has asked.
        asked_offset: Where it began; -1 until then.
        reported_offset: The slave's last report; -1 before the first one.
        unsent_bytes: Of what `next_blocks` returned, what has not left yet; kept by who sends it.
    """

    def __init__(self, log: SourceLog, batch_size_bytes: int) -> None:
        self._log = log
        self._batch_size_bytes = batch_size_bytes
        self._reports = ReportDecoder()
        self.next_offset = _NOTHING_ASKED
        self.asked_offset = -1
        self.reported_offset = -1
        self.unsent_bytes = 0

    @property
    def has_asked(self) -> bool:
        """Whether the slave has said from where it wants the log."""
        return self.next_offset != _NOTHING_ASKED

    @property
    def confirmed_offset(self) -> int:
        """Physical offset up to which the slave has shown to have this log; -1 before it received something here."""
        return self.reported_offset if self.has_followed else -1

    @property
    def known_offset(self) -> int:
        """Physical offset up to which the slave says to have this log; -1 when it says more than this log ever had."""
        return self.reported_offset if self.reported_offset <= self._log.wrote_offset else -1

    @property
    def sent_offset(self) -> int:
        """Physical offset up to which bytes have left for the slave."""
        return self.next_offset - self.unsent_bytes

    @property
    def has_followed(self) -> bool:
        """Whether the slave has confirmed bytes that were sent here."""
        return self.has_asked and self.reported_offset > self.asked_offset

    @property
    def owes_report(self) -> bool:
        """Whether bytes have left for the slave that it has not confirmed."""
        return self.has_asked and self.reported_offset < self.sent_offset

    @property
    def lacks_start(self) -> bool:
        """Whether the slave asked for what this log no longer has."""
        return self.has_asked and self.next_offset < self._log.log_min_offset

    @property
    def has_more(self) -> bool:
        """Whether the log goes on behind what was sent."""
        return self.has_asked and self.next_offset < self._log.wrote_offset

    def receive(self, data: bytes) -> None:
        """Take what the slave sent.

        Raises:
            StreamBroken: It confirms what was never sent to it.
        """
        report = self._reports.feed(data)
        if report is None:
            return
        if self.has_asked and report > self.sent_offset:
            raise StreamBroken(f"it confirmed {report}, only {self.sent_offset} was sent to it")
        self.reported_offset = report
        if not self.has_asked:
            self.next_offset = self.asked_offset = report if report else self._log.log_min_offset

    def next_blocks(self) -> list[bytes | memoryview]:
        """Return heads and blocks to send now, slices of the log itself; empty when there is nothing new."""
        blocks: list[bytes | memoryview] = []
        if not self.has_asked:
            return blocks
        while len(blocks) < 2 * _BLOCKS_MAX:
            content = self._log.log_bytes(self.next_offset, self._batch_size_bytes)
            if content is None:
                break
            blocks += (BLOCK_HEAD.pack(self.next_offset, len(content)), content)
            self.next_offset += len(content)
        return blocks

    def heartbeat(self) -> bytes | None:
        """Return the sign of life; None before the slave has asked."""
        return BLOCK_HEAD.pack(self.next_offset, 0) if self.has_asked else None
