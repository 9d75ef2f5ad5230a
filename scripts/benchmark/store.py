"""What the store costs by itself: appends and pulls with few and many topics and much backlog, the index, opening.

Processor time of one process without sockets; the folder is a temporary one, on the disk of the machine.
"""

import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rmqnode.store import MessageStore, StoreOptions

Rows = dict[str, float]

TOPIC_COUNTS = (1, 100, 10_000)
MESSAGES = 100_000
MIB = 1024 * 1024
BACKLOGS = (1 * MIB, 1024 * MIB)
BODY_SIZES = (1024, 128)
ROUNDS = 5
HOST = bytes((127, 0, 0, 1)) + (10911).to_bytes(4, "big")


def measure_store() -> Rows:
    """All rows of this section."""
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))  # as a broker does it: a file needs one
    rows: Rows = {}
    with tempfile.TemporaryDirectory(prefix="rmqctl-bench-") as folder:
        for count in TOPIC_COUNTS:
            rows |= _with_topics(Path(folder) / f"topics-{count}", count)
        for size in BACKLOGS:
            rows |= _with_backlog(Path(folder) / f"backlog-{size}", size)
        for size in BODY_SIZES:
            rows |= _open_times(Path(folder) / f"open-{size}", size)
    return rows


def _with_topics(root: Path, count: int) -> Rows:
    store = _open(root)
    topics = [f"topic-{index}" for index in range(count)]
    _put(store, topics, count, 0)  # the first message of a topic makes a folder and a file
    append = _best(lambda: _put(store, topics, MESSAGES // ROUNDS, count)) / (MESSAGES // ROUNDS)
    pulls = [(topic, 0) for topic in topics[:2000]]
    pulled = sum(len(store.get(topic, queue_id, 0, 32).buffers) for topic, queue_id in pulls)
    pull = _best(lambda: [store.get(topic, queue_id, 0, 32) for topic, queue_id in pulls]) / pulled
    began, behind = time.process_time(), MESSAGES + count
    while store.index.is_behind:
        store.index.build(256)
    index = (time.process_time() - began) / behind
    store.close()
    shutil.rmtree(root)
    name = f"{count:,} topic{'s' if count > 1 else ''}"
    return {f"{name}: append (µs)": append * 1e6, f"{name}: pull (µs)": pull * 1e6, f"{name}: index (µs)": index * 1e6}


def _with_backlog(root: Path, size: int) -> Rows:
    store = _open(root)
    _fill(store, size, 1024)
    append = _best(lambda: _put(store, ["backlog"], 10_000, 0)) / 10_000
    units = store.max_offset("backlog", 0)
    places = [units * place // 1000 for place in range(900)]
    pulled = sum(len(store.get("backlog", 0, place, 32).buffers) for place in places)
    pull = _best(lambda: [store.get("backlog", 0, place, 32) for place in places]) / pulled
    store.close()
    shutil.rmtree(root)
    name = f"{size // MIB:,} MiB backlog"
    return {f"{name}: append (µs)": append * 1e6, f"{name}: pull (µs)": pull * 1e6}


def _open_times(root: Path, body_size: int) -> Rows:
    """Seconds to open 1 GiB: after kill -9, after a clean stop, and after a crash that left no checkpoint."""
    _fill_and_die(root, body_size)
    killed, _ = _opening(root)
    stopped, _ = _opening(root)
    (root / "abort").touch()
    (root / "checkpoint").unlink()
    (root / "coverage").unlink()
    unknown, unknown_cpu = _opening(root)
    shutil.rmtree(root)
    name = f"open 1 GiB of {body_size} B bodies"
    return {
        f"{name}, stopped (s)": stopped,
        f"{name}, killed (s)": killed,
        f"{name}, no checkpoint (s)": unknown,
        f"{name}, no checkpoint (s of CPU)": unknown_cpu,
    }


def _fill_and_die(root: Path, body_size: int) -> None:
    """Fill a store in a process of its own, with checkpoints as a broker writes them, and `kill -9` that."""
    child = os.fork()
    if child == 0:
        store = _open(root)
        for step in range(1, 17):
            _fill(store, 64 * MIB * step, body_size)
            if step < 16:
                store.flush_consume_queues()
                store.write_checkpoint()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def _opening(root: Path) -> tuple[float, float]:
    """Seconds that passed, and seconds of CPU: on a busy machine they differ by far."""
    began, cpu_began = time.perf_counter(), time.process_time()
    store = _open(root)
    seconds = time.perf_counter() - began, time.process_time() - cpu_began
    store.close()
    return seconds


def _open(root: Path) -> MessageStore:
    options = StoreOptions(
        root=root,
        commit_log_dir=root / "commitlog",
        store_host=HOST,
        in_memory_bytes_max=1 << 40,
        mapped_files_max=12_000,
    )
    store = MessageStore(options, lambda: time.time_ns() // 1_000_000)
    store.open()
    return store


def _put(store: MessageStore, topics: list[str], count: int, first: int) -> None:
    body = bytes(128)
    for index in range(first, first + count):
        properties = b"UNIQ_KEY\x017F0000010002265355FD%08X%04X\x02WAIT\x01true\x02" % (index // 30, index & 0xFFFF)
        store.put(topics[index % len(topics)], 0, 0, 0, 1, HOST, body, properties, 0)


def _fill(store: MessageStore, size: int, body_size: int) -> None:
    body = bytes(body_size)
    index = 0
    while store.wrote_offset < size - 2 * MIB:
        properties = b"UNIQ_KEY\x017F0000010002265355FD%08X%04X\x02WAIT\x01true\x02" % (index // 30, index & 0xFFFF)
        store.put("backlog", 0, 0, 0, 1, HOST, body, properties, 0)
        index += 1


def _best(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest of some rounds: the others were disturbed."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)
