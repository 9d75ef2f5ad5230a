"""How full the disk of a folder is, in numbers and in words.

Source: UtilAll#getDiskPartitionSpaceUsedPercent (RocketMQ 4.5.2).
"""

import os
from pathlib import Path

_MIB = 1024 * 1024


def used_ratio(folder: Path) -> float:
    """Share of the folder's disk that is in use, 0 to 1; -1 when there is no such folder or it cannot be asked."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return -1.0
    return (disk.f_blocks - disk.f_bfree) / disk.f_blocks if disk.f_blocks else -1.0


def describe_full(folder: Path) -> str:
    """One sentence: which disk is full."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return f"The disk of {folder} cannot be asked: {error.strerror}."
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    return f"The disk of {folder} is full: {free // _MIB} MiB of {total // _MIB} MiB are free."
