"""The client of rmqctl: trio-native, typed, for any RocketMQ 4.5 or later cluster, ours or Apache's.

    async with Producer("shop", nameserver="127.0.0.1:9876") as producer:
        result = await producer.send("orders:paid", {"id": 7}, key="7")

Sending: `Producer`. Topics: `Admin`. Reading without a group: `Follower`, or `pull` for a single queue. They share
connections when they share a `Client`. All errors are `ClientError`s. Nothing here prints, reads a terminal or knows
which cluster a user means.
"""

from rmqctl.client.admin import Admin
from rmqctl.client.client import Client, ClientOptions
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.consumer import PullConsumer, PushConsumer, QueueLimits, QueueRead, ReceivedMessage, Retry
from rmqctl.client.errors import (
    BadReply,
    BrokerUnreachable,
    ClientError,
    InvalidArgument,
    NameserverUnreachable,
    NoMaster,
    NoQueue,
    NotRoutedInTime,
    RequestRefused,
    RequestTimedOut,
    TopicNotFound,
)
from rmqctl.client.follow import Follower
from rmqctl.client.message import Message, SendResult, SendStatus
from rmqctl.client.names import Destination, Subscription, parse_destination, parse_subscription
from rmqctl.client.producer import HalfMessageNotSafe, PendingSend, Producer, Transaction, TransactionState
from rmqctl.client.pull import PullResult, PullStatus, pull
from rmqctl.client.replies import NoReply
from rmqctl.client.routes import BrokerRoute, RouteTable, TopicRoute
from rmqctl.client.start_position import Earliest, Latest, Since, StartPosition, parse_start
from rmqctl.client.topic_admin import QueueState, TopicAdmin, TopicSpec

__all__ = [
    "Admin",
    "BadReply",
    "BrokerRoute",
    "BrokerUnreachable",
    "Client",
    "ClientError",
    "ClientOptions",
    "ClusterConnection",
    "Destination",
    "Earliest",
    "Follower",
    "HalfMessageNotSafe",
    "InvalidArgument",
    "Latest",
    "Message",
    "NameserverUnreachable",
    "NoMaster",
    "NoQueue",
    "NoReply",
    "NotRoutedInTime",
    "PendingSend",
    "Producer",
    "PullConsumer",
    "PullResult",
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
    "pull",
]
