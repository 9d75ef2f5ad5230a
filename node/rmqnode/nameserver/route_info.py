"""The route table of a nameserver: which broker has which topics, which brokers live, and where.

A state machine without I/O: the clock is handed in, connections are opaque values that are only compared. Nothing
here survives a restart; brokers register again within 30 s.

Two brokers of a broker name share its topics, which come from its master alone. A broker leaves in three ways:
it unregisters, its connection closes, or it is silent for two minutes; with the last one of a broker name the
name and all its queues go.

Source: `RouteInfoManager` (RocketMQ 4.5.2). Differs: a closed connection removes every broker that registered on it
(Java: the first one found); unregistering removes the broker's address, not whatever address its id has (as in 5.3);
a registration brings back topics of its broker name that are gone, also with a version that is known (as in 5.x).
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from rmqnode.net.slices import Steps, batched, finish
from rmqnode.protocol.bodies import (
    BrokerData,
    ClusterInfo,
    DataVersion,
    Permission,
    QueueData,
    TopicConfig,
    TopicConfigSerializeWrapper,
    TopicRouteData,
)

logger = logging.getLogger(__name__)

MASTER_ID = 0

_TOPICS_AT_ONCE = 256
"""Topics that are entered between two looks at the time, about 0.5 ms."""

BROKER_CHANNEL_EXPIRED_MS = 120_000
"""A broker that did not register for so long is removed; brokers register each 30 s."""


class LiveBroker(Struct):
    """One broker that registered and has not left.

    `last_update_ms` is in the time of the manager's clock; `connection` is what the last registration came over.
    """

    last_update_ms: float
    data_version: DataVersion
    connection: object
    ha_server_addr: str


class Registration(Struct, frozen=True, kw_only=True):
    """What a broker says of itself in REGISTER_BROKER; `filter_servers` None leaves the known ones as they are."""

    cluster_name: str
    broker_name: str
    broker_addr: str
    broker_id: int
    ha_server_addr: str
    topics: TopicConfigSerializeWrapper
    filter_servers: list[str] | None
    connection: object


class MasterOf(Struct, frozen=True):
    """Where a slave finds its master; both None when it has none (or is one)."""

    ha_server_addr: str | None = None
    master_addr: str | None = None


class RouteInfoManager:
    """All tables of a nameserver except the KV table.

    Args:
        clock_ms: Milliseconds that only go forward, from any start.
    """

    def __init__(self, clock_ms: Callable[[], float]) -> None:
        self._clock_ms = clock_ms
        self._queues: dict[str, dict[str, QueueData]] = {}
        """Topic → broker name → its queues."""
        self._brokers: dict[str, BrokerData] = {}
        """Broker name → its addresses."""
        self._clusters: dict[str, set[str]] = {}
        """Cluster → broker names."""
        self._live: dict[str, LiveBroker] = {}
        """Broker address → its last registration."""
        self._filter_servers: dict[str, list[str]] = {}
        """Broker address → its filter servers."""
        self._encoded_routes: dict[str, tuple[str | None, bytes]] = {}
        """Topic → (order configuration, encoded route); emptied by every change of a table."""

    # --- how much there is -----------------------------------------------------------------------------------------

    @property
    def address_count(self) -> int:
        """How many addresses are known, in the table that has most of them."""
        entered = sum(len(each.broker_addrs) for each in self._brokers.values())
        return max(entered, len(self._live), sum(map(len, self._clusters.values())))

    def adds_address(self, registration: Registration) -> bool:
        """Whether a registration brings an address, a name or a cluster that is not known together with the others."""
        name, address = registration.broker_name, registration.broker_addr
        known = self._brokers.get(name)
        return (
            address not in self._live
            or known is None
            or known.broker_addrs.get(registration.broker_id) != address
            or name not in self._clusters.get(registration.cluster_name, ())
        )

    def added_routes(self, registration: Registration) -> int:
        """How many topics a registration adds to those that its broker name has."""
        if registration.broker_id != MASTER_ID:
            return 0
        name = registration.broker_name
        topics = registration.topics.topic_config_table
        return sum(name not in self._queues.get(topic.topic_name or key, ()) for key, topic in topics.items())

    def route_count(self, broker_name: str | None = None) -> int:
        """How many pairs of a topic and a broker name there are, in all or of one name."""
        if broker_name is None:
            return sum(map(len, self._queues.values()))
        return sum(broker_name in by_broker for by_broker in self._queues.values())

    # --- brokers come and go ------------------------------------------------------------------------------------

    def register_broker(self, registration: Registration) -> MasterOf:
        """Enter or refresh a broker; an id is taken over silently by the last one that registers it.

        Topics that are missing in a registration stay.
        """
        return finish(self.register_broker_steps(registration))

    def register_broker_steps(self, registration: Registration) -> Steps[MasterOf]:
        """The same with a yield wherever the work may be interrupted."""
        address = registration.broker_addr
        is_new = self._enter_address(registration)
        is_changed = is_new or self.is_changed(address, registration.topics.data_version)
        if address not in self._live:
            logger.info(
                "broker registered broker=%s id=%d addr=%s", registration.broker_name, registration.broker_id, address
            )
        self._live[address] = LiveBroker(
            self._clock_ms(), registration.topics.data_version, registration.connection, registration.ha_server_addr
        )
        self._take_filter_servers(address, registration.filter_servers)
        if registration.broker_id == MASTER_ID:
            yield from self._take_topics(registration, is_changed)
        return self._master_of(registration)

    def _enter_address(self, registration: Registration) -> bool:
        """Enter id → address; whether the broker name or the id is new."""
        name, broker_id, address = registration.broker_name, registration.broker_id, registration.broker_addr
        self._clusters.setdefault(registration.cluster_name, set()).add(name)
        known = self._brokers.get(name)
        if known is None:
            known = BrokerData(cluster=registration.cluster_name, broker_name=name)
        # A slave that became master keeps its address: it must not stay in the table under its old id.
        addresses = {id_: each for id_, each in known.broker_addrs.items() if each != address or id_ == broker_id}
        addresses[broker_id] = address
        if addresses != known.broker_addrs:
            self._brokers[name] = replace(known, broker_addrs=addresses)
            self._encoded_routes.clear()
        return broker_id not in known.broker_addrs

    def _take_topics(self, registration: Registration, is_changed: bool) -> Steps[None]:
        """Take all topics of a new broker or version, and of a known one those that were lost meanwhile.

        What is there stays with an equal version: a write permission that was wiped comes back with a change only.
        """
        name = registration.broker_name
        live = self._live[registration.broker_addr]
        has_taken = is_changed
        for number, (key, topic) in enumerate(registration.topics.topic_config_table.items(), 1):
            if not number % _TOPICS_AT_ONCE:
                if has_taken:
                    self._encoded_routes.clear()
                yield
                if self._live.get(registration.broker_addr) is not live:
                    return  # it left meanwhile, or has registered again
            by_broker = self._queues.get(topic.topic_name or key, {})
            if is_changed or name not in by_broker:
                by_broker[name] = _queue_data(name, topic)
                self._queues[topic.topic_name or key] = by_broker
                has_taken = True
        if has_taken:
            self._encoded_routes.clear()

    def _take_filter_servers(self, address: str, filter_servers: list[str] | None) -> None:
        if filter_servers is None or filter_servers == self._filter_servers.get(address, []):
            return
        if filter_servers:
            self._filter_servers[address] = filter_servers
        else:
            del self._filter_servers[address]
        self._encoded_routes.clear()

    def _master_of(self, registration: Registration) -> MasterOf:
        known = self._brokers.get(registration.broker_name)
        if registration.broker_id == MASTER_ID or known is None:
            return MasterOf()
        master_addr = known.broker_addrs.get(MASTER_ID)
        master = None if master_addr is None else self._live.get(master_addr)
        return MasterOf() if master is None else MasterOf(master.ha_server_addr, master_addr)

    def unregister_broker(self, broker_name: str, broker_addr: str) -> None:
        """Remove a broker that says good-bye."""
        self._live.pop(broker_addr, None)
        self._filter_servers.pop(broker_addr, None)
        known = self._brokers.get(broker_name)
        if known is not None and broker_addr in known.broker_addrs.values():
            self._remove_address_of(known, broker_addr, "it unregistered")
        self._encoded_routes.clear()

    def connection_closed(self, connection: object) -> None:
        """Remove every broker whose last registration came over a connection that is closed now."""
        for address in [address for address, live in self._live.items() if live.connection is connection]:
            self._remove_address(address, "its connection closed")

    def remove_expired(self) -> list[Any]:
        """Remove brokers that stopped registering; returns their connections, which should be closed."""
        oldest_ms = self._clock_ms() - BROKER_CHANNEL_EXPIRED_MS
        expired = [(address, live) for address, live in self._live.items() if live.last_update_ms < oldest_ms]
        for address, _ in expired:
            self._remove_address(address, f"it did not register for {BROKER_CHANNEL_EXPIRED_MS // 1000} s")
        return [live.connection for _, live in expired]

    def _remove_address(self, address: str, reason: str) -> None:
        self._live.pop(address, None)
        self._filter_servers.pop(address, None)
        for known in [each for each in self._brokers.values() if address in each.broker_addrs.values()]:
            self._remove_address_of(known, address, reason)
        self._encoded_routes.clear()

    def _remove_address_of(self, known: BrokerData, address: str, reason: str) -> None:
        name = known.broker_name
        logger.info("broker removed broker=%s addr=%s reason=%s", name, address, reason)
        rest = {id_: each for id_, each in known.broker_addrs.items() if each != address}
        if rest:
            self._brokers[name] = replace(known, broker_addrs=rest)
            return
        del self._brokers[name]
        for cluster_name in [cluster_name for cluster_name, names in self._clusters.items() if name in names]:
            self._clusters[cluster_name].discard(name)
            if not self._clusters[cluster_name]:
                del self._clusters[cluster_name]
        for topic in list(self._queues):
            self._remove_queues(topic, [name])

    # --- data versions ------------------------------------------------------------------------------------------

    def is_changed(self, broker_addr: str, data_version: DataVersion) -> bool:
        """Whether a broker's topics differ from what is known; true when the broker is not known."""
        return self.data_version_of(broker_addr) != data_version

    def data_version_of(self, broker_addr: str) -> DataVersion | None:
        """Version of the topics that a broker registered last."""
        live = self._live.get(broker_addr)
        return None if live is None else live.data_version

    def refresh(self, broker_addr: str) -> None:
        """Count a sign of life of a broker."""
        live = self._live.get(broker_addr)
        if live is not None:
            live.last_update_ms = self._clock_ms()

    # --- topics -------------------------------------------------------------------------------------------------

    def encoded_route(self, topic: str, order_topic_conf: str | None) -> bytes | None:
        """Encode the route of a topic; None when it has no queues or no broker.

        The most frequent answer of a nameserver: kept until a table changes.
        """
        cached = self._encoded_routes.get(topic)
        if cached is not None and cached[0] == order_topic_conf:
            return cached[1]
        route = self._route(topic, order_topic_conf)
        if route is None:
            return None
        encoded = route.encode()
        self._encoded_routes[topic] = order_topic_conf, encoded
        return encoded

    def _route(self, topic: str, order_topic_conf: str | None) -> TopicRouteData | None:
        queues = self._queues.get(topic, {})
        brokers = [self._brokers[name] for name in queues if name in self._brokers]
        if not brokers:
            return None
        addresses = [address for broker in brokers for address in broker.broker_addrs.values()]
        return TopicRouteData(
            queue_datas=list(queues.values()),
            broker_datas=brokers,
            filter_server_table={
                each: self._filter_servers[each] for each in addresses if each in self._filter_servers
            },
            order_topic_conf=order_topic_conf,
        )

    def delete_topic(self, topic: str, cluster_name: str | None = None) -> None:
        """Remove a topic, everywhere or from the brokers of one cluster.

        A broker that has it brings it back with its next registration.
        """
        names = self._queues.get(topic, {}) if cluster_name is None else self._clusters.get(cluster_name, set())
        if topic in self._queues:
            self._remove_queues(topic, list(names))
            self._encoded_routes.clear()

    def _remove_queues(self, topic: str, broker_names: Iterable[str]) -> None:
        by_broker = self._queues[topic]
        for name in broker_names:
            by_broker.pop(name, None)
        if not by_broker:
            del self._queues[topic]

    def wipe_write_permission(self, broker_name: str) -> int:
        """Do `wipe_write_permission_steps` in one go."""
        return finish(self.wipe_write_permission_steps(broker_name))

    def wipe_write_permission_steps(self, broker_name: str) -> Steps[int]:
        """Make all queues of a broker name read-only until it registers a change; returns their topics' number."""
        return self._change_permission(broker_name, lambda perm: perm & ~Permission.WRITE)

    def add_write_permission(self, broker_name: str) -> int:
        """Do `add_write_permission_steps` in one go."""
        return finish(self.add_write_permission_steps(broker_name))

    def add_write_permission_steps(self, broker_name: str) -> Steps[int]:
        """Make all queues of a broker name readable and writable; returns their topics' number.

        Source: 4.9.7, which loses the inherit bit of template topics on the way; it is kept here.
        """
        return self._change_permission(broker_name, lambda perm: perm | Permission.READ | Permission.WRITE)

    def _change_permission(self, broker_name: str, change: Callable[[int], int]) -> Steps[int]:
        count = 0
        for tables in batched(list(self._queues.values()), _TOPICS_AT_ONCE):
            yield
            for by_broker in tables:
                queues = by_broker.get(broker_name)
                if queues is not None:
                    by_broker[broker_name] = replace(queues, perm=int(change(queues.perm)))
                    count += 1
            self._encoded_routes.clear()
        return count

    # --- lists --------------------------------------------------------------------------------------------------

    def topics(self) -> list[str]:
        """All topics."""
        return list(self._queues)

    def topics_of_cluster(self, cluster_name: str) -> list[str]:
        """Topics with queues on a broker of a cluster; none for an unknown cluster."""
        names = self._clusters.get(cluster_name, set())
        return [topic for topic, by_broker in self._queues.items() if not names.isdisjoint(by_broker)]

    def topics_by_flag(self, accepts: Callable[[int], bool]) -> list[str]:
        """Topics whose `topicSysFlag`, taken from their first queues, is accepted."""
        first_queues = ((topic, next(iter(by_broker.values()))) for topic, by_broker in self._queues.items())
        return [topic for topic, queues in first_queues if accepts(queues.topic_sys_flag or 0)]

    def cluster_info(self) -> ClusterInfo:
        """All clusters, broker names and addresses."""
        clusters = {cluster_name: sorted(names) for cluster_name, names in self._clusters.items()}
        return ClusterInfo(broker_addr_table=dict(self._brokers), cluster_addr_table=clusters)

    def any_broker_addr(self) -> str | None:
        """Address of some broker."""
        return next((each for broker in self._brokers.values() for each in broker.broker_addrs.values()), None)


def _queue_data(broker_name: str, topic: TopicConfig) -> QueueData:
    return QueueData(
        broker_name=broker_name,
        read_queue_nums=topic.read_queue_nums,
        write_queue_nums=topic.write_queue_nums,
        perm=topic.perm,
        topic_sys_flag=topic.topic_sys_flag,
    )
