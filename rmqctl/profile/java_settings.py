"""Which engine each node runs on, and what a node of the apache engine runs with: flag, node, group, cluster."""

import difflib
import re
from collections.abc import Sequence

import msgspec

from rmqctl.errors import UsageError
from rmqctl.profile.model import JavaSettings
from rmqctl.profile.schema import ENGINES, NodeSection, Profile, ProfileError, mebibytes

_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}([.-][A-Za-z0-9]+)*")
_NO_SECTION = NodeSection()


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the command line says about engines; None for what was left out."""

    engine: str | None = None
    """For every node, whatever the profile says."""
    version: str | None = None
    """Of RocketMQ, for the nodes of the apache engine."""
    rocketmq_home: str | None = None
    """Folder of an unpacked distribution for them; empty to go back to fetched jars."""

    @property
    def are_given(self) -> bool:
        """Whether the command line says anything about engines."""
        return any(value is not None for value in (self.engine, self.version, self.rocketmq_home))

    def changed_by(self, later: "EngineOptions") -> "EngineOptions":
        """These options after later ones: what these say stays, as far as it still makes sense."""
        if later.engine is not None and later.engine != self.engine:
            return later
        if later.version is not None or later.rocketmq_home is not None:
            return msgspec.structs.replace(later, engine=self.engine)
        return self


def check_engine_options(options: EngineOptions, profile: Profile) -> None:
    """Refuse what cannot be or would have no effect; raises UsageError."""
    if options.engine is not None and options.engine not in ENGINES:
        near = difflib.get_close_matches(options.engine, ENGINES, 1, 0.5)
        raise UsageError(
            f"there is no engine {options.engine!r}",
            f"engines: {', '.join(ENGINES)}",
            f"--engine {near[0]}" if near else "rmqctl engine list",
        )
    if options.version is not None:
        check_version(options.version)
    if options.version is not None and options.rocketmq_home:
        raise UsageError(
            "--version and --rocketmq-home were both given", "an unpacked distribution has a version", "give one"
        )
    engines = {options.engine} if options.engine else _engines_in(profile)
    if (options.version or options.rocketmq_home) and "apache" not in engines:
        option = "--version" if options.version else "--rocketmq-home"
        raise UsageError(f"{option} would have no effect", "no node runs on the apache engine", "add --engine apache")


def check_version(version: str) -> None:
    """Refuse what cannot be the version of a published artifact; raises UsageError."""
    if not _VERSION.fullmatch(version):
        raise UsageError(f"{version!r} is not a version of RocketMQ", cure="--version 4.9.7, or rmqctl engine list")


def check_node_sections(profile: Profile, source: str, node_names: Sequence[str]) -> None:
    """Refuse a `[nodes.NAME]` for a node that this cluster does not have; raises ProfileError."""
    for name in profile.nodes:
        if name not in node_names:
            near = difflib.get_close_matches(name, node_names, 1, 0.5)
            raise ProfileError(
                f"{source}: nodes.{name}: this cluster has no node {name!r}",
                f"nodes: {', '.join(node_names)}",
                f"did you mean {near[0]!r}?" if near else None,
            )


def engine_of(profile: Profile, options: EngineOptions, node: str, broker_name: str | None) -> str:
    """The engine of a node: the command line beats the node's section, that its group's, that the cluster's."""
    group = profile.nameservers.engine
    if broker_name is not None:
        group = next(broker.engine for broker in profile.brokers if broker.name == broker_name)
    own = profile.nodes.get(node, _NO_SECTION).engine
    return options.engine or own or group or profile.cluster.engine


def java_settings_of(profile: Profile, options: EngineOptions, node: str) -> JavaSettings:
    """What a node of the apache engine runs with."""
    section, own = profile.apache, profile.nodes.get(node, _NO_SECTION)
    rocketmq_home = section.rocketmq_home if options.rocketmq_home is None else options.rocketmq_home
    return JavaSettings(
        version=options.version or section.version,
        # A version that was asked for is fetched, even where the profile names a folder.
        rocketmq_home="" if options.version else rocketmq_home,
        heap_mib=mebibytes(own.heap or section.heap),
        direct_memory_mib=mebibytes(own.direct_memory or section.direct_memory),
        jvm_options=tuple(section.jvm_options),
    )


def _engines_in(profile: Profile) -> set[str]:
    """Every engine that the profile names."""
    named = [profile.nameservers.engine, *(broker.engine for broker in profile.brokers)]
    named += [node.engine for node in profile.nodes.values()]
    return {profile.cluster.engine, *(engine for engine in named if engine)}
