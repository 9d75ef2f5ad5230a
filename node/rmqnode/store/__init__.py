"""The message store: commit log, consume queues, recovery, flush, checkpoint and configuration files.

Sync and without network; disk format is Apache RocketMQ 4.5.2's, byte for byte.
"""

from rmqnode.store.config_file import ConfigFile, ConfigFileCorrupt
from rmqnode.store.copying import Copy, StoredMessage
from rmqnode.store.errors import (
    ReplicaMismatch,
    StoreError,
    StoreFileMismatch,
    StoreIncomplete,
    StoreLocked,
    UnsupportedRecord,
)
from rmqnode.store.options import DELAY_LEVELS_MS, StoreOptions
from rmqnode.store.queue_table import QueueKey
from rmqnode.store.recovery import RecoveryReport
from rmqnode.store.results import BatchPart, GetResult, GetStatus, PutResult, PutStatus, QueryResult
from rmqnode.store.store import MessageStore
from rmqnode.store.tags_code import tags_code_of

__all__ = [
    "DELAY_LEVELS_MS",
    "BatchPart",
    "ConfigFile",
    "ConfigFileCorrupt",
    "Copy",
    "GetResult",
    "GetStatus",
    "MessageStore",
    "PutResult",
    "PutStatus",
    "QueryResult",
    "QueueKey",
    "RecoveryReport",
    "ReplicaMismatch",
    "StoreError",
    "StoreFileMismatch",
    "StoreIncomplete",
    "StoreLocked",
    "StoreOptions",
    "StoredMessage",
    "UnsupportedRecord",
    "tags_code_of",
]
