"""`rmqctl engine list`, `install` and `remove`: what nodes can run on, and what of it is on this machine."""

from typing import Annotated

import msgspec
import typer

from rmqctl.cli.engines.install_progress import open_install_progress
from rmqctl.cli.options import HomeOption, JsonOption
from rmqctl.cli.output import narrate, print_json, print_result, print_table
from rmqctl.engine.apache.cache import EngineCache, Manifest
from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import ClusterHome, all_cluster_homes, homes_roots
from rmqctl.profile.java_settings import check_version
from rmqctl.profile.schema import DEFAULT_APACHE_VERSION, ENGINES
from rmqctl.profile.stored import load_cluster

_OFFERED = (DEFAULT_APACHE_VERSION, "4.9.7", "5.3.3")
"""Versions that rmqctl is tested with; the registry has more."""
_MEGABYTE = 1_000_000

EngineArgument = Annotated[str, typer.Argument(metavar="ENGINE", help="apache: the only one that is fetched.")]
VersionOption = Annotated[str, typer.Option("--version", metavar="VERSION", help="Of Apache RocketMQ.")]


class EngineRow(msgspec.Struct, frozen=True):
    """One engine in `rmqctl engine list --json`; keys are stable."""

    engine: str
    version: str | None
    """Of RocketMQ; null for the embedded engine, which comes with rmqctl."""
    state: str
    """`built in`, `installed`, or `available`."""
    size_bytes: int | None = None
    folder: str | None = None
    tested: bool = True
    """Whether rmqctl's own tests run with it."""


def list_engines(
    show_all: Annotated[bool, typer.Option("--all", help="Ask Maven Central for every version there is.")] = False,
    json_output: JsonOption = False,
) -> None:
    """List the engines, and which versions of Apache RocketMQ are installed. Asks the network only with --all."""
    cache = EngineCache.of_user()
    installed = {manifest.version: manifest for manifest in cache.installed()}
    versions = list(dict.fromkeys([*_OFFERED, *installed, *(_published() if show_all else ())]))
    rows = [EngineRow("embedded", None, "built in"), *(_row(each, installed.get(each), cache) for each in versions)]
    if json_output:
        print_json(rows)
        return
    print_table(["engine", "version", "state", "size", "folder"], [_cells(row) for row in rows])


def install(
    engine: EngineArgument = "apache",
    version: VersionOption = DEFAULT_APACHE_VERSION,
    json_output: JsonOption = False,
) -> None:
    """Fetch a version of Apache RocketMQ, so that `up --engine apache` needs no network."""
    from rmqctl.engine.apache.install import install as install_version
    from rmqctl.engine.apache.install import open_central

    _check(engine, version)
    cache = EngineCache.of_user()
    was_installed = cache.find(version) is not None
    if was_installed:
        narrate(f"Apache RocketMQ {version} is installed already")
    else:
        with open_install_progress(version) as progress:
            install_version(version, cache, open_central, progress)
    folder = str(cache.version_folder(version))
    if json_output:
        print_json({"engine": engine, "version": version, "installed": not was_installed, "folder": folder})
    else:
        print_result(folder)


def remove(
    engine: EngineArgument = "apache",
    version: VersionOption = DEFAULT_APACHE_VERSION,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Delete the jars of a version. Stores, and clusters that are down, stay as they are."""
    _check(engine, version)
    cache = EngineCache.of_user()
    for cluster in all_cluster_homes(homes_roots(home)):
        if cluster.is_supervised():
            _check_unused(version, cluster)
    existed = cache.version_folder(version).exists()
    cache.remove(version)
    if json_output:
        print_json({"engine": engine, "version": version, "removed": existed})
    else:
        narrate(f"Apache RocketMQ {version} is removed" if existed else f"Apache RocketMQ {version} was not installed")


def _row(version: str, manifest: Manifest | None, cache: EngineCache) -> EngineRow:
    tested = version in _OFFERED
    if manifest is None:
        return EngineRow("apache", version, "available", tested=tested)
    return EngineRow(
        "apache", version, "installed", manifest.size_bytes, str(cache.version_folder(version)), tested=tested
    )


def _cells(row: EngineRow) -> list[str]:
    size = "-" if row.size_bytes is None else f"{row.size_bytes / _MEGABYTE:.0f} MB"
    return [row.engine, row.version or "-", row.state, size, row.folder or "-"]


def _published() -> list[str]:
    from rmqctl.engine.apache.install import open_central, published_versions
    from rmqctl.engine.apache.repository import FetchFailed, FileNotPublished

    try:
        return published_versions(open_central())
    except (FetchFailed, FileNotPublished) as error:
        raise RmqctlError("the versions of Apache RocketMQ cannot be listed", str(error), "leave --all out") from None


def _check(engine: str, version: str) -> None:
    if engine == "embedded":
        raise UsageError("the embedded engine comes with rmqctl", "there is nothing to install or remove")
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}", f"engines: {', '.join(ENGINES)}", "rmqctl engine list")
    check_version(version)


def _check_unused(version: str, home: ClusterHome) -> None:
    for node in load_cluster(home).model.nodes:
        if node.java is not None and node.java.version == version and not node.java.rocketmq_home:
            raise RmqctlError(
                f"Apache RocketMQ {version} is in use",
                f"{node.name} of cluster {home.name} runs on it",
                f"rmqctl down --cluster {home.name}",
            )
