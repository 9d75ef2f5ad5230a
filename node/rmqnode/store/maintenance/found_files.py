"""The files of a commit log or consume queue folder as they are, for tools that only read: what fits, what does not.

A broker refuses a folder at its first misfit, or mends it. Here every misfit is named, and what fits is looked at.
Source: MappedFileQueue#load (RocketMQ 4.5.2).
"""

import os
from pathlib import Path
from typing import NamedTuple

from rmqnode.store.maintenance.problems import Problem
from rmqnode.store.mapped_file import FILE_NAME_DIGITS, MappedFile

_REFUSED = "the broker does not start"


class FoundFiles(NamedTuple):
    """What lies in one folder."""

    files: list[MappedFile]
    """The newest ones that continue each other; the last one may be shorter than it should be."""
    problems: list[Problem]
    is_complete: bool = True
    """Whether no file is missing among them, or of a size that nothing can be read by."""


def find_files(folder: Path, file_size: int) -> FoundFiles:
    """Look at a folder; one that is not there has no files and no problems."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return FoundFiles([], [])
    except OSError as error:
        return FoundFiles([], [Problem(folder, 0, f"cannot be read: {error.strerror}: {_REFUSED}")])
    files: list[MappedFile] = []
    problems: list[Problem] = []
    is_complete = True
    for name in names:
        path = folder / name
        if not _is_stream_file(path):
            problems.append(Problem(path, 0, f"does not belong here; move it away: {_REFUSED}"))
            continue
        size = path.stat().st_size
        base_offset = int(name)
        problem = _problem_of(path, size, file_size, is_last=name == names[-1])
        if problem is not None:
            problems.append(problem)
        if files and base_offset != files[-1].base_offset + file_size:
            what = f"does not continue {files[-1].path.name}: a file is missing: {_REFUSED}"
            problems.append(Problem(path, 0, what))
            files.clear()
            is_complete = False
        if size == file_size or (0 < size < file_size and name == names[-1]):
            files.append(MappedFile(path, base_offset, size))
        elif size:
            is_complete = False
    return FoundFiles(files, problems, is_complete)


def _problem_of(path: Path, size: int, file_size: int, *, is_last: bool) -> Problem | None:
    if int(path.name) % file_size:
        return Problem(path, 0, f"begins at no multiple of the file size, {file_size} bytes")
    if size == file_size:
        return None
    expected = f"has {size} bytes, expected were {file_size}"
    if is_last and size == 0:
        return Problem(path, 0, f"{expected}: the next start deletes it")
    if is_last and size < file_size:
        return Problem(path, size, f"{expected}: its end is gone, the next start fills it up with zeros")
    return Problem(path, min(size, file_size), f"{expected}: {_REFUSED}")


def _is_stream_file(path: Path) -> bool:
    name = path.name
    return len(name) == FILE_NAME_DIGITS and name.isascii() and name.isdecimal() and path.is_file()
