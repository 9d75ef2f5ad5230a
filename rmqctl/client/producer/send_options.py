"""What a send may be told beside its destination and content."""

from rmqctl.client.errors import InvalidArgument
from rmqctl.client.message import MessageOptions
from rmqctl.client.producer.queue_choice import ANYWHERE, Placement, QueueSelector
from rmqnode.protocol.bodies import MessageQueue


class SendOptions(MessageOptions, total=False):
    """What a send may be told, beside the message."""

    queue: MessageQueue | None
    """Send to this queue."""
    order_key: str | int | None
    """Send all messages with the same key to the same queue, as Java's `SelectMessageQueueByHash` does."""
    select: QueueSelector | None
    """Choose the queue: called with all that take messages."""
    timeout_seconds: float | None
    """For all attempts together; None takes the client's."""


def placement_of(options: SendOptions) -> Placement:
    """Return what the options say about the queue.

    Raises:
        InvalidArgument: More than one of them names it.
    """
    queue, order_key, select = options.get("queue"), options.get("order_key"), options.get("select")
    if queue is None and order_key is None and select is None:
        return ANYWHERE
    if (queue is not None) + (order_key is not None) + (select is not None) > 1:
        raise InvalidArgument("queue, order_key and select are given together", "each of them says which queue to take")
    return Placement(queue, order_key, select)
