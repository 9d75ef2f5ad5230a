"""The limits of a node: how much its peers may make it hold, in all. docs/limits.md is generated from these fields.

Each limit is a field of a config; what happens at the limit is the second sentence of its text.
"""

from dataclasses import dataclass
from typing import Final

from rmqnode.config import kinds
from rmqnode.config.setting import prop

MIB: Final = 1024 * 1024

FRAME_SIZE_BYTES_MAX: Final = 16 * MIB
"""The longest frame that a peer may send; a budget of bytes must have room for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeLimits:
    """Limits that a nameserver and a broker have."""

    connections_max: int = prop("connectionsMax", 8192, kinds.integer(8, 1 << 20))
    """Connections in all, at most as many as the descriptors of the process leave. A connection that never asked
    anything gives way to a newcomer, then one that was silent for a minute; else the newcomer is refused."""
    connections_per_address_max: int = prop("connectionsPerAddressMax", 0, kinds.integer(0, 1 << 20))
    """Connections from one address that is not of the loopback; 0 for half of `connectionsMax`. The newcomer is
    refused."""
    bytes_in_flight_max: int = prop(
        "bytesInFlightMax", 64 * MIB, kinds.integer(2 * FRAME_SIZE_BYTES_MAX, kinds.INT_MAX)
    )
    """Bytes of frames that are not complete or not handled, and of answers that peers have not taken, over all
    connections. A peer that takes no answers is not read from; the connections that hold most are closed, stalled ones
    first, and none below its fair share."""
    partial_frame_timeout_ms: int = prop("partialFrameTimeoutMillis", 10_000, kinds.duration_ms(100, 3_600_000))
    """How long a peer that has begun a frame may send nothing, in ms. Its connection is closed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerLimits(NodeLimits):
    """Limits of a broker."""

    held_pulls_max: int = prop("heldPullsMax", 50_000, kinds.integer(1, 1_000_000))
    """Pulls that wait for a message; one that brings a long subscription counts more than once. The pulls of the
    connection that has most are answered as after their time."""
    topics_max: int = prop("topicsMax", 20_000, kinds.integer(16, 1_000_000))
    """Topics, without retry and dead-letter topics. A new topic is refused."""
    groups_max: int = prop("groupsMax", 20_000, kinds.integer(16, 1_000_000))
    """Consumer groups with a configuration. A new group is refused."""
    consumer_offsets_max: int = prop("consumerOffsetsMax", 100_000, kinds.integer(1, 10_000_000))
    """Consumer offsets, one for each queue that a group has read; they never expire. A commit to a queue for which
    the group has none yet is refused, unless the group and the queue exist."""
    clients_max: int = prop("clientsMax", 50_000, kinds.integer(1, 1_000_000))
    """Memberships in producer and consumer groups, one for each connection and group. The connection with most is
    closed, or its heartbeat refused."""
    subscriptions_max: int = prop("subscriptionsMax", 50_000, kinds.integer(1, 1_000_000))
    """Topics that consumer groups which are online subscribe; one with a long expression counts more than once. A
    heartbeat that adds to them is refused."""
    queue_locks_max: int = prop("queueLocksMax", 50_000, kinds.integer(1, 1_000_000))
    """Queues that orderly consumers have locked; a lock ends 60 s after its last renewal. A client with less than its
    fair share takes the place of locks of the client that has most; others get none."""
    filters_max: int = prop("filtersMax", 10_000, kinds.integer(1, 1_000_000))
    """SQL92 filters that consumer groups registered, also those of groups that have left. A new one is not
    registered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NameserverLimits(NodeLimits):
    """Limits of a nameserver."""

    brokers_max: int = prop("brokersMax", 2000, kinds.integer(1, 100_000))
    """Addresses of brokers. The registration of a new one is refused."""
    routes_max: int = prop("routesMax", 200_000, kinds.integer(16, 10_000_000))
    """Pairs of a topic and a broker name that has it; one broker name may have half of them. A registration that
    adds to them is refused."""
    kv_config_max: int = prop("kvConfigMax", 10_000, kinds.integer(1, 1_000_000))
    """Keys of the KV table in all namespaces. A new key is refused."""
