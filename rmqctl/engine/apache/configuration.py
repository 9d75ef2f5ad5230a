"""broker.conf and nameserver.conf as the installed version reads them: its spelling, and no key that it ignores."""

import difflib
from collections.abc import Mapping

from rmqctl.engine.apache.class_file import configuration_keys
from rmqctl.errors import RmqctlError, UsageError
from rmqctl.profile.distribution import Distribution
from rmqctl.profile.model import Node, NodeKind

_PACKAGE = "org/apache/rocketmq"
_CLASSES: dict[NodeKind, tuple[str, ...]] = {
    "broker": (
        "common/BrokerConfig",
        "store/config/MessageStoreConfig",
        "remoting/netty/NettyServerConfig",
        "remoting/netty/NettyClientConfig",
        "auth/config/AuthConfig",
    ),
    "nameserver": (
        "common/namesrv/NamesrvConfig",
        "common/ControllerConfig",
        "remoting/netty/NettyServerConfig",
        "remoting/netty/NettyClientConfig",
    ),
}
"""Classes that a configuration file fills (`BrokerStartup`, `NamesrvStartup`); some came with 5.x."""

_WITHOUT_SETTER = frozenset({"rmqAddressServerDomain", "rmqAddressServerSubGroup"})
"""Keys of the file that become system properties (`BrokerStartup#properties2SystemEnv`)."""

_OLD_SPELLINGS = {
    "mappedFileSizeCommitLog": "mapedFileSizeCommitLog",
    "mappedFileSizeConsumeQueue": "mapedFileSizeConsumeQueue",
}
"""Today's spelling → that of versions before 4.5.2."""

_SYSTEM_PROPERTIES = ("tls.",)
"""Keys that Apache's nodes take from the command line of the JVM only."""


def known_keys(distribution: Distribution, kind: NodeKind) -> dict[str, str]:
    """Key → type of its value, for a kind of node of this version.

    Raises:
        RmqctlError: The jars are not those of RocketMQ.
    """
    jars = sorted(distribution.lib.glob("rocketmq-*.jar"))
    keys = configuration_keys(jars, (f"{_PACKAGE}/{name}" for name in _CLASSES[kind]))
    if "listenPort" not in keys:
        raise RmqctlError(
            f"the jars in {distribution.lib} cannot be used",
            "they hold no configuration of RocketMQ that rmqctl understands",
            f"rmqctl engine remove apache --version {distribution.version}, then rmqctl up fetches them anew",
        )
    return keys


def render_configuration(node: Node, distribution: Distribution, keys: Mapping[str, str]) -> dict[str, str]:
    """The properties of a node's configuration file.

    Raises:
        UsageError: A key that somebody set is not known to this version.
    """
    rendered = {}
    for key, value in node.properties.items():
        if key.startswith(_SYSTEM_PROPERTIES):
            continue
        spelling = _spelling(key, keys)
        if spelling is not None:
            rendered[spelling] = value
        elif node.sources.get(key, "rmqctl") != "rmqctl":
            raise _unknown_key(key, node, distribution, keys)
    return rendered


def system_properties(node: Node) -> list[str]:
    """Options of the JVM for the keys that belong there."""
    said = {key: value for key, value in node.properties.items() if key.startswith(_SYSTEM_PROPERTIES)}
    # Without a certificate, 4.x tries to make one, fails from Java 9 on, and says so at length.
    return [f"-D{key}={value}" for key, value in (said or {"tls.server.mode": "disabled"}).items()]


def _spelling(key: str, keys: Mapping[str, str]) -> str | None:
    if key in keys or key in _WITHOUT_SETTER:
        return key
    old = _OLD_SPELLINGS.get(key)
    return old if old in keys else None


def _unknown_key(key: str, node: Node, distribution: Distribution, keys: Mapping[str, str]) -> UsageError:
    near = difflib.get_close_matches(key, keys, 1, 0.75)
    return UsageError(
        f"{node.sources[key]}: {node.name} runs RocketMQ {distribution.version}, which has no key {key!r}",
        "it would ignore the setting without a word",
        f"did you mean {near[0]!r}?" if near else "leave it out, or choose a version that has it with --version",
    )
