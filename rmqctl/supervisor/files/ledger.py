"""The ledger of a cluster: every start, exit and change of a node, who asked for it, as JSON lines.

`rmqctl events` reads it, also when nothing runs. Keys and events are documented in docs/cli.md.
"""

import io
import os
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec

from rmqctl.supervisor.exit_status import describe_exit, signal_name
from rmqctl.supervisor.files.appending import Unwritten, append_whole
from rmqctl.supervisor.files.rotating_log import rotate_if_full
from rmqctl.supervisor.messages import Event, NodeChanged, Notice
from rmqnode.files import open_below

_SIZE_MAX = 8 << 20
_FILES = 2


class NodeStarted(msgspec.Struct, frozen=True, kw_only=True, tag="started", tag_field="event"):
    """A process began."""

    node: str
    pid: int
    asked_by: str | None
    config: str | None
    """CRC-32 of its configuration file, in hexadecimal: another one says that the file has changed."""
    adopted: bool = False
    """It was running already, started by a supervisor that is gone."""


class NodeExited(msgspec.Struct, frozen=True, kw_only=True, tag="exited", tag_field="event"):
    """A process ended."""

    node: str
    pid: int
    asked_by: str | None
    exit: str
    """In words."""
    exit_code: int | None
    signal: str | None
    cause: str | None
    """Why it was made to end, where the supervisor or a person did it."""
    uptime_seconds: float | None


LedgerEntry = NodeStarted | NodeExited | Event


class Ledger:
    """Appends entries to a file; those that cannot be written are counted, and the next one that can says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unwritten = Unwritten()

    def write(self, entry: LedgerEntry) -> None:
        """Append an entry with the time."""
        lost = self._unwritten.sentence("event")
        entries = [entry] if lost is None else [Notice(lost), entry]
        time_text = timestamp(time.time())
        lines = [msgspec.json.encode({"time": time_text, **_entry(each)}) + b"\n" for each in entries]
        try:
            rotate_if_full(self._path, _SIZE_MAX, _FILES)
            descriptor = open_below(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                append_whole(descriptor, b"".join(lines))
            finally:
                os.close(descriptor)
        except OSError:
            self._unwritten.add(1)
        else:
            self._unwritten.forget()


def _entry(entry: LedgerEntry) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(entry)
    if isinstance(entry, NodeChanged):
        document["event"] = "state"
    return document


def timestamp(seconds: float) -> str:
    """Local time with its offset: `2026-11-23T10:00:00.123+08:00`."""
    whole = time.localtime(seconds)
    offset = time.strftime("%z", whole)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', whole)}.{int(seconds * 1000) % 1000:03}{offset[:3]}:{offset[3:]}"


def exited(
    node: str,
    pid: int,
    wait_status: int | None,
    *,
    engine: str,
    asked_by: str | None,
    cause: str | None,
    uptime_seconds: float | None,
) -> NodeExited:
    """The entry for a process that ended with a wait status, None when nobody knows it."""
    code = None if wait_status is None else os.waitstatus_to_exitcode(wait_status)
    return NodeExited(
        node=node,
        pid=pid,
        asked_by=asked_by,
        exit="exit code unknown" if wait_status is None else describe_exit(wait_status, engine),
        exit_code=None if code is None or code < 0 else code,
        signal=signal_name(-code) if code is not None and code < 0 else None,
        cause=cause,
        uptime_seconds=None if uptime_seconds is None else round(uptime_seconds, 3),
    )


def configuration_hash(path: str) -> str | None:
    """CRC-32 of a configuration file, in hexadecimal; None when it cannot be read."""
    # Not a digest of hashlib: that loads OpenSSL, 3 MiB which nothing else in this process needs.
    try:
        with io.FileIO(path) as file:
            return f"{zlib.crc32(file.readall()):08x}"
    except OSError:
        return None
