"""Fetches a version of Apache RocketMQ with everything it needs into the cache, from Maven Central or its mirror.

Which jars belong to a version is worked out by jgo from the published POMs; fetching and checking is ours.
"""

import importlib.util
import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rmqctl.engine.apache.cache import EngineCache, Manifest, version_key
from rmqctl.engine.apache.maven_settings import central_repository, settings_files
from rmqctl.engine.apache.repository import FetchFailed, FileNotPublished, Repository
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqctl.profile.distribution import Distribution, major_of

if TYPE_CHECKING:
    from jgo.maven import Artifact

GROUP_PATH = "org/apache/rocketmq"
ARTIFACTS = ("rocketmq-namesrv", "rocketmq-broker", "rocketmq-tools")
"""What a cluster runs from; `rocketmq-tools` holds mqadmin."""

_FETCHES_AT_ONCE = 4
_VERSION_ELEMENT = re.compile(r"<version>\s*([^<\s]+)\s*</version>")


class InstallProgress(Protocol):
    """Shows how far an installation is."""

    def resolved(self, jars: int) -> None:
        """It is known how many jars there are."""

    def received(self, size_bytes: int) -> None:
        """More bytes have arrived."""

    def fetched(self, name: str) -> None:
        """A jar is there."""


class _Jar(NamedTuple):
    name: str
    path: str
    """Below the root of a repository."""


def install(
    version: str, cache: EngineCache, repository: Callable[[], Repository], progress: InstallProgress
) -> Distribution:
    """Bring a version into the cache; does nothing if it is there. What a former try fetched is not fetched again.

    Args:
        version: As published, `4.5.2`.
        cache: Where to.
        repository: Opens the repository to ask.
        progress: Told how far it is.

    Raises:
        UsageError: There is no such version.
        RmqctlError: The extra `apache` is not installed, or the repository cannot be asked, or a file is damaged.
    """
    with _failures_explained(version), cache.lock(version):
        installed = cache.find(version)
        if installed is not None:
            return installed
        _check_resolver_installed(version)
        source = repository()
        _check_published(version, source)
        jars = _resolve(version, cache, source)
        progress.resolved(len(jars))
        sizes = _fetch_all(jars, cache.version_folder(version) / "lib", source, progress)
        cache.save(Manifest(version=version, sizes=sizes))
        return Distribution(version, cache.version_folder(version) / "lib")


def open_central() -> Repository:
    """Maven Central, or the mirror that this user's Maven settings name."""
    return Repository(central_repository(settings_files()))


def published_versions(repository: Repository) -> list[str]:
    """The versions of which a repository lists all artifacts, oldest first; raises FetchFailed or FileNotPublished."""
    listed = [_versions_in(repository.read(f"{GROUP_PATH}/{each}/maven-metadata.xml")) for each in ARTIFACTS]
    return [version for version in listed[0] if all(version in versions for versions in listed)]


def _versions_in(metadata: bytes) -> list[str]:
    return sorted(set(_VERSION_ELEMENT.findall(metadata.decode(errors="replace"))), key=version_key)


def _check_resolver_installed(version: str) -> None:
    if importlib.util.find_spec("jgo") is None:
        raise RmqctlError(
            f"Apache RocketMQ {version} is not installed",
            "what fetches it comes with the extra rmqctl[apache], which is not installed",
            "pip install 'rmqctl[apache]', or use an unpacked distribution: --rocketmq-home FOLDER",
        )


@contextmanager
def _failures_explained(version: str) -> Iterator[None]:
    try:
        yield
    except FileNotPublished as error:
        raise RmqctlError(f"Apache RocketMQ {version} cannot be installed", f"{error} is not published") from None
    except FetchFailed as error:
        raise RmqctlError(
            f"Apache RocketMQ {version} is not installed and cannot be fetched",
            str(error),
            "try again with the network there (Maven's settings.xml and HTTPS_PROXY are honoured),"
            " or use an unpacked distribution: --rocketmq-home FOLDER",
            ExitCode.UNREACHABLE,
        ) from None
    except OSError as error:
        raise RmqctlError(
            f"Apache RocketMQ {version} cannot be installed",
            f"{error.filename}: {error.strerror}",
            "make the folder writable, or choose another with RMQCTL_CACHE",
        ) from None


