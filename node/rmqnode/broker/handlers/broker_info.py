"""What a broker says about itself.

Source: `AdminBrokerProcessor` (RocketMQ 4.5.2).
"""

from rmqnode.broker.runtime_info import runtime_info
from rmqnode.broker.state import Broker
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.headers import NoHeader
from rmqnode.protocol.routes import Reply, Request


def get_broker_runtime_info(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Answer the broker's figures; a slave asks its master for the ends of its log here."""
    return Reply(body=KVTable(table=runtime_info(broker)).encode())
