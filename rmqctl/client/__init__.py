"""The client of rmqctl: trio-native, typed, for any RocketMQ 4.5 or later cluster, ours or Apache's.

    async with Producer("shop", nameserver="127.0.0.1:9876") as producer:
        result = await producer.send("orders:paid", {"id": 7}, key="7")

Sending: `Producer`. Consuming as a group: `PushConsumer`, `PullConsumer`. Administration: `Admin`. Reading without a
group: `Follower`. They share connections when they share a `Client`. All errors are `ClientError`s. Nothing here
prints, reads a terminal or knows which cluster a user means.

A name is loaded from its module when it is first asked for: a program that sends loads no consumer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rmqctl.client.admin.admin import Admin
    from rmqctl.client.admin.topics import QueueState, TopicAdmin, TopicSpec
    from rmqctl.client.client import Client, ClientOptions
    from rmqctl.client.connection import ClusterConnection
    from rmqctl.client.consumer import PullConsumer, PushConsumer, QueueLimits, QueueRead, ReceivedMessage, Retry
    from rmqctl.client.errors import (
        BadReply,
        BodyDamaged,
        BrokerUnreachable,
        ClientError,
        GroupNotFound,
        InvalidArgument,
        NameserverUnreachable,
        NoMaster,
        NoQueue,
        NotRoutedInTime,
        RequestRefused,
        RequestTimedOut,
        TopicNotFound,
    )
    from rmqctl.client.follower.follower import Follower
    from rmqctl.client.message import Message, SendResult, SendStatus
    from rmqctl.client.names import Destination, Subscription, parse_destination, parse_subscription
    from rmqctl.client.producer import HalfMessageNotSafe, PendingSend, Producer, Transaction, TransactionState
    from rmqctl.client.pull import PullStatus
    from rmqctl.client.replies import NoReply
    from rmqctl.client.routes import BrokerRoute, RouteTable, TopicRoute
    from rmqctl.client.start_position import Earliest, Latest, Since, StartPosition, parse_start
    from rmqnode.protocol.bodies import MessageQueue

_HOMES: Final = {
    "Admin": "admin.admin",
    "BadReply": "errors",
    "BodyDamaged": "errors",
    "BrokerRoute": "routes",
    "BrokerUnreachable": "errors",
    "Client": "client",
    "ClientError": "errors",
    "ClientOptions": "client",
    "ClusterConnection": "connection",
    "Destination": "names",
    "Earliest": "start_position",
    "Follower": "follower.follower",
    "GroupNotFound": "errors",
    "HalfMessageNotSafe": "producer",
    "InvalidArgument": "errors",
    "Latest": "start_position",
    "Message": "message",
    "MessageQueue": "routes",
    "NameserverUnreachable": "errors",
    "NoMaster": "errors",
    "NoQueue": "errors",
    "NoReply": "replies",
    "NotRoutedInTime": "errors",
    "PendingSend": "producer",
    "Producer": "producer",
    "PullConsumer": "consumer",
    "PullStatus": "pull",
    "PushConsumer": "consumer",
    "QueueLimits": "consumer",
    "QueueRead": "consumer",
    "QueueState": "admin.topics",
    "ReceivedMessage": "consumer",
    "RequestRefused": "errors",
    "RequestTimedOut": "errors",
    "Retry": "consumer",
    "RouteTable": "routes",
    "SendResult": "message",
    "SendStatus": "message",
    "Since": "start_position",
    "StartPosition": "start_position",
    "Subscription": "names",
    "TopicAdmin": "admin.topics",
    "TopicNotFound": "errors",
    "TopicRoute": "routes",
    "TopicSpec": "admin.topics",
    "Transaction": "producer",
    "TransactionState": "producer",
    "parse_destination": "names",
    "parse_start": "start_position",
    "parse_subscription": "names",
}
"""Module, below this package, of each public name."""

__all__ = [
    "Admin",
    "BadReply",
    "BodyDamaged",
    "BrokerRoute",
    "BrokerUnreachable",
    "Client",
    "ClientError",
    "ClientOptions",
    "ClusterConnection",
    "Destination",
    "Earliest",
    "Follower",
    "GroupNotFound",
    "HalfMessageNotSafe",
    "InvalidArgument",
    "Latest",
    "Message",
    "MessageQueue",
    "NameserverUnreachable",
    "NoMaster",
    "NoQueue",
    "NoReply",
    "NotRoutedInTime",
    "PendingSend",
    "Producer",
    "PullConsumer",
    "PullStatus",
    "PushConsumer",
    "QueueLimits",
    "QueueRead",
    "QueueState",
    "ReceivedMessage",
    "RequestRefused",
    "RequestTimedOut",
    "Retry",
    "RouteTable",
    "SendResult",
    "SendStatus",
    "Since",
    "StartPosition",
    "Subscription",
    "TopicAdmin",
    "TopicNotFound",
    "TopicRoute",
    "TopicSpec",
    "Transaction",
    "TransactionState",
    "parse_destination",
    "parse_start",
    "parse_subscription",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
