"""The checkout's `.cache/` folder: things built or downloaded once and shared by all test workers.

Responsible for the folder, for locks between processes and for rebuilding when the sources
changed. Not for what is built.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "interop"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block; other processes wait, a crash releases it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def digest_of(sources: Iterable[Path], *extra: str) -> str:
    """A digest of the contents of `sources` (files) and of the words in `extra`."""
    digest = hashlib.sha256("\0".join(extra).encode())
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def built_once(name: str, digest: str, build: Callable[[Path], None]) -> Path:
    """The folder `.cache/interop/<name>`, made by `build` unless it is already there with the same digest."""
    folder, stamp = CACHE / name, CACHE / name / ".digest"
    with locked(CACHE / f"{name}.lock"):
        if not stamp.is_file() or stamp.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            build(folder)
            stamp.write_text(digest)
    return folder
