"""A message as an application gets it: under its own topic, its body as the producer gave it.

A redelivered message lies in the group's retry topic; here it is shown under the topic that it was sent to.
Source: `DefaultMQPushConsumerImpl#resetRetryAndNamespace` (RocketMQ 4.5.2), differs: the body is decompressed when
it is first asked for, so that one which can't be read fails its handler and ends in the dead-letter queue, where Java
silently leaves it and all behind it out; and it is compared with its CRC then, which Java's clients never look at.
"""

from typing import Any

from rmqctl.client.compression import decompressed_body
from rmqctl.client.errors import BodyDamaged
from rmqctl.client.names import RETRY_PREFIX
from rmqctl.documents import decode_json
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage
from rmqnode.protocol.properties import PropertyName


class ReceivedMessage:
    """One message of a queue.

    Args:
        stored: As the broker handed it out.
        queue: Where it lies; its topic is the retry topic for one that is delivered again.
    """

    __slots__ = ("_body", "queue", "reconsume_times", "stored", "topic")

    def __init__(self, stored: StoredMessage, queue: MessageQueue) -> None:
        self.stored = stored
        self.queue = queue
        self.topic = original_topic(stored)
        self.reconsume_times = stored.reconsume_times
        """How often it failed before; an orderly consumer counts its own tries on top."""
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The body, decompressed.

        Raises:
            BodyDamaged: It is not what was stored. `stored.body` has its bytes, for whoever wants to save some.
            MalformedMessage: It is compressed in a way that can't be read here.
        """
        if self._body is None:
            if self.stored.has_damaged_body:
                raise BodyDamaged(self.stored, self.queue)
            self._body = decompressed_body(self.stored)
        return self._body

    @property
    def is_damaged(self) -> bool:
        """Whether the body differs from its CRC, so that asking for it raises `BodyDamaged`. Computed each time."""
        return self.stored.has_damaged_body

    @property
    def text(self) -> str:
        """The body as UTF-8 text; what is none raises UnicodeDecodeError."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as a JSON value; what is none raises `msgspec.DecodeError`."""
        return decode_json(self.body)

    @property
    def tag(self) -> str | None:
        """The tag of the message."""
        return self.stored.properties.get(PropertyName.TAGS)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys by which it can be looked up."""
        return tuple(self.stored.properties.get(PropertyName.KEYS, "").split())

    @property
    def properties(self) -> dict[str, str]:
        """All properties, those of the system included."""
        return self.stored.properties

    @property
    def message_id(self) -> str:
        """The producer's unique key, the same in every delivery."""
        return self.stored.message_id

    @property
    def offset_message_id(self) -> str:
        """The broker's id of this copy: its address and physical offset."""
        return self.stored.offset_message_id

    @property
    def queue_offset(self) -> int:
        """Where it lies in its queue."""
        return self.stored.queue_offset

    @property
    def born_timestamp(self) -> int:
        """Producer's clock, ms since the epoch."""
        return self.stored.born_timestamp

    @property
    def store_timestamp(self) -> int:
        """Broker's clock, ms since the epoch."""
        return self.stored.store_timestamp

    def __repr__(self) -> str:
        place = f"{self.queue.broker_name} queue {self.queue.queue_id} offset {self.queue_offset}"
        return f"<ReceivedMessage {self.message_id} of {self.topic} in {place}>"


def original_topic(stored: StoredMessage) -> str:
    """Return the topic that a message was sent to, also when it lies in a retry topic."""
    if stored.topic.startswith(RETRY_PREFIX):
        return stored.properties.get(PropertyName.RETRY_TOPIC, stored.topic)
    return stored.topic
