"""Which sizes a store directory was made with, read from its files: for tools that have no broker.conf at hand.

Works on directories of either engine and changes nothing.
"""

import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from rmqnode.store.errors import StoreError
from rmqnode.store.index.file import ENTRY_SIZE, HEAD, HEAD_SIZE, SLOT_SIZE, file_size
from rmqnode.store.index.key_hash import KeyHasher
from rmqnode.store.mapped_file import FILE_NAME_DIGITS
from rmqnode.store.options import GIB, MIB, StoreOptions
from rmqnode.store.record import BLANK_SIZE_MIN, RECORD_HEAD, RECORD_HEAD_SIZE

_SLOTS_DEFAULT, _ENTRIES_DEFAULT = 5_000_000, 20_000_000
_QUEUE_FILE_SIZE_DEFAULT = 6_000_000
_LOG_FILE_SIZE_MIN: Final = 128
"""A file that is not longer cannot hold a record and its end mark: it was cut short."""


class ConfiguredSizes(NamedTuple):
    """Bytes of one file, as a configuration says; None where nothing is known."""

    commit_log: int | None = None
    consume_queue: int | None = None


UNKNOWN: Final = ConfiguredSizes()


class NotAStore(StoreError):
    """A directory holds no commit log."""

    def __init__(self, folder: Path, problem: str) -> None:
        self.folder = folder
        super().__init__(f"{folder} is no store: {problem}")


def discover_options(
    root: Path, commit_log_dir: Path | None = None, *, needs_log: bool = True, configured: ConfiguredSizes = UNKNOWN
) -> StoreOptions:
    """Options that open the store as it was made.

    Args:
        root: Folder of the store.
        commit_log_dir: Folder of its commit log, if it lies elsewhere.
        needs_log: Otherwise consume queues are enough, or tables.
        configured: Sizes that the broker was told; believed where the files do not contradict each other about them.

    Raises:
        NotAStore: There is no commit log file, and nothing else if that is not needed.
        OSError: A folder cannot be read.
    """
    commit_log_dir = commit_log_dir or root / "commitlog"
    log_file_size = _log_file_size(commit_log_dir, configured.commit_log)
    if log_file_size is None:
        if needs_log or not ((root / "consumequeue").is_dir() or (root / "config").is_dir()):
            raise NotAStore(root, f"there is no commit log file in {commit_log_dir}")
        log_file_size = configured.commit_log or GIB
    slots, entries = _index_sizes(root / "index", commit_log_dir, log_file_size)
    return StoreOptions(
        root=root,
        commit_log_dir=commit_log_dir,
        store_host=bytes(8),
        in_memory_bytes_max=1 << 62,
        mapped_file_size_commit_log=log_file_size,
        mapped_file_size_consume_queue=_queue_file_size(root / "consumequeue", configured.consume_queue),
        message_size_bytes_max=min(4 * MIB, max(0, log_file_size - BLANK_SIZE_MIN - 1)),
        index_slot_count=slots,
        index_entry_count_max=entries,
    )


def _log_file_size(folder: Path, configured: int | None) -> int | None:
    """Size of each file: what most files have, or lies between their names; None without any content."""
    sizes = _file_sizes(folder)
    if not any(sizes.values()):
        return None
    offsets = sorted(sizes)
    if len(offsets) > 1:
        votes = Counter(second - first for first, second in pairwise(offsets))
        votes.update(size for size in sizes.values() if size)
        return min(votes, key=lambda size: (-votes[size], size))
    (size,) = sizes.values()
    if configured is not None and size < configured:
        return configured  # it was cut short
    return size if size > _LOG_FILE_SIZE_MIN else configured or GIB


def _queue_file_size(folder: Path, configured: int | None) -> int:
    counts: Counter[int] = Counter()
    for topic in _folders(folder):
        for queue in _folders(topic):
            counts.update(size for size in _file_sizes(queue).values() if size)
    if not counts:
        return configured or _QUEUE_FILE_SIZE_DEFAULT
    size = max(counts, key=lambda size: (counts[size], size))
    if configured is not None and len(counts) == counts[size] == 1 and size < configured:
        return configured  # there is one file, and it was cut short
    return size


def _file_sizes(folder: Path) -> dict[int, int]:
    """Size of each file of a stream, by the offset of its first byte."""
    try:
        with os.scandir(folder) as found:
            return {
                int(entry.name): entry.stat().st_size
                for entry in found
                if len(entry.name) == FILE_NAME_DIGITS and entry.name.isascii() and entry.name.isdecimal()
                and entry.is_file()
            }  # fmt: skip
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _index_sizes(folder: Path, commit_log_dir: Path, log_file_size: int) -> tuple[int, int]:
    """Slots and entries: the file's size gives their sum, the place of a known entry the number of slots."""
    paths = sorted(path for path in folder.glob("*") if path.name.isdecimal() and path.is_file())
    for path in paths:
        size = path.stat().st_size
        if size == file_size(_SLOTS_DEFAULT, _ENTRIES_DEFAULT):
            break
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
            if len(head) < HEAD_SIZE:
                continue  # cut short
            begin_offset = HEAD.unpack(head)[2]
            entry = _first_entry(commit_log_dir, log_file_size, begin_offset)
            content = file.read() if entry is not None else b""
        found = content.find(entry) if entry is not None else -1
        if found > 0:
            slots = (found - ENTRY_SIZE) // SLOT_SIZE
            entries = (size - HEAD_SIZE - SLOT_SIZE * slots) // ENTRY_SIZE
            if slots > 0 and entries > 0:
                return slots, entries
    return _SLOTS_DEFAULT, _ENTRIES_DEFAULT


def _first_entry(commit_log_dir: Path, log_file_size: int, physical_offset: int) -> bytes | None:
    """How the index entry of the record at an offset begins."""
    base_offset = physical_offset - physical_offset % log_file_size
    if base_offset < 0:
        return None
    try:
        with (commit_log_dir / f"{base_offset:020d}").open("rb") as file:
            file.seek(physical_offset - base_offset)
            head = file.read(RECORD_HEAD_SIZE)
            if len(head) < RECORD_HEAD_SIZE:
                return None
            size, *_, body_size = RECORD_HEAD.unpack(head)
            if not 0 <= body_size < size <= log_file_size:
                return None
            tail = file.read(size - RECORD_HEAD_SIZE)[body_size:]
    except OSError:
        return None
    hashes = KeyHasher().hashes(tail) if tail else []
    return hashes[0].to_bytes(4, "big") + physical_offset.to_bytes(8, "big") if hashes else None
