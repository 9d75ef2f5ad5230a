"""Headers of requests to a nameserver, one struct each."""

from rmqnode.protocol.header_fields import I32, I64, Header


class PutKVConfigRequestHeader(Header):
    """Header of PUT_KV_CONFIG (100)."""

    namespace: str
    key: str
    value: str


class GetKVConfigRequestHeader(Header):
    """Header of GET_KV_CONFIG (101)."""

    namespace: str
    key: str


class GetKVConfigResponseHeader(Header):
    """Answer to GET_KV_CONFIG (101)."""

    value: str | None = None


class DeleteKVConfigRequestHeader(Header):
    """Header of DELETE_KV_CONFIG (102)."""

    namespace: str
    key: str


class RegisterBrokerRequestHeader(Header):
    """Header of REGISTER_BROKER (103); `body_crc32` 0 is not checked."""

    broker_name: str
    broker_addr: str
    cluster_name: str
    ha_server_addr: str
    broker_id: I64
    compressed: bool = False
    body_crc32: I32 = 0


class RegisterBrokerResponseHeader(Header):
    """Answer to REGISTER_BROKER (103); both fields only for a slave whose master is registered."""

    ha_server_addr: str | None = None
    master_addr: str | None = None


class UnregisterBrokerRequestHeader(Header):
    """Header of UNREGISTER_BROKER (104)."""

    broker_name: str
    broker_addr: str
    cluster_name: str
    broker_id: I64


class GetRouteInfoRequestHeader(Header):
    """Header of GET_ROUTEINTO_BY_TOPIC (105)."""

    topic: str
    accept_standard_json_only: bool = False
    """Since 4.9.4."""


class WipeWritePermOfBrokerRequestHeader(Header):
    """Header of WIPE_WRITE_PERM_OF_BROKER (205) and ADD_WRITE_PERM_OF_BROKER (327)."""

    broker_name: str


class WipeWritePermOfBrokerResponseHeader(Header):
    """Answer to WIPE_WRITE_PERM_OF_BROKER (205)."""

    wipe_topic_count: I32


class AddWritePermOfBrokerResponseHeader(Header):
    """Answer to ADD_WRITE_PERM_OF_BROKER (327)."""

    add_topic_count: I32


class DeleteTopicInNamesrvRequestHeader(Header):
    """Header of DELETE_TOPIC_IN_NAMESRV (216)."""

    topic: str
    cluster_name: str | None = None
    """Since 4.9: only the brokers of this cluster lose the topic."""


class GetKVListByNamespaceRequestHeader(Header):
    """Header of GET_KVLIST_BY_NAMESPACE (219)."""

    namespace: str


class GetTopicsByClusterRequestHeader(Header):
    """Header of GET_TOPICS_BY_CLUSTER (224)."""

    cluster: str


class QueryDataVersionRequestHeader(Header):
    """Header of QUERY_DATA_VERSION (322)."""

    broker_name: str
    broker_addr: str
    cluster_name: str
    broker_id: I64


class QueryDataVersionResponseHeader(Header):
    """Answer to QUERY_DATA_VERSION (322)."""

    changed: bool
