"""The cluster model: what a profile means on this machine, node by node, before anything is written or started.

Pure values. `rmqctl.profile.resolve` builds them, `rmqctl.engine` turns a node into files and a process.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from rmqctl.profile.supervision import SupervisionSection

NodeKind = Literal["nameserver", "broker"]


class Role(StrEnum):
    """What a node is for in its cluster."""

    NAMESERVER = "nameserver"
    MASTER = "master"
    SLAVE = "slave"


class JavaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node of the apache engine runs with, besides its configuration file. Sizes in MiB."""

    version: str
    """Of RocketMQ, `4.5.2`."""
    rocketmq_home: str = ""
    """Folder of an unpacked distribution; empty for jars that rmqctl fetches."""
    heap_mib: int = 128
    """`-Xms` and `-Xmx`."""
    direct_memory_mib: int = 128
    """`-XX:MaxDirectMemorySize`: buffers of connections, outside the heap."""
    jvm_options: tuple[str, ...] = ()
    """Further options, after rmqctl's own."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the cluster, with everything that its configuration file will say."""

    name: str
    """`nameserver-<index>` or `<broker name>-<broker id>`."""
    role: Role
    listen_port: int
    engine: str = "embedded"
    """What the node runs on."""
    java: JavaSettings | None = None
    """For a node of the apache engine."""
    restart: str = "always"
    """What happens when it ends without being asked to: `always`, `on-failure` or `never`."""
    log_size_mib: int = 16
    """What its log may grow to before it is renamed."""
    log_files: int = 4
    """How many renamed ones are kept."""
    broker_name: str | None = None
    broker_id: int | None = None
    properties: dict[str, str]
    """The complete content of its broker.conf or nameserver.conf."""
    sources: dict[str, str] = {}
    """Where each property comes from, in words; known after resolving, not stored."""

    @property
    def kind(self) -> NodeKind:
        """Which program the node runs."""
        return "nameserver" if self.role is Role.NAMESERVER else "broker"

    @property
    def conf_name(self) -> str:
        """Name of its configuration file."""
        return f"{self.kind}.conf"

    @property
    def ports(self) -> dict[str, int]:
        """Every port that the node listens on, by what it is for."""
        if self.kind == "nameserver":
            return {"listen": self.listen_port}
        return {"listen": self.listen_port, "vip": self.listen_port - 2, "ha": self.listen_port + 1}

    @property
    def bind_addresses(self) -> list[str]:
        """The local addresses that the node listens on."""
        return [part.strip() for part in self.properties["bindAddress"].split(";") if part.strip()]

    @property
    def local_address(self) -> str:
        """`ip:port` by which processes of this machine reach the node."""
        addresses = self.bind_addresses
        host = "127.0.0.1" if {"127.0.0.1", "0.0.0.0"} & set(addresses) else addresses[0]
        return f"{host}:{self.listen_port}"


class ClusterModel(msgspec.Struct, frozen=True, kw_only=True):
    """A whole cluster, resolved: names, addresses, ports, folders and properties are final."""

    name: str
    """Name of the cluster home, as in `--cluster`."""
    cluster_name: str
    """Name of the RocketMQ cluster, `brokerClusterName`."""
    engine: str
    """What all nodes run on; `mixed` when they differ."""
    profile: str
    """Name or path of the profile it was resolved from."""
    broker_ip: str
    """brokerIP1: the address that clients are told."""
    broker_ip_reason: str
    port_offset: int
    nodes: tuple[Node, ...]
    """In start order: nameservers, masters, slaves."""
    home_mode: Literal["0700", "0750"] = "0700"
    """Of every folder in the cluster home."""
    supervision: SupervisionSection = SupervisionSection()
    """How the nodes are looked after."""

    @property
    def folder_mode(self) -> int:
        """`home_mode` as a number."""
        return int(self.home_mode, 8)

    @property
    def umask(self) -> int:
        """What files and folders in the home do not get, whoever makes them."""
        return 0o777 & ~self.folder_mode

    @property
    def nameservers(self) -> list[Node]:
        """The nameservers, in order."""
        return [node for node in self.nodes if node.role is Role.NAMESERVER]

    @property
    def brokers(self) -> list[Node]:
        """Masters and slaves, in start order."""
        return [node for node in self.nodes if node.role is not Role.NAMESERVER]

    @property
    def has_java_nodes(self) -> bool:
        """Whether a node runs on the apache engine."""
        return any(node.java is not None for node in self.nodes)

    @property
    def nameserver_addresses(self) -> tuple[str, ...]:
        """`ip:port` of every nameserver, as clients are told."""
        return tuple(f"{self.broker_ip}:{node.listen_port}" for node in self.nameservers)

    def advertised_address(self, node: Node) -> str:
        """`ip:port` of a node, as clients are told."""
        return f"{node.properties.get('brokerIP1', self.broker_ip)}:{node.listen_port}"

    def node(self, name: str) -> Node | None:
        """The node of that name."""
        return next((node for node in self.nodes if node.name == name), None)
