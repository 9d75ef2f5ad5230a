"""Two small files that say up to where log and queues are safely on disk.

`checkpoint` is Apache's: 4096 bytes with the store timestamps of the last flushed record (0), consume queue unit (8)
and full index file (16), each i64; everything behind is kept as found.

`coverage` is our own, Apache's broker ignores it. It names the physical offset instead of a time, so recovery depends
on no clock and begins exactly where safety ends; it counts the units below that offset, so a lost queue is noticed; and
it says how much of the index is on disk, so a half-written one can be brought back to that. It is believed only while
`checkpoint` and `lock` have the modification times that we left: another engine that was started since makes it void,
for Java's broker writes `lock` at its start and `checkpoint` only a minute later or at its stop.

Our engine zeroes what it cuts, Apache's does not. So as long as `coverage` is believed, every whole record in the log
is one that was stored and never given up.

Source: StoreCheckpoint (RocketMQ 4.5.2).
"""

import os
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from rmqnode.files import open_below
from rmqnode.store.disk import naming
from rmqnode.store.index.files import IndexState
from rmqnode.store.sync import sync_data

CHECKPOINT_SIZE: Final = 4096
CHECKPOINT_MARGIN_MS: Final = 3000
"""Apache's safety distance: records this much older than the checkpoint count as flushed."""

_TIMESTAMPS: Final = Struct(">qqq")
_COVERAGE: Final = Struct(">8sqqqqqqi")
_COVERAGE_MARK: Final = b"rmqcov_3"
_CRC: Final = Struct(">I")


class Coverage(NamedTuple):
    """Log and queues are on disk below `physical_offset`, where the queues have `unit_count` units together."""

    physical_offset: int
    unit_count: int
    index_state: IndexState
    """How much of the index is on disk."""


class StoreCheckpoint:
    """Both files of one store root."""

    def __init__(self, root: Path) -> None:
        self._path = root / "checkpoint"
        self._coverage_path = root / "coverage"
        self._lock_path = root / "lock"
        self.physic_timestamp = 0
        self.logics_timestamp = 0
        self.index_timestamp = 0
        self.coverage: Coverage | None = None

    @classmethod
    def of(cls, root: Path) -> "StoreCheckpoint":
        """What lies in a store root now."""
        found = cls(root)
        found.load()
        return found

    @property
    def safe_timestamp(self) -> int:
        """Store timestamp up to which records count as flushed, in milliseconds; 0 when unknown."""
        return max(min(self.physic_timestamp, self.logics_timestamp) - CHECKPOINT_MARGIN_MS, 0)

    def load(self) -> None:
        """Read what is there; missing or damaged files mean that nothing is known."""
        content = _read(self._path)
        if len(content) >= _TIMESTAMPS.size:
            self.physic_timestamp, self.logics_timestamp, self.index_timestamp = _TIMESTAMPS.unpack_from(content)
        self.coverage = self._load_coverage()

    def _load_coverage(self) -> Coverage | None:
        content = _read(self._coverage_path)
        size = _COVERAGE.size
        if len(content) != size + _CRC.size or _CRC.pack(crc32(content[:size])) != content[size:]:
            return None
        mark, checkpoint_mtime, lock_mtime, physical_offset, unit_count, *index = _COVERAGE.unpack_from(content)
        if mark != _COVERAGE_MARK or checkpoint_mtime != _modified_ns(self._path):
            return None
        if lock_mtime != _modified_ns(self._lock_path):
            return None
        return Coverage(physical_offset, unit_count, IndexState(*index))

    def forget_coverage(self) -> None:
        """Let nothing be known of how far log and queues are on disk."""
        self._coverage_path.unlink(missing_ok=True)
        self.coverage = None

    def save(self, timestamp: int, index_timestamp: int, coverage: Coverage) -> None:
        """Write both files through to the disk. Blocks."""
        self.physic_timestamp = self.logics_timestamp = timestamp
        self.index_timestamp = index_timestamp
        self.coverage = coverage
        timestamps = _TIMESTAMPS.pack(timestamp, timestamp, self.index_timestamp)
        _write(self._path, timestamps, CHECKPOINT_SIZE)
        modified = (_modified_ns(self._path), _modified_ns(self._lock_path))
        content = _COVERAGE.pack(
            _COVERAGE_MARK, *modified, coverage.physical_offset, coverage.unit_count, *coverage.index_state
        )
        content += _CRC.pack(crc32(content))
        _write(self._coverage_path, content, len(content))


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return -1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write(path: Path, content: bytes, file_size: int) -> None:
    descriptor = open_below(path, os.O_RDWR | os.O_CREAT)
    try:
        with naming(path):
            if os.fstat(descriptor).st_size != file_size:
                os.ftruncate(descriptor, file_size)
            os.pwrite(descriptor, content, 0)
            sync_data(descriptor)
    finally:
        os.close(descriptor)
