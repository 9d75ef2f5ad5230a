"""Bringing files and folders to the disk without holding the interpreter lock. Nothing else."""

import os
from pathlib import Path


def sync_data(descriptor: int) -> None:
    """Bring the data of an open file to the disk. Blocks."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:  # macOS
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, without which a new file may be gone after a power failure. Blocks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
