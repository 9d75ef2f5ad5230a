"""Bodies about where things are: topic routes, clusters, tables of a nameserver."""

from msgspec import field
from msgspec.structs import force_setattr

from rmqnode.protocol.bodies.base import Body
from rmqnode.protocol.header_fields import I32


class QueueData(Body, frozen=True):
    """Queues of one topic on one broker name.

    The flag has two wire names, `topicSynFlag` up to 4.8 and in the Go client, `topicSysFlag` since 4.9: both are
    written and either is read. Give `topic_sys_flag`; `topic_syn_flag` follows it.
    """

    broker_name: str = ""
    read_queue_nums: I32 = 0
    write_queue_nums: I32 = 0
    perm: I32 = 0
    topic_sys_flag: I32 | None = None
    topic_syn_flag: I32 | None = None

    def __post_init__(self) -> None:
        flag = self.topic_syn_flag if self.topic_sys_flag is None else self.topic_sys_flag
        force_setattr(self, "topic_sys_flag", flag or 0)
        force_setattr(self, "topic_syn_flag", flag or 0)


class BrokerData(Body, frozen=True):
    """Addresses of one broker name."""

    cluster: str = ""
    broker_name: str = ""
    broker_addrs: dict[int, str] = field(default_factory=dict)
    """Broker id (0 is the master) to `ip:port`."""


class TopicRouteData(Body, frozen=True):
    """Reply of GET_ROUTEINTO_BY_TOPIC: the brokers and queues of one topic."""

    queue_datas: list[QueueData] = field(default_factory=list)
    broker_datas: list[BrokerData] = field(default_factory=list)
    filter_server_table: dict[str, list[str]] = field(default_factory=dict)
    """Broker address to addresses of filter servers."""
    order_topic_conf: str | None = None
    """`broker-a:4;broker-b:4` for an ordered topic."""


class ClusterInfo(Body, frozen=True):
    """Reply of GET_BROKER_CLUSTER_INFO: everything a nameserver knows."""

    broker_addr_table: dict[str, BrokerData] = field(default_factory=dict)
    cluster_addr_table: dict[str, list[str]] = field(default_factory=dict)
    """Cluster name to broker names."""


class KVTable(Body, frozen=True):
    """Keys and values: one namespace of a nameserver, or the figures of a broker."""

    table: dict[str, str] = field(default_factory=dict)


class KVConfigSerializeWrapper(Body, frozen=True):
    """All namespaces of a nameserver: its `kvConfig.json`."""

    config_table: dict[str, dict[str, str]] = field(default_factory=dict)
