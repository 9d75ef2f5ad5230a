"""Headers about the clients of a broker: who they are, who is told of whom, one struct each."""

import msgspec

from rmqnode.protocol.header_fields import Header


class UnregisterClientRequestHeader(Header):
    """Header of UNREGISTER_CLIENT (35)."""

    client_id: str = msgspec.field(name="clientID")
    producer_group: str | None = None
    consumer_group: str | None = None


class UnregisterClientResponseHeader(Header):
    """Answer to UNREGISTER_CLIENT (35): no fields, an empty map on the wire."""


class GetConsumerListByGroupRequestHeader(Header):
    """Header of GET_CONSUMER_LIST_BY_GROUP (38) and GET_CONSUMER_CONNECTION_LIST (203)."""

    consumer_group: str


class NotifyConsumerIdsChangedRequestHeader(Header):
    """Header of NOTIFY_CONSUMER_IDS_CHANGED (40), broker to client."""

    consumer_group: str


class GetProducerConnectionListRequestHeader(Header):
    """Header of GET_PRODUCER_CONNECTION_LIST (204)."""

    producer_group: str
