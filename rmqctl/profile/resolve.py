"""Profile, settings, address and ports become the cluster model. Pure: reads and writes no file, opens no socket.

What rmqctl itself writes into every configuration file stands here, as one table per kind of node; a profile or
`--set` may change all of it except the keys that give a node its identity.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from rmqctl.errors import UsageError
from rmqctl.profile.java_settings import EngineOptions, check_node_sections, engine_of, java_settings_of
from rmqctl.profile.model import ClusterModel, JavaSettings, Node, NodeKind, Role
from rmqctl.profile.ports import broker_ports, check_offset, check_plan, nameserver_ports, stored_or_planned
from rmqctl.profile.schema import Profile
from rmqctl.profile.settings import Setting, check_targets, profile_settings, settings_for
from rmqnode.config import ConfigError
from rmqnode.config.check import Entry, check_entries, entries_of
from rmqnode.config.key_table import key_table

IDENTITY_KEYS: dict[str, str] = {
    "brokerName": "name = … under [[brokers]]",
    "brokerId": "slaves = … under [[brokers]]",
    "brokerClusterName": "cluster_name = … under [cluster]",
    "namesrvAddr": "count = … under [nameservers]",
}
"""Keys that follow from the shape of the cluster, and where a profile says them instead."""


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile is resolved with: everything that is not in the profile itself."""

    folder: Path
    """The cluster home."""
    cluster: str
    """Name of the cluster home."""
    source: str
    """How the profile is called: its name or path."""
    broker_ip: str
    broker_ip_reason: str
    port_offset: int = 0
    settings: tuple[Setting, ...] = ()
    """From `--set`; they beat the profile."""
    engine_options: EngineOptions = EngineOptions()
    """From `--engine` and what belongs to it; they beat the profile."""
    distribution_version: str | None = None
    """Version of the unpacked distribution that Java nodes run from, if they do."""
    stored_ports: dict[str, int] = {}
    """Listen ports that nodes had when the cluster was up last."""


class _Plan(msgspec.Struct, frozen=True):
    """A node before its properties are known."""

    name: str
    role: Role
    port: int
    broker_name: str | None = None
    broker_id: int | None = None
    engine: str = "embedded"
    java: JavaSettings | None = None

    @property
    def listens_everywhere(self) -> bool:
        """Whether the node cannot be told where to listen: nodes of Apache's before 5.0."""
        return self.java is not None and int(self.java.version.partition(".")[0]) < 5


def resolve(profile: Profile, circumstances: Circumstances) -> ClusterModel:
    """Work out every node of the cluster, with its ports and its whole configuration.

    Raises:
        UsageError: An engine, setting or port that cannot be; names where it was said.
    """
    check_offset(circumstances.port_offset)
    plans = _plan_nodes(profile, circumstances)
    in_profile = profile_settings(profile, circumstances.source)
    said = [*in_profile, *circumstances.settings]
    names = [plan.name for plan in plans]
    check_targets(said, names)
    check_node_sections(profile, circumstances.source, names)
    _check_identity(said)
    _check_cluster_keys(said)

    def build(plan: _Plan, defaults: dict[str, str]) -> Node:
        node = _build_node(plan, defaults, settings_for(plan.name, plan.role, in_profile, circumstances.settings))
        return msgspec.structs.replace(
            node,
            restart=_restart_of(node.name, profile),
            log_size_mib=profile.logs.size_mib,
            log_files=profile.logs.files,
        )

    nameservers = [
        build(plan, _nameserver_defaults(plan, circumstances)) for plan in plans if plan.role is Role.NAMESERVER
    ]
    namesrv_addr = ";".join(f"{circumstances.broker_ip}:{node.listen_port}" for node in nameservers)
    brokers = [
        build(plan, _broker_defaults(plan, profile, circumstances, namesrv_addr))
        for plan in plans
        if plan.role is not Role.NAMESERVER
    ]
    nodes = (*nameservers, *brokers)
    check_plan(nodes)
    return ClusterModel(
        name=circumstances.cluster,
        cluster_name=profile.cluster.cluster_name,
        home_mode=profile.cluster.home_mode,
        engine=_common_engine(nodes),
        profile=circumstances.source,
        broker_ip=circumstances.broker_ip,
        broker_ip_reason=circumstances.broker_ip_reason,
        port_offset=circumstances.port_offset,
        nodes=nodes,
        supervision=profile.supervision,
    )