def _check_published(version: str, repository: Repository) -> None:
    try:
        for artifact in ARTIFACTS:
            repository.read(f"{GROUP_PATH}/{artifact}/{version}/{artifact}-{version}.pom")
    except FileNotPublished:
        try:
            known = published_versions(repository)
        except (FileNotPublished, FetchFailed):
            known = []
        raise UsageError(
            f"there is no Apache RocketMQ {version}",
            f"{repository.remote.id} has {', '.join(_near(version, known))}" if known else None,
            "rmqctl engine list --all shows every version",
        ) from None


def _near(version: str, known: list[str]) -> list[str]:
    """Published versions of the same line, or else the newest ones."""
    line = [each for each in known if each.startswith(f"{major_of(version)}.")]
    return (line or known)[-12:]


def _resolve(version: str, cache: EngineCache, repository: Repository) -> list[_Jar]:
    """Every jar that belongs to a version, from the POMs."""
    from jgo.maven import MavenContext, PythonResolver

    logging.getLogger("jgo").setLevel(logging.ERROR)

    class Resolver(PythonResolver):
        """jgo's resolver with our way of fetching: verified, whole or not at all."""

        def download(self, artifact: "Artifact") -> Path | None:
            _pin(artifact, repository)
            target = artifact.cached_path
            assert target is not None, "the context has a cache"
            if not target.exists():
                repository.fetch(_path_of(artifact), target)
            return target

    context = MavenContext(resolver=Resolver(), repo_cache=cache.poms, remote_repos={}, local_repos=[])
    wanted = [context.create_dependency(f"org.apache.rocketmq:{artifact}:{version}") for artifact in ARTIFACTS]
    inputs, others = context.resolver.resolve(wanted)
    artifacts = [dependency.artifact for dependency in (*inputs, *others)]
    return [_Jar(artifact.filename, _path_of(artifact)) for artifact in artifacts if artifact.packaging == "jar"]


def _pin(artifact: "Artifact", repository: Repository) -> None:
    """Replace a range of versions by the highest that is published: jgo takes a range for a version."""
    from jgo.maven import version_in_range

    wanted = artifact.component.version
    if not wanted.startswith(("[", "(")):
        return
    metadata = repository.read((artifact.component.project.path_prefix / "maven-metadata.xml").as_posix())
    fitting = [version for version in _versions_in(metadata) if version_in_range(version, wanted)]
    if not fitting:
        raise FileNotPublished(f"{artifact.groupId}:{artifact.artifactId} in version {wanted}")
    artifact.component.version = fitting[-1]


def _path_of(artifact: "Artifact") -> str:
    return (artifact.component.path_prefix / artifact.filename).as_posix()


def _fetch_all(jars: list[_Jar], lib: Path, repository: Repository, progress: InstallProgress) -> dict[str, int]:
    """Fetch the jars that are not there yet; returns the size of each."""
    telling = Lock()

    def received(size_bytes: int) -> None:
        with telling:
            progress.received(size_bytes)

    def fetch(jar: _Jar) -> tuple[str, int]:
        target = lib / jar.name
        # A file that is there is whole: it got its name after its checksum was found right.
        size = target.stat().st_size if target.exists() else repository.fetch(jar.path, target, received)
        return jar.name, size

    sizes = {}
    with ThreadPoolExecutor(_FETCHES_AT_ONCE) as threads:
        try:
            for name, size in threads.map(fetch, jars):
                sizes[name] = size
                progress.fetched(name)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return sizes
