"""Which sizes a store directory was made with, read from its files: for tools that have no broker.conf at hand.

Works on directories of either engine and changes nothing.
"""

import os
from pathlib import Path

from rmqnode.store.errors import StoreError
from rmqnode.store.index.file import ENTRY_SIZE, HEAD, HEAD_SIZE, SLOT_SIZE, file_size
from rmqnode.store.index.key_hash import KeyHasher
from rmqnode.store.options import MIB, StoreOptions
from rmqnode.store.record import BLANK_SIZE_MIN, RECORD_HEAD, RECORD_HEAD_SIZE

_SLOTS_DEFAULT, _ENTRIES_DEFAULT = 5_000_000, 20_000_000
_QUEUE_FILE_SIZE_DEFAULT = 6_000_000


class NotAStore(StoreError):
    """A directory holds no commit log."""

    def __init__(self, folder: Path, problem: str) -> None:
        self.folder = folder
        super().__init__(f"{folder} is no store: {problem}")


def discover_options(root: Path, commit_log_dir: Path | None = None) -> StoreOptions:
    """Options that open the store as it was made.

    Args:
        root: Folder of the store.
        commit_log_dir: Folder of its commit log, if it lies elsewhere.

    Raises:
        NotAStore: There is no commit log file.
    """
    commit_log_dir = commit_log_dir or root / "commitlog"
    log_file_size = _first_size(commit_log_dir)
    if log_file_size is None:
        raise NotAStore(root, f"there is no commit log file in {commit_log_dir}")
    slots, entries = _index_sizes(root / "index", commit_log_dir, log_file_size)
    return StoreOptions(
        root=root,
        commit_log_dir=commit_log_dir,
        store_host=bytes(8),
        in_memory_bytes_max=1 << 62,
        mapped_file_size_commit_log=log_file_size,
        mapped_file_size_consume_queue=_queue_file_size(root / "consumequeue"),
        message_size_bytes_max=min(4 * MIB, max(0, log_file_size - BLANK_SIZE_MIN - 1)),
        index_slot_count=slots,
        index_entry_count_max=entries,
    )


def _first_size(folder: Path) -> int | None:
    try:
        with os.scandir(folder) as found:
            sizes = (entry.stat().st_size for entry in found if entry.is_file() and entry.name.isdecimal())
            return next((size for size in sizes if size), None)
    except FileNotFoundError:
        return None


def _queue_file_size(folder: Path) -> int:
    for queue in sorted(folder.glob("*/*")):
        size = _first_size(queue)
        if size is not None:
            return size
    return _QUEUE_FILE_SIZE_DEFAULT


def _index_sizes(folder: Path, commit_log_dir: Path, log_file_size: int) -> tuple[int, int]:
    """Slots and entries: the file's size gives their sum, the place of a known entry the number of slots."""
    paths = sorted(path for path in folder.glob("*") if path.name.isdecimal()) if folder.is_dir() else []
    for path in paths:
        size = path.stat().st_size
        if size == file_size(_SLOTS_DEFAULT, _ENTRIES_DEFAULT):
            break
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
            if len(head) < HEAD_SIZE:
                continue
            begin_offset = HEAD.unpack(head)[2]
            entry = _first_entry(commit_log_dir, log_file_size, begin_offset)
            content = file.read() if entry is not None else b""
        found = content.find(entry) if entry is not None else -1
        if found > 0:
            slots = (found - ENTRY_SIZE) // SLOT_SIZE
            return slots, (size - HEAD_SIZE - SLOT_SIZE * slots) // ENTRY_SIZE
    return _SLOTS_DEFAULT, _ENTRIES_DEFAULT


def _first_entry(commit_log_dir: Path, log_file_size: int, physical_offset: int) -> bytes | None:
    """How the index entry of the record at an offset begins."""
    base_offset = physical_offset - physical_offset % log_file_size
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
    except FileNotFoundError:
        return None
    hashes = KeyHasher().hashes(tail) if tail else []
    return hashes[0].to_bytes(4, "big") + physical_offset.to_bytes(8, "big") if hashes else None
