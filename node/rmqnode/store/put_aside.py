"""Keeping what a start takes out of a store, in the folder `damaged/`: bytes cut from the log, queues without a log.

    commitlog-<physical offset>-<time>      bytes from there on as they were in the log; a sparse file, without zeros
    consumequeue-<time>/                    the consume queues of a store that was started with its log gone

Nothing here is read by a broker again. The newest parts of logs are kept, up to a number and a size.
"""

import errno
import logging
import os
import shutil
from pathlib import Path
from typing import Final

from rmqnode.files import open_below
from rmqnode.store.commit_log import CommitLog
from rmqnode.store.mapped_file import MappedFile

logger = logging.getLogger(__name__)

PARTS_MAX: Final = 64
"""Parts of the log that are kept; a kill may leave a torn record each time."""

PART_BYTES_MAX: Final = 4 << 30
"""Bytes on the disk that they may have together."""

_PREFIX: Final = "commitlog-"


class PutAside:
    """Takes the end of one log into the folder.

    Args:
        folder: `damaged/` of the store; made when something is put there.
        now_ms: Part of the names.
        torn_size_max: Bytes of one record at most.
    """

    def __init__(self, folder: Path, now_ms: int, torn_size_max: int) -> None:
        self._folder = folder
        self._now_ms = now_ms
        self._torn_size_max = torn_size_max

    def take_tail(self, log: CommitLog, end: int) -> int:
        """Keep what is not zero behind the end of a log, which is cut there afterwards; return how many bytes.

        Bytes up to the size of one record are a torn one at most: they are given up when the disk has no room for them.

        Raises:
            OSError: There is no room for more than that; nothing was changed but the place of whole files.
        """
        kept = 0
        for file in log.take_files_behind(end):
            kept += self._take_file(file)
        pieces = [(begin, len(piece.rstrip(b"\0"))) for begin, piece in log.pieces(end)]
        tail_end = max((begin + size for begin, size in pieces if size), default=end)
        if tail_end > end:
            try:
                kept += self._copy(log, end, tail_end)
            except OSError as error:
                if tail_end - end > self._torn_size_max:
                    reason = (
                        f"{tail_end - end} bytes behind the end of the commit log can't be put aside: {error.strerror}"
                    )
                    raise OSError(error.errno, reason, str(self._folder)) from error
                logger.error("torn record not put aside begin=%d end=%d reason=%s", end, tail_end, error)
                kept += tail_end - end
        if kept:
            self._forget_oldest()
        return kept

    def _take_file(self, file: MappedFile) -> int:
        """Move a whole file, or delete it if there is nothing in it; return the bytes of its content."""
        pieces = ((begin, len(piece.rstrip(b"\0"))) for begin, piece in file.content(0, file.size_bytes))
        size = max((begin + size for begin, size in pieces if size), default=0)
        if size:
            self._folder.mkdir(parents=True, exist_ok=True)
            place = self._path(file.base_offset)
            try:
                os.rename(file.path, place)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with open(file.path, "rb", opener=open_below) as source, open(place, "wb", opener=open_below) as target:
                    shutil.copyfileobj(source, target)
        file.delete()
        return size

    def _copy(self, log: CommitLog, end: int, tail_end: int) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._path(end)
        try:
            with open(place, "wb", opener=open_below) as target:
                for begin, piece in log.pieces(end):
                    if content := piece.rstrip(b"\0"):
                        target.seek(begin - end)
                        target.write(content)
                target.flush()
                os.fsync(target.fileno())
        except OSError:
            place.unlink(missing_ok=True)
            raise
        return tail_end - end

    def _path(self, physical_offset: int) -> Path:
        return self._folder / f"{_PREFIX}{physical_offset:020d}-{self._now_ms}"

    def _forget_oldest(self) -> None:
        parts = sorted(self._folder.glob(_PREFIX + "*"), key=lambda path: path.stat().st_mtime_ns)
        sizes = [path.stat().st_blocks * 512 for path in parts]
        while len(parts) > 1 and (len(parts) > PARTS_MAX or sum(sizes) > PART_BYTES_MAX):
            logger.warning("old part of the log no longer kept path=%s", parts[0])
            parts.pop(0).unlink()
            sizes.pop(0)


def put_queues_aside(consume_queue_dir: Path, folder: Path, now_ms: int) -> Path:
    """Move the consume queues into the folder; return where they are now.

    Raises:
        OSError: They are where they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"consumequeue-{now_ms}"
    os.rename(consume_queue_dir, place)
    return place
