"""The order configuration of topics: which brokers serve an ordered topic, and with how many queues.

It is kept in the KV table of the nameservers; an entry reads `broker-a:4;broker-b:4`. Brokers take their topics'
order flag from it, and a nameserver with `orderMessageEnable=true` hands it to producers.
Source: `DefaultMQAdminExtImpl#createOrUpdateOrderConf` (RocketMQ 4.5.2).
"""

from collections.abc import Mapping
from typing import Final

from rmqctl.client.connection import SUCCESS, ClusterConnection
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import (
    DeleteKVConfigRequestHeader,
    GetKVConfigRequestHeader,
    GetKVConfigResponseHeader,
    PutKVConfigRequestHeader,
)

NAMESPACE: Final = "ORDER_TOPIC_CONFIG"

_FOUND_OR_NOT: Final = SUCCESS | {int(ResponseCode.QUERY_NOT_FOUND)}


async def put_order_config(connection: ClusterConnection, topic: str, queues: Mapping[str, int]) -> str:
    """Set the queues of an ordered topic for the given brokers on every nameserver; others keep theirs.

    Returns:
        The entry as it is now.
    """
    header = GetKVConfigRequestHeader(namespace=NAMESPACE, key=topic)
    answer = await connection.ask_nameserver(RequestCode.GET_KV_CONFIG, header, success=_FOUND_OR_NOT, topic=topic)
    value = answer.header(GetKVConfigResponseHeader).value or ""
    entry = merged_entry(value, queues)
    await connection.ask_every_nameserver(
        RequestCode.PUT_KV_CONFIG, PutKVConfigRequestHeader(namespace=NAMESPACE, key=topic, value=entry), topic=topic
    )
    return entry


async def delete_order_config(connection: ClusterConnection, topic: str) -> None:
    """Remove the entry of a topic from every nameserver; there need be none."""
    header = DeleteKVConfigRequestHeader(namespace=NAMESPACE, key=topic)
    await connection.ask_every_nameserver(RequestCode.DELETE_KV_CONFIG, header, topic=topic)


def merged_entry(entry: str, queues: Mapping[str, int]) -> str:
    """Return an entry with the counts of some brokers replaced or added, ordered by broker name."""
    counts = dict(part.partition(":")[::2] for part in entry.split(";") if part.partition(":")[2])
    counts |= {broker: str(count) for broker, count in queues.items()}
    return ";".join(f"{broker}:{count}" for broker, count in sorted(counts.items()))