def _plan_nodes(profile: Profile, circumstances: Circumstances) -> list[_Plan]:
    offset = circumstances.port_offset
    plans = [
        _Plan(f"nameserver-{index}", Role.NAMESERVER, port)
        for index, port in enumerate(nameserver_ports(profile.nameservers.count, offset))
    ]
    brokers = [
        _Plan(f"{name}-{broker_id}", Role.SLAVE if broker_id else Role.MASTER, port, name, broker_id)
        for (name, broker_id), port in broker_ports(profile.brokers, offset).items()
    ]
    plans += [plan for plan in brokers if plan.role is Role.MASTER]
    plans += [plan for plan in brokers if plan.role is Role.SLAVE]
    ports = stored_or_planned({plan.name: plan.port for plan in plans}, circumstances.stored_ports)
    return [
        msgspec.structs.replace(
            plan,
            port=ports[plan.name],
            **_engine_of(plan, profile, circumstances),
        )
        for plan in plans
    ]


def _restart_of(name: str, profile: Profile) -> str:
    section = profile.nodes.get(name)
    return profile.supervision.restart if section is None or section.restart is None else section.restart


def _engine_of(plan: _Plan, profile: Profile, circumstances: Circumstances) -> dict[str, Any]:
    engine = engine_of(profile, circumstances.engine_options, plan.name, plan.broker_name)
    if engine != "apache":
        return {"engine": engine}
    java = java_settings_of(profile, circumstances.engine_options, plan.name)
    if circumstances.distribution_version is not None:
        java = msgspec.structs.replace(java, version=circumstances.distribution_version)
    return {"engine": engine, "java": java}


def _common_engine(nodes: Sequence[Node]) -> str:
    engines = {node.engine for node in nodes}
    return engines.pop() if len(engines) == 1 else "mixed"


def _nameserver_defaults(plan: _Plan, circumstances: Circumstances) -> dict[str, str]:
    folder = circumstances.folder / plan.name
    return {
        "listenPort": str(plan.port),
        "bindAddress": _bind_address(plan, circumstances.broker_ip),
        "kvConfigPath": str(folder / "store" / "kvConfig.json"),
        "configStorePath": str(folder / "nameserver.conf"),
    }


def _broker_defaults(plan: _Plan, profile: Profile, circumstances: Circumstances, namesrv_addr: str) -> dict[str, str]:
    store = circumstances.folder / plan.name / "store"
    # deleteWhen, fileReservedTime and flushDiskType as in Apache's own sample configurations (conf/2m-2s-async).
    return {
        "brokerClusterName": profile.cluster.cluster_name,
        "brokerName": str(plan.broker_name),
        "brokerId": str(plan.broker_id),
        "brokerRole": "SLAVE" if plan.role is Role.SLAVE else "ASYNC_MASTER",
        "namesrvAddr": namesrv_addr,
        "brokerIP1": circumstances.broker_ip,
        "brokerIP2": circumstances.broker_ip,
        "listenPort": str(plan.port),
        "bindAddress": _bind_address(plan, circumstances.broker_ip),
        "storePathRootDir": str(store),
        "storePathCommitLog": str(store / "commitlog"),
        "flushDiskType": "ASYNC_FLUSH",
        "deleteWhen": "04",
        "fileReservedTime": "48",
        # Whoever subscribes by SQL92 expects it to work; Apache's default refuses it.
        "enablePropertyFilter": "true",
    }


