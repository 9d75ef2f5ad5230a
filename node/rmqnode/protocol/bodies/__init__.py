"""Typed structs of the JSON bodies; each module holds the bodies about one thing.

Wire names are the attribute names in camel case. `Body.encode()` writes, `Body.decode(data)` reads and raises only
ProtocolErrors. Java's sets are lists here: their order on the wire is arbitrary.
Source: `common/protocol/{body,heartbeat,route}` (RocketMQ 4.5.2).
"""

from rmqnode.protocol.bodies.base import Body, DataVersion, MessageQueue
from rmqnode.protocol.bodies.clients import (
    CheckClientRequestBody,
    Connection,
    ConsumeFromWhere,
    ConsumerConnection,
    ConsumerData,
    ConsumeType,
    GetConsumerListByGroupResponseBody,
    HeartbeatData,
    LockBatchRequestBody,
    LockBatchResponseBody,
    MessageModel,
    ProducerConnection,
    ProducerData,
    SubscriptionData,
    UnlockBatchRequestBody,
)
from rmqnode.protocol.bodies.groups import (
    ConsumerOffsetSerializeWrapper,
    ConsumeStats,
    DelayOffsetSerializeWrapper,
    GroupList,
    OffsetMovedEvent,
    OffsetWrapper,
    SubscriptionGroupConfig,
    SubscriptionGroupWrapper,
)
from rmqnode.protocol.bodies.registration import (
    MalformedRegistration,
    RegisterBrokerBody,
    decode_compressed_registration,
)
from rmqnode.protocol.bodies.routes import (
    BrokerData,
    ClusterInfo,
    KVConfigSerializeWrapper,
    KVTable,
    QueueData,
    TopicRouteData,
)
from rmqnode.protocol.bodies.topics import (
    Permission,
    TopicConfig,
    TopicConfigSerializeWrapper,
    TopicFilterType,
    TopicList,
    TopicOffset,
    TopicStatsTable,
)

__all__ = [
    "Body",
    "BrokerData",
    "CheckClientRequestBody",
    "ClusterInfo",
    "Connection",
    "ConsumeFromWhere",
    "ConsumeStats",
    "ConsumeType",
    "ConsumerConnection",
    "ConsumerData",
    "ConsumerOffsetSerializeWrapper",
    "DataVersion",
    "DelayOffsetSerializeWrapper",
    "GetConsumerListByGroupResponseBody",
    "GroupList",
    "HeartbeatData",
    "KVConfigSerializeWrapper",
    "KVTable",
    "LockBatchRequestBody",
    "LockBatchResponseBody",
    "MalformedRegistration",
    "MessageModel",
    "MessageQueue",
    "OffsetMovedEvent",
    "OffsetWrapper",
    "Permission",
    "ProducerConnection",
    "ProducerData",
    "QueueData",
    "RegisterBrokerBody",
    "SubscriptionData",
    "SubscriptionGroupConfig",
    "SubscriptionGroupWrapper",
    "TopicConfig",
    "TopicConfigSerializeWrapper",
    "TopicFilterType",
    "TopicList",
    "TopicOffset",
    "TopicRouteData",
    "TopicStatsTable",
    "UnlockBatchRequestBody",
    "decode_compressed_registration",
]
