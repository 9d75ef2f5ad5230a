"""Messages for tests of the consumer, as a broker would have stored them."""

from rmqnode.protocol.message import Host, StoredMessage, crc_of_body


def stored_message(
    queue_offset: int,
    *,
    body: bytes = b"hello",
    tag: str | None = None,
    topic: str = "orders",
    properties: dict[str, str] | None = None,
    reconsume_times: int = 0,
    sys_flag: int = 0,
    is_damaged: bool = False,
) -> StoredMessage:
    """A message of broker 127.0.0.1:10911."""
    return StoredMessage(
        topic=topic,
        queue_id=0,
        flag=0,
        queue_offset=queue_offset,
        physical_offset=1000 * queue_offset,
        sys_flag=sys_flag,
        born_timestamp=1,
        born_host=Host(bytes((127, 0, 0, 1)), 5000),
        store_timestamp=2,
        store_host=Host(bytes((127, 0, 0, 1)), 10911),
        reconsume_times=reconsume_times,
        prepared_transaction_offset=0,
        body=body,
        body_crc=crc_of_body(body) ^ is_damaged,
        properties={**({"TAGS": tag} if tag else {}), **(properties or {})},
        size_bytes=100 + len(body),
    )
