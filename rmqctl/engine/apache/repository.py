"""Files from a Maven repository: each lands whole and with the right checksum, or not at all."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rmqctl.engine.apache.maven_settings import RemoteRepository

if TYPE_CHECKING:
    import requests

_TIMEOUT_SECONDS = (10.0, 30.0)
"""To connect; between two packets of an answer."""
_CHUNK_BYTES = 1 << 16
_SHA1 = re.compile(r"\b[0-9a-fA-F]{40}\b")

Received = Callable[[int], object]
"""Hears how many more bytes of a file have arrived."""


class FileNotPublished(Exception):
    """The repository does not have the file."""


class FetchFailed(Exception):
    """The repository could not be asked, or what it sent cannot be used; the text says which."""


class Repository:
    """A remote Maven repository."""

    def __init__(self, remote: RemoteRepository) -> None:
        import requests

        self.remote = remote
        self._session = requests.Session()
        if remote.username is not None:
            self._session.auth = (remote.username, remote.password or "")
        if remote.proxy is not None:
            self._session.proxies = {"http": remote.proxy, "https": remote.proxy}

    def read(self, path: str) -> bytes:
        """A small file, not checked; raises FileNotPublished or FetchFailed."""
        with self._get(path) as response:
            return response.content

    def fetch(self, path: str, target: Path, received: Received = lambda _: None) -> int:
        """Bring a file to `target`; returns its size in bytes.

        Args:
            path: Below the root of the repository.
            target: Replaced in one step after the checksum was found right.
            received: Told of progress.

        Raises:
            FileNotPublished: No such file.
            FetchFailed: Network, disk, or a checksum that does not fit.
        """
        expected = self._checksum(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            size, actual = self._receive(path, partial, received)
            if actual != expected:
                raise FetchFailed(f"{path}: its SHA-1 is {actual}, but {self.remote.id} says {expected}")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return size

    def _checksum(self, path: str) -> str:
        try:
            text = self.read(f"{path}.sha1").decode(errors="replace")
        except FileNotPublished:
            # Tell a missing file from a missing checksum.
            self.read(path)
            raise FetchFailed(f"{path}: {self.remote.id} has no checksum of it") from None
        match = _SHA1.search(text)
        if match is None:
            raise FetchFailed(f"{path}: {self.remote.id} has a checksum that is none")
        return match[0].lower()

    def _receive(self, path: str, target: Path, received: Received) -> tuple[int, str]:
        import requests

        digest, size = hashlib.sha1(usedforsecurity=False), 0
        try:
            with self._get(path) as response, target.open("wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    received(len(chunk))
        except (requests.RequestException, OSError) as error:
            raise FetchFailed(f"{path}: {reason_of(error)}") from None
        return size, digest.hexdigest()

    def _get(self, path: str) -> "requests.Response":
        import requests

        try:
            response = self._session.get(f"{self.remote.url}/{path}", stream=True, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise FetchFailed(f"{self.remote.id} does not answer: {reason_of(error)}") from None
        if response.status_code == 404:
            response.close()
            raise FileNotPublished(path)
        if response.status_code != 200:
            response.close()
            raise FetchFailed(f"{path}: {self.remote.id} answered HTTP {response.status_code}")
        return response


def reason_of(error: BaseException) -> str:
    """The innermost text of an error: libraries wrap the one that matters several times."""
    while (inner := _inner(error)) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _inner(error: BaseException) -> BaseException | None:
    candidates = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    return next((each for each in candidates if isinstance(each, BaseException) and each is not error), None)
