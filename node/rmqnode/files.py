"""Opening files in a folder that belongs to a cluster: its last name is never a link, and nobody else may read it.

Who may write in such a folder could plant a link where a node is about to write: the node would write, with its
rights, somewhere else. Folders on the way may be links: a store on another disk is an ordinary thing.
"""

import errno
import os
from pathlib import Path
from typing import Final

PRIVATE_UMASK: Final = 0o077
"""Bits that what a node makes does not get, whatever the umask it was started with: messages are in these files."""

_OTHERS: Final = 0o007
_IS_LINK: Final = frozenset({errno.ELOOP, errno.EMLINK})
"""What systems say to O_NOFOLLOW at a link; FreeBSD has its own."""

_LINK_PROBLEM: Final = "it is a link, which is not followed here; put the file in its place"


def open_below(path: str | os.PathLike[str], flags: int, mode: int = 0o666) -> int:
    """Open a file without following a link in its last name; also an `opener` for `open`.

    Args:
        path: The file.
        flags: As of `os.open`; the descriptor is never inherited.
        mode: Of a file that is made, before the umask.

    Raises:
        OSError: As `os.open`; a link is named as one.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in _IS_LINK and os.path.islink(path):
            raise OSError(error.errno, _LINK_PROBLEM, os.fspath(path)) from None
        raise


def write_anew(path: Path, content: bytes | memoryview, *, durable: bool = True) -> None:
    """Write a file that is to be renamed; what had its name, a link too, is gone before. Blocks.

    Args:
        path: The file.
        content: All of it.
        durable: Flush it to the disk.
    """
    path.unlink(missing_ok=True)
    descriptor = open_below(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def keep_private() -> None:
    """Let nothing that this process makes be readable for everybody; keep what somebody chose for the group.

    A umask that leaves others something is a shell's default, 022 most often. One that does not was chosen: by a
    supervisor or a unit whose cluster has `home_mode = "0750"`.
    """
    inherited = os.umask(PRIVATE_UMASK)
    if inherited & _OTHERS == _OTHERS:
        os.umask(inherited)
