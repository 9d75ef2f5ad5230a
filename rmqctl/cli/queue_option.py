"""`--queue [BROKER:]ID`: which queue of a topic is meant."""

from typing import NamedTuple

from rmqctl.errors import UsageError
from rmqnode.protocol.bodies import MessageQueue


class QueueChoice(NamedTuple):
    """A queue id, of one broker or of any."""

    broker: str | None
    queue_id: int

    def wants(self, queue: MessageQueue) -> bool:
        """Whether this queue is meant."""
        return queue.queue_id == self.queue_id and self.broker in (None, queue.broker_name)


def parse_queue(text: str) -> QueueChoice:
    """Read `ID` or `BROKER:ID`.

    Raises:
        UsageError: There is no number where one should be.
    """
    broker, _, number = text.rpartition(":")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise UsageError(f"--queue {text!r} names no queue", cure="--queue 0, or --queue broker-a:0")
    return QueueChoice(broker or None, int(number))
