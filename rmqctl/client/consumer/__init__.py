"""Members of consumer groups: sharing queues, consuming, retrying, keeping offsets.

push_consumer ─▶ rebalance ─▶ pulling ─▶ concurrent | orderly ─▶ handler_calls
│            │             │
allocation, queue_start     process_queue   retry            offset_store, group_requests ask brokers
"""

from rmqctl.client.consumer.process_queue import QueueLimits
from rmqctl.client.consumer.pull_consumer import PullConsumer, QueueRead
from rmqctl.client.consumer.push_consumer import PushConsumer
from rmqctl.client.consumer.retry import Retry
from rmqctl.client.received import ReceivedMessage

__all__ = ["PullConsumer", "PushConsumer", "QueueLimits", "QueueRead", "ReceivedMessage", "Retry"]
