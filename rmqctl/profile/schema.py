"""What a profile may say: TOML to typed structs, with errors that name file, key path, expected and found.

Knows nothing of ports, addresses or which broker.conf keys exist: `rmqctl.profile.resolve` does.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from rmqctl.documents import decode_toml
from rmqctl.errors import UsageError
from rmqctl.home import DEFAULT_CLUSTER
from rmqctl.profile.supervision import LogsSection, SupervisionSection, unknown_restart_policies

PropertyValue = str | int | float | bool
"""A value of a broker.conf or nameserver.conf key, as TOML writes it."""


ENGINES = ("embedded", "apache")
"""What a node can run on."""

DEFAULT_APACHE_VERSION = "4.5.2"
"""The version whose wire protocol and files the embedded engine keeps."""

_MEMORY_SIZE = re.compile(r"[1-9][0-9]{0,6}[mMgG]")
"""A size as JVM options write it: `128m`, `2g`."""


class ProfileError(UsageError):
    """A profile says something that it cannot say. Nothing was changed."""


class ClusterSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[cluster]`: names and engine."""

    name: str = DEFAULT_CLUSTER
    """Name of the cluster home, as in `--cluster`."""
    cluster_name: Annotated[str, msgspec.Meta(pattern=r"^[%|a-zA-Z0-9_-]+$")] = "DefaultCluster"
    """Name of the RocketMQ cluster: `brokerClusterName` of every broker."""
    engine: str = "embedded"
    """What the nodes run on."""
    home_mode: Literal["0700", "0750"] = "0700"
    """Who may look into the cluster home: its owner, or also its group (logs, messages)."""


class ApacheSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[apache]`: what the nodes of the apache engine have in common."""

    version: str = DEFAULT_APACHE_VERSION
    """Of RocketMQ, as published."""
    rocketmq_home: str = ""
    """Folder of an unpacked distribution that is used instead of fetched jars."""
    heap: str = "128m"
    """Heap of a node."""
    direct_memory: str = "128m"
    """Memory outside the heap that a node may take for buffers."""
    jvm_options: list[str] = []
    """Further options of the JVM."""


class NodeSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[nodes.NAME]`: what one node has of its own."""

    engine: str | None = None
    """What it runs on."""
    heap: str | None = None
    """As in `[apache]`."""
    direct_memory: str | None = None
    """As in `[apache]`."""
    restart: str | None = None
    """As in `[supervision]`."""


class NameserversSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[nameservers]`."""

    engine: str | None = None
    """What they run on, if not on the cluster's engine."""

    # Nameservers have consecutive ports from 9876 on; nobody runs more than a handful.
    count: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1


class BrokerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One `[[brokers]]`: a master and its slaves, which share a broker name."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[%|a-zA-Z0-9_-]+$", max_length=64)]
    slaves: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    engine: str | None = None
    """What master and slaves run on, if not on the cluster's engine."""


class PropertiesSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[properties.…]`: broker.conf and nameserver.conf keys, from the widest group to the single node."""

    cluster: dict[str, Any] = {}
    nameservers: dict[str, Any] = {}
    brokers: dict[str, Any] = {}
    masters: dict[str, Any] = {}
    slaves: dict[str, Any] = {}
    nodes: dict[str, dict[str, Any]] = {}


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole profile."""

    description: str = ""
    cluster: ClusterSection = ClusterSection()
    nameservers: NameserversSection = NameserversSection()
    brokers: Annotated[list[BrokerSection], msgspec.Meta(min_length=1)] = []
    nodes: dict[str, NodeSection] = {}
    apache: ApacheSection = ApacheSection()
    supervision: SupervisionSection = SupervisionSection()
    logs: LogsSection = LogsSection()
    properties: PropertiesSection = PropertiesSection()


def parse_profile(content: bytes, source: str) -> Profile:
    """Decode and check a profile.

    Args:
        content: The TOML file.
        source: How errors call it: its name or path.

    Raises:
        ProfileError: With the line (TOML syntax) or the key path (everything else).
    """
    try:
        document = decode_toml(content)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{source} is not valid TOML", str(error), "correct the file") from None
    return profile_from_document(document, source)


def profile_from_document(document: dict[str, Any], source: str) -> Profile:
    """Check a decoded TOML document and turn it into a profile; raises ProfileError."""
    if not document.get("brokers"):
        raise ProfileError(
            f"{source}: brokers: expected at least one [[brokers]], found none",
            cure='add [[brokers]] with name = "broker-a"',
        )
    try:
        profile = msgspec.convert(document, Profile)
    except msgspec.ValidationError as error:
        raise _explain(error, document, source) from None
    _check_broker_names(profile, source)
    _check_engines_and_sizes(profile, source)
    restart = {"supervision.restart": profile.supervision.restart}
    restart |= {f"nodes.{name}.restart": node.restart for name, node in profile.nodes.items() if node.restart}
    if (problem := unknown_restart_policies(restart)) is not None:
        raise ProfileError(f"{source}: {problem}")
    for path, value in _property_values(profile.properties):
        if not isinstance(value, PropertyValue):
            raise ProfileError(f"{source}: {path}: expected text, a number, true or false, found {_kind_of(value)}")
    return profile


def mebibytes(size: str) -> int:
    """A size such as `128m` or `2g` in MiB."""
    return int(size[:-1]) * (1024 if size[-1] in "gG" else 1)


def text_of(value: PropertyValue) -> str:
    """A property value as a properties file writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _property_values(properties: PropertiesSection) -> Iterable[tuple[str, object]]:
    for group in ("cluster", "nameservers", "brokers", "masters", "slaves"):
        for key, value in getattr(properties, group).items():
            yield f"properties.{group}.{key}", value
    for node, values in properties.nodes.items():
        for key, value in values.items():
            yield f"properties.nodes.{node}.{key}", value


def _check_engines_and_sizes(profile: Profile, source: str) -> None:
    engines = {"cluster.engine": profile.cluster.engine, "nameservers.engine": profile.nameservers.engine}
    engines |= {f"brokers[{index}].engine": broker.engine for index, broker in enumerate(profile.brokers)}
    engines |= {f"nodes.{name}.engine": node.engine for name, node in profile.nodes.items()}
    for path, engine in engines.items():
        if engine is not None and engine not in ENGINES:
            raise ProfileError(f"{source}: {path}: expected one of {', '.join(ENGINES)}, found {engine!r}")
    sizes = {f"apache.{key}": getattr(profile.apache, key) for key in ("heap", "direct_memory")}
    for name, node in profile.nodes.items():
        sizes |= {f"nodes.{name}.{key}": getattr(node, key) for key in ("heap", "direct_memory")}
    for path, size in sizes.items():
        if size is not None and not _MEMORY_SIZE.fullmatch(size):
            raise ProfileError(f"{source}: {path}: expected a size such as '128m' or '2g', found {size!r}")


def _check_broker_names(profile: Profile, source: str) -> None:
    seen: dict[str, int] = {}
    for index, broker in enumerate(profile.brokers):
        if broker.name in seen:
            raise ProfileError(
                f"{source}: brokers[{index}].name: {broker.name!r} is also the name of brokers[{seen[broker.name]}]",
                "a broker name belongs to one master and its slaves",
                "rename one of them, or raise its slaves = N",
            )
        if broker.name == "nameserver":
            raise ProfileError(f"{source}: brokers[{index}].name: nodes of this name would look like nameservers")
        seen[broker.name] = index


_AT_PATH = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>.*)`")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>.*)`")
_KNOWN_KEYS: dict[str, tuple[str, ...]] = {
    "": Profile.__struct_fields__,
    "cluster": ClusterSection.__struct_fields__,
    "nameservers": NameserversSection.__struct_fields__,
    "brokers": BrokerSection.__struct_fields__,
    "nodes": NodeSection.__struct_fields__,
    "apache": ApacheSection.__struct_fields__,
    "logs": LogsSection.__struct_fields__,
    "supervision": SupervisionSection.__struct_fields__,
    "properties": PropertiesSection.__struct_fields__,
}
_KINDS = {dict: "a table", list: "an array", str: "text", bool: "true or false", int: "a number", float: "a number"}


def _explain(error: msgspec.ValidationError, document: dict[str, Any], source: str) -> ProfileError:
    match = _AT_PATH.fullmatch(str(error))
    assert match is not None, "the pattern takes every text"
    problem, path = match["problem"], match["path"] or ""
    if path.startswith("nodes[...]"):
        path = path.replace("[...]", f".{_first_wrong_node(document)}", 1)
    if unknown := _UNKNOWN_FIELD.fullmatch(problem):
        known = _KNOWN_KEYS[re.split(r"[.\[]", path)[0]]
        near = difflib.get_close_matches(unknown["field"], known, 1, 0.5)
        cure = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return ProfileError(f"{source}: {_join(path, unknown['field'])}: unknown key", cure=cure)
    if missing := _MISSING_FIELD.fullmatch(problem):
        return ProfileError(f"{source}: {_join(path, missing['field'])}: expected a value, found none")
    expected = problem.partition(", got")[0].replace("`", "")
    found = _found(document, path)
    return ProfileError(f"{source}: {path or 'the file'}: {expected[:1].lower()}{expected[1:]}, found {found}")


def _first_wrong_node(document: dict[str, Any]) -> str:
    """The key that msgspec leaves out of a path."""
    for name, node in document["nodes"].items():
        try:
            msgspec.convert(node, NodeSection)
        except msgspec.ValidationError:
            return str(name)
    return "?"


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _found(document: Any, path: str) -> str:
    value = document
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, list) and step.isdigit():
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return "something else"
    return _kind_of(value) if isinstance(value, dict | list) else f"{value!r} ({_kind_of(value)})"


def _kind_of(value: object) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")
