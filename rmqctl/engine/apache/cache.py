"""Where the jars of Apache RocketMQ lie that rmqctl fetched.

    <cache>/apache/<version>/manifest.json    written last: a version without it is not installed
    <cache>/apache/<version>/lib/*.jar
    <cache>/apache/<version>.lock             held while the version is being installed or removed
    <cache>/apache/poms/                      what the resolver read to find out which jars belong to a version

`<cache>` is RMQCTL_CACHE, else the platform's cache folder for rmqctl.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rmqctl.documents import decode_json
from rmqctl.home import write_atomically
from rmqctl.profile.distribution import Distribution


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched for a version."""

    version: str
    sizes: dict[str, int]
    """Bytes of each jar."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all jars."""
        return sum(self.sizes.values())


class EngineCache:
    """The fetched versions below one folder. Creating the object creates nothing on disk."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "apache"
        self.poms = self.folder / "poms"

    @classmethod
    def of_user(cls, environment: Mapping[str, str] = os.environ) -> "EngineCache":
        """The cache of this user."""
        chosen = environment.get("RMQCTL_CACHE")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        import platformdirs

        return cls(Path(platformdirs.user_cache_dir("rmqctl", appauthor=False)))

    def version_folder(self, version: str) -> Path:
        """Folder of a version, installed or not."""
        return self.folder / version

    def manifest(self, version: str) -> Manifest | None:
        """What is installed of a version; None if it is not, or not whole any more."""
        folder = self.version_folder(version)
        try:
            manifest = decode_json((folder / "manifest.json").read_bytes(), type=Manifest)
            whole = all((folder / "lib" / name).stat().st_size == size for name, size in manifest.sizes.items())
        except (OSError, msgspec.DecodeError):
            return None
        return manifest if whole else None

    def find(self, version: str) -> Distribution | None:
        """The jars of an installed version."""
        if self.manifest(version) is None:
            return None
        return Distribution(version, self.version_folder(version) / "lib")

    def installed(self) -> list[Manifest]:
        """All installed versions, oldest first."""
        if not self.folder.is_dir():
            return []
        manifests = [self.manifest(entry.name) for entry in self.folder.iterdir() if entry.is_dir()]
        found = [manifest for manifest in manifests if manifest is not None]
        return sorted(found, key=lambda manifest: version_key(manifest.version))

    def save(self, manifest: Manifest) -> None:
        """Declare a version installed; its jars are there."""
        path = self.version_folder(manifest.version) / "manifest.json"
        write_atomically(path, msgspec.json.encode(manifest))

    def remove(self, version: str) -> None:
        """Delete a version, whole or not."""
        with self.lock(version):
            shutil.rmtree(self.version_folder(version), ignore_errors=True)

    @contextmanager
    def lock(self, version: str) -> Iterator[None]:
        """Hold off other commands that would install or remove the version; they wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{version}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def version_key(version: str) -> list[tuple[int, str]]:
    """Sorts versions: numbers as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.-]", version)]
