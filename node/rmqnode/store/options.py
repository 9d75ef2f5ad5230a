"""Where a store lies and which sizes and limits it keeps. Values only; reading property files is `config`'s."""

from dataclasses import dataclass
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

DELAY_LEVELS_MS = tuple(
    1000 * seconds
    for seconds in (1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200)
)
"""Apache's default `messageDelayLevel`: delay of level 1, 2, …, in milliseconds."""


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Everything a `MessageStore` is told at its start.

    File sizes belong to the directory, not to the run: opening it with other sizes is refused.
    Source: MessageStoreConfig (RocketMQ 4.5.2); the defaults are Apache's.
    """

    root: Path
    """Folder of the store (`storePathRootDir`)."""
    commit_log_dir: Path
    """Folder of the commit log files (`storePathCommitLog`)."""
    store_host: bytes
    """Address that new records carry: 4 bytes IPv4, 4 bytes port, big-endian."""
    in_memory_bytes_max: int
    """Records further than this behind the log end count as read from disk (bytes)."""
    mapped_file_size_commit_log: int = GIB
    """Length of one commit log file, in bytes."""
    mapped_file_size_consume_queue: int = 6_000_000
    """Length of one consume queue file, in bytes; rounded up to whole units as Apache does."""
    message_size_bytes_max: int = 4 * MIB
    """Longest record, all fields counted (`maxMessageSize`)."""
    max_transfer_bytes_in_memory: int = 256 * KIB
    """Bytes that one read returns at most while its records are in memory."""
    max_transfer_count_in_memory: int = 32
    """Messages that one read returns at most while its records are in memory."""
    max_transfer_bytes_on_disk: int = 64 * KIB
    """Bytes that one read returns at most once its records are on disk."""
    max_transfer_count_on_disk: int = 8
    """Messages that one read returns at most once its records are on disk."""
    check_crc_on_recover: bool = True
    """Whether recovery compares each body with its CRC."""
    delay_levels_ms: tuple[int, ...] = DELAY_LEVELS_MS
    """Delay of level 1, 2, …; rebuilding the queues of delayed messages needs it."""
    message_index_enable: bool = True
    """Whether messages can be found by their keys (`messageIndexEnable`)."""
    index_slot_count: int = 5_000_000
    """Hash slots of one index file (`maxHashSlotNum`)."""
    index_entry_count_max: int = 20_000_000
    """Entries of one index file (`maxIndexNum`)."""
    query_count_max: int = 64
    """Messages that one query by key returns at most (`maxMsgsNumBatch`)."""
    file_reserved_time_hours: int = 72
    """Commit log files are deleted so long after they were last written (`fileReservedTime`)."""
    delete_when: tuple[int, ...] = (4,)
    """Hours of the day, local time, at which they are (`deleteWhen`)."""
    disk_max_used_space_ratio: int = 75
    """At any hour above this share of a disk in use, in percent (`diskMaxUsedSpaceRatio`)."""
    clean_file_forcibly_enable: bool = True
    """Whether files that are not old enough go too above the next share (`cleanFileForciblyEnable`)."""
    disk_space_clean_forcibly_ratio: int = 85
    """That share, in percent (`diskSpaceCleanForciblyRatio`)."""
    disk_space_warning_level_ratio: int = 90
    """Above this share of a disk in use messages are refused, in percent (`diskSpaceWarningLevelRatio`)."""
    mapped_files_max: int = 400
    """Consume queues and old log files that stay mapped at once; each mapping holds one descriptor."""

    @property
    def consume_queue_dir(self) -> Path:
        """Folder of the consume queues."""
        return self.root / "consumequeue"

    @property
    def index_dir(self) -> Path:
        """Folder of the index files."""
        return self.root / "index"

    def __post_init__(self) -> None:
        if len(self.store_host) != 8:
            raise ValueError(f"store_host must be 8 bytes, got {len(self.store_host)}")
        if self.mapped_file_size_commit_log <= self.message_size_bytes_max + 8:
            raise ValueError(
                f"a commit log file of {self.mapped_file_size_commit_log} bytes cannot hold "
                f"a message of {self.message_size_bytes_max} bytes and the end mark"
            )
