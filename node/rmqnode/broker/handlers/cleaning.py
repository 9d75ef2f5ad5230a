"""Deleting what the store keeps for nobody: expired files, emptied queues, queues of topics that are gone.

Source: `AdminBrokerProcessor#cleanExpiredConsumeQueue`, `#cleanUnusedTopic` (RocketMQ 4.5.2), `#deleteExpiredCommitLog`
(4.9). Differs: transaction queues are spared, which 4.5.2 deletes.
"""

from rmqnode.broker.state import Broker
from rmqnode.protocol.headers import NoHeader
from rmqnode.protocol.routes import Reply, Request


def delete_expired_commit_log(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Delete commit log files whose time is over, at once and at any hour."""
    broker.cleaning.clean_soon()
    return Reply()


def clean_expired_consume_queue(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Delete the queues whose messages are all gone from the commit log."""
    broker.store.delete_expired_queues()
    return Reply()


def clean_unused_topic(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Delete the queues of topics that are not in the topic table."""
    broker.store.delete_unused_topics(broker.topics.all)
    return Reply()