def _build_node(plan: _Plan, defaults: dict[str, str], settings: Sequence[Setting]) -> Node:
    kind: NodeKind = "nameserver" if plan.role is Role.NAMESERVER else "broker"
    properties = dict(defaults)
    sources = dict.fromkeys(defaults, "rmqctl")
    for setting in settings:
        if setting.target == "cluster" and not _knows(kind, setting.key):
            continue
        properties[setting.key] = setting.value
        sources[setting.key] = setting.source
    _follow_store_root(properties, sources, defaults)
    node = Node(
        name=plan.name,
        role=plan.role,
        listen_port=plan.port,
        engine=plan.engine,
        java=plan.java,
        broker_name=plan.broker_name,
        broker_id=plan.broker_id,
        properties=properties,
        sources=sources,
    )
    _check_entries(kind, properties, sources, plan.engine)
    _check_role(node)
    return msgspec.structs.replace(node, listen_port=int(properties["listenPort"]))


def _follow_store_root(properties: dict[str, str], sources: dict[str, str], defaults: dict[str, str]) -> None:
    """Whoever moves the store without naming a folder for the commit log means to move both."""
    if sources.get("storePathRootDir") != "rmqctl" and sources.get("storePathCommitLog") == "rmqctl":
        properties["storePathCommitLog"] = str(Path(properties["storePathRootDir"]) / "commitlog")
        sources["storePathCommitLog"] = sources["storePathRootDir"]


def _bind_address(plan: _Plan, broker_ip: str) -> str:
    if plan.listens_everywhere:
        return "0.0.0.0"
    # Apache's nodes take one address.
    return broker_ip if plan.java is not None or broker_ip == "127.0.0.1" else f"{broker_ip};127.0.0.1"


def _check_identity(said: Sequence[Setting]) -> None:
    for setting in said:
        if setting.key in IDENTITY_KEYS:
            raise UsageError(
                f"{setting.source}: {setting.key} is not set by hand",
                "it follows from the shape of the cluster",
                f"say it in a profile: {IDENTITY_KEYS[setting.key]}",
            )


def _check_cluster_keys(said: Sequence[Setting]) -> None:
    """A key for the whole cluster goes to the nodes that know it; some node must."""
    for setting in said:
        if setting.target == "cluster" and not (_knows("broker", setting.key) or _knows("nameserver", setting.key)):
            _check_entries("broker", {setting.key: setting.value}, {setting.key: setting.source}, "embedded")


def _knows(kind: NodeKind, key: str) -> bool:
    return key_table(kind).kind_of(key) is not None


def _check_role(node: Node) -> None:
    role = node.properties.get("brokerRole")
    if role is not None and (role == "SLAVE") != (node.role is Role.SLAVE):
        raise UsageError(
            f"{node.sources['brokerRole']}: {node.name} is a {node.role}, its brokerRole cannot be {role}",
            "masters and slaves follow from slaves = … under [[brokers]]",
            "set ASYNC_MASTER or SYNC_MASTER, for masters only (--set masters:brokerRole=SYNC_MASTER)",
        )


def _check_entries(kind: NodeKind, properties: Mapping[str, str], sources: Mapping[str, str], engine: str) -> None:
    """Check a whole configuration as the node will; problems begin with where the user said it."""
    entries = [entry for key, value in properties.items() for entry in entries_of({key: value}, sources[key])]
    if engine == "apache":
        entries = _entries_known_to_us(kind, entries)
    try:
        check_entries(kind, entries, is_ours=engine != "apache")
    except ConfigError as error:
        raise UsageError(error.problems[0], "\n".join(error.problems[1:]) or None) from None


def _entries_known_to_us(kind: NodeKind, entries: Sequence[Entry]) -> list[Entry]:
    """What can be checked for a node of Apache's here: it keeps what our nodes refuse, and may know more keys.

    Which keys its version has is checked against its jars, when these are there (`rmqctl.engine.apache`).
    """
    table = key_table(kind)
    return [entry for entry in entries if entry.key in table.used or entry.key in table.unused]
