"""A folder with small store files, and a clock that ticks when told."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmqnode.protocol.properties import encode_properties
from rmqnode.store import BatchPart, GetStatus, MessageStore, PutResult, StoreOptions

HOST = bytes((127, 0, 0, 1)) + (10911).to_bytes(4, "big")


class StoreKit:
    """Opens stores with 64 KiB log files and queue files of 50 units below one temporary folder."""

    log_file_size = 64 * 1024
    queue_file_size = 50 * 20

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"
        self.now = 1_700_000_000_000
        self.opened: list[MessageStore] = []

    def options(self, root: Path | None = None, **changes: object) -> StoreOptions:
        root = root or self.root
        values: dict[str, object] = {
            "root": root,
            "commit_log_dir": root / "commitlog",
            "store_host": HOST,
            "in_memory_bytes_max": 1 << 40,
            "mapped_file_size_commit_log": self.log_file_size,
            "mapped_file_size_consume_queue": self.queue_file_size,
            "message_size_bytes_max": 32 * 1024,
            "index_slot_count": 50,
            "index_entry_count_max": 100,
        }
        return StoreOptions(**(values | changes))  # type: ignore[arg-type]

    def make(self, root: Path | None = None, **changes: object) -> MessageStore:
        store = MessageStore(self.options(root, **changes), lambda: self.now)
        self.opened.append(store)
        return store

    def open(self, root: Path | None = None, **changes: object) -> MessageStore:
        store = self.make(root, **changes)
        store.open()
        return store

    def put(
        self, store: MessageStore, topic: str, queue_id: int, body: bytes, tags_code: int = 0, **more: object
    ) -> PutResult:
        properties = more.pop("properties", b"")
        sys_flag = more.pop("sys_flag", 0)
        return store.put(topic, queue_id, 0, sys_flag, 1, HOST, body, properties, tags_code, **more)  # type: ignore[arg-type]

    def put_keyed(self, store: MessageStore, topic: str, properties: dict[str, str], **more: object) -> PutResult:
        return self.put(store, topic, 0, b"x", properties=encode_properties(properties).encode(), **more)

    def build_index(self, store: MessageStore) -> None:
        while store.index.is_behind:
            store.index.build(7)

    def index_files(self, root: Path | None = None) -> dict[str, bytes]:
        folder = (root or self.root) / "index"
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}

    def put_batch(self, store: MessageStore, topic: str, queue_id: int, bodies: list[bytes]) -> PutResult:
        return store.put_batch(topic, queue_id, 0, 1, HOST, [BatchPart(0, body, b"", 0) for body in bodies])

    def bodies(self, store: MessageStore, topic: str, queue_id: int, queue_offset: int = 0) -> list[bytes]:
        """All bodies of a queue, read as a consumer does."""
        found: list[bytes] = []
        at_once = (GetStatus.FOUND, GetStatus.NO_MATCHED_MESSAGE, GetStatus.MESSAGE_WAS_REMOVING)
        while (result := store.get(topic, queue_id, queue_offset, 32)).status in at_once:
            found += [body_of(record) for record in result.buffers]
            queue_offset = result.next_queue_offset
        return found

    def crashed_copy(self, name: str) -> Path:
        """The folder as a kill -9 at this moment would leave it."""
        target = self.folder / name
        subprocess.run(["cp", "-a", "--sparse=always", self.root, target], check=True)
        return target

    def log_file(self, root: Path, base_offset: int = 0) -> Path:
        return root / "commitlog" / f"{base_offset:020d}"


def body_of(record: memoryview) -> bytes:
    size = int.from_bytes(record[84:88], "big")
    return bytes(record[88 : 88 + size])


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[StoreKit]:
    kit = StoreKit(tmp_path)
    yield kit
    for store in kit.opened:
        store.close()


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Fails a test that leaves descriptors open."""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    yield
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after <= before
