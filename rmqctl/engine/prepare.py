"""Which engine each node of a model gets, and that what it needs is on this machine: before anything starts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from rmqctl.engine import Engine
from rmqctl.engine.embedded import EmbeddedEngine
from rmqctl.profile.distribution import Distribution, unpacked_distribution
from rmqctl.profile.model import ClusterModel, JavaSettings

if TYPE_CHECKING:
    from rmqctl.engine.apache.install import InstallProgress

OpenProgress = Callable[[str], AbstractContextManager["InstallProgress"]]
"""Shows an installation of the version."""


def engines_of(
    model: ClusterModel, open_progress: OpenProgress, say: Callable[[str], None], cache: Path | None = None
) -> dict[str, Engine]:
    """The engine of every node; fetches jars that are missing.

    Args:
        model: The cluster.
        open_progress: Called for a version that has to be fetched.
        say: Told which Java is used.
        cache: Where jars are, or go; the user's cache if not given.

    Raises:
        RmqctlError: Java or jars are missing and cannot be had.
    """
    engines: dict[str, Engine] = dict.fromkeys((node.name for node in model.nodes), EmbeddedEngine())
    if any(node.java is not None for node in model.nodes):
        engines.update(_apache_engines(model, open_progress, say, cache))
    return engines


def _apache_engines(
    model: ClusterModel, open_progress: OpenProgress, say: Callable[[str], None], cache: Path | None
) -> Iterator[tuple[str, Engine]]:
    from rmqctl.engine.apache.java import choose_java
    from rmqctl.engine.apache.nodes import ApacheEngine

    # First, because it is known at once.
    java = choose_java()
    made: dict[tuple[str, str], ApacheEngine] = {}
    for node in model.nodes:
        if node.java is None:
            continue
        key = (node.java.version, node.java.rocketmq_home)
        if key not in made:
            distribution = _distribution(node.java, open_progress, cache)
            made[key] = ApacheEngine(distribution, java)
            say(f"Apache RocketMQ {distribution.version} on {java}")
        yield node.name, made[key]


def _distribution(settings: JavaSettings, open_progress: OpenProgress, folder: Path | None) -> Distribution:
    if settings.rocketmq_home:
        return unpacked_distribution(settings.rocketmq_home)
    from rmqctl.engine.apache.cache import EngineCache

    cache = EngineCache.of_user() if folder is None else EngineCache(folder)
    installed = cache.find(settings.version)
    if installed is not None:
        return installed
    from rmqctl.engine.apache.install import install, open_central

    with open_progress(settings.version) as progress:
        return install(settings.version, cache, open_central, progress)
