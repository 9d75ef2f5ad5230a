"""Refusing sends while the broker cannot keep up, before anything of them is stored.

There is no thread pool that could be full. What can be behind is a connection that has sent more than its turns let the
broker handle, and, with SYNC_FLUSH or SYNC_MASTER, the answers that wait for disk or slave. Clients of 4.x give up on a
refused send (SYSTEM_BUSY), so the limits are Apache's.
Source: `BrokerFastFailure`, `NettyRemotingAbstract#processRequestCommand` (RocketMQ 4.5.2). Differs: only time counts
in which the broker worked; Apache's refuses sends too when its machine stood still.
"""

from rmqnode.broker.state import Broker
from rmqnode.net.connection import Connection
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.codes import ResponseCode


def refuse_when_busy(broker: Broker, connection: Connection) -> None:
    """Refuse a send that waited too long since it was read, or behind which too many wait for their answer.

    Raises:
        RequestError: SYSTEM_BUSY; the producer shall slow down.
    """
    config = broker.config
    waited_ms = int(connection.queued_seconds * 1000)
    if waited_ms > config.wait_time_in_send_queue_ms and config.broker_fast_failure_enable:
        remark = (
            "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, "
            f"period in queue: {waited_ms}ms, size of queue: {connection.queued_count}"
        )
        raise RequestError(ResponseCode.SYSTEM_BUSY, remark)
    if not broker.is_durable_at_once and broker.unanswered_sends >= config.send_thread_pool_queue_capacity:
        remark = "[OVERLOAD]system busy, start flow control for a while"
        raise RequestError(ResponseCode.SYSTEM_BUSY, remark)
