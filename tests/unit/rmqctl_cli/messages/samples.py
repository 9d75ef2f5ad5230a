"""A message as a broker would have stored it, for tests of how messages are printed and read back."""

from typing import Any

import msgspec

from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import Host, StoredMessage, crc_of_body

QUEUE = MessageQueue(topic="T", broker_name="broker-a", queue_id=1)

_MESSAGE = StoredMessage(
    topic="T",
    queue_id=1,
    flag=0,
    queue_offset=15,
    physical_offset=4096,
    sys_flag=0,
    born_timestamp=1_700_000_000_000,
    born_host=Host(bytes((10, 0, 0, 7)), 4711),
    store_timestamp=1_700_000_000_123,
    store_host=Host(bytes((10, 0, 0, 1)), 10911),
    reconsume_times=0,
    prepared_transaction_offset=0,
    body=b"hello",
    body_crc=crc_of_body(b"hello"),
    properties={"TAGS": "paid", "KEYS": "k1 k2", "UNIQ_KEY": "ID"},
    size_bytes=200,
)


def stored_message(**changes: Any) -> StoredMessage:
    """Message 15 of `QUEUE`, with changes."""
    return changed_message(_MESSAGE, **changes)


def changed_message(message: StoredMessage, **changes: Any) -> StoredMessage:
    """A message as if it had been stored with changes: another body has its own CRC, unless one is given."""
    if "body" in changes:
        changes = {"body_crc": crc_of_body(changes["body"]), **changes}
    return msgspec.structs.replace(message, **changes)
