"""What a nameserver answers: one plain function per request code, called by the table in `routes`.

A handler takes the nameserver and a decoded request and returns a reply, or raises `RequestError` with the response
code and remark of a refusal. No sockets, tasks or clocks.

Source: `DefaultRequestProcessor` of the nameserver (RocketMQ 4.5.2); remarks are literal, clients match them.
"""

import logging
import zlib
from collections.abc import Callable
from typing import TypeVar

from rmqnode.config import ConfigError, config_properties, masked_properties, parse_properties, render_properties
from rmqnode.config_changes import NotChangeable
from rmqnode.nameserver.kv_config import ORDER_TOPIC_CONFIG
from rmqnode.nameserver.route_info import Registration
from rmqnode.nameserver.state import Nameserver
from rmqnode.net.dispatch import RequestError
from rmqnode.net.slices import InSlices, Steps, in_slices
from rmqnode.net.written_table import AfterWrite, after_write
from rmqnode.protocol.bodies import (
    DataVersion,
    KVTable,
    TopicConfigSerializeWrapper,
    TopicList,
    decode_compressed_registration_steps,
    decode_registration_steps,
)
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.headers import (
    AddWritePermOfBrokerResponseHeader,
    DeleteKVConfigRequestHeader,
    DeleteTopicInNamesrvRequestHeader,
    GetKVConfigRequestHeader,
    GetKVConfigResponseHeader,
    GetKVListByNamespaceRequestHeader,
    GetRouteInfoRequestHeader,
    GetTopicsByClusterRequestHeader,
    NoHeader,
    PutKVConfigRequestHeader,
    QueryDataVersionRequestHeader,
    QueryDataVersionResponseHeader,
    RegisterBrokerRequestHeader,
    RegisterBrokerResponseHeader,
    UnregisterBrokerRequestHeader,
    WipeWritePermOfBrokerRequestHeader,
    WipeWritePermOfBrokerResponseHeader,
)
from rmqnode.protocol.routes import Reply, Request

logger = logging.getLogger(__name__)

T = TypeVar("T")

VERSION_V3_0_11 = 37
"""Brokers before this version send their topics without a list of filter servers around them."""

TOPIC_SYS_FLAG_UNIT = 1
TOPIC_SYS_FLAG_UNIT_SUB = 2


# --- brokers --------------------------------------------------------------------------------------------------------


def register_broker(nameserver: Nameserver, request: Request[RegisterBrokerRequestHeader]) -> Reply | InSlices:
    """REGISTER_BROKER (103): a broker's address and topics; also its sign of life."""
    header = request.header
    if header.body_crc32 != 0 and header.body_crc32 != zlib.crc32(request.body) & 0x7FFFFFFF:
        raise RequestError(ResponseCode.SYSTEM_ERROR, "crc32 not match")
    return in_slices(_register_broker(nameserver, request))


def _register_broker(nameserver: Nameserver, request: Request[RegisterBrokerRequestHeader]) -> Steps[Reply]:
    header = request.header
    topics, filter_servers = yield from _decode_registration(request)
    registration = Registration(
        cluster_name=header.cluster_name,
        broker_name=header.broker_name,
        broker_addr=header.broker_addr,
        broker_id=header.broker_id,
        ha_server_addr=header.ha_server_addr,
        topics=topics,
        filter_servers=filter_servers,
        connection=request.connection,
    )
    nameserver.budgets.check_registration(nameserver.route_info, registration)
    master = yield from nameserver.route_info.register_broker_steps(registration)
    order_topics = nameserver.kv_config.namespace(ORDER_TOPIC_CONFIG)
    return Reply(
        header=RegisterBrokerResponseHeader(ha_server_addr=master.ha_server_addr, master_addr=master.master_addr),
        body=b"" if order_topics is None else (yield from KVTable(table=order_topics).encode_steps()),
    )


def _decode_registration(
    request: Request[RegisterBrokerRequestHeader],
) -> Steps[tuple[TopicConfigSerializeWrapper, list[str] | None]]:
    """Read topics and filter servers (None: not told) of any form of the body."""
    if request.version < VERSION_V3_0_11:
        wrapper = _decoded(request.body, TopicConfigSerializeWrapper.decode_request, TopicConfigSerializeWrapper())
        return wrapper, None
    if not request.body:
        return TopicConfigSerializeWrapper(), []
    decode = decode_compressed_registration_steps if request.header.compressed else decode_registration_steps
    try:
        body = yield from decode(request.body)
    except ProtocolError as error:
        raise _undecodable(error) from None
    return body.topic_config_serialize_wrapper, body.filter_server_list


def _decoded(body: bytes, decode: Callable[[bytes], T], absent: T) -> T:
    if not body:
        return absent
    try:
        return decode(body)
    except ProtocolError as error:
        raise _undecodable(error) from None


def _undecodable(error: ProtocolError) -> RequestError:
    return RequestError(ResponseCode.SYSTEM_ERROR, f"Failed to decode the body: {error}")


def unregister_broker(nameserver: Nameserver, request: Request[UnregisterBrokerRequestHeader]) -> Reply:
    """UNREGISTER_BROKER (104): a broker shuts down."""
    header = request.header
    nameserver.route_info.unregister_broker(header.broker_name, header.broker_addr)
    return Reply()


def query_data_version(nameserver: Nameserver, request: Request[QueryDataVersionRequestHeader]) -> Reply:
    """QUERY_DATA_VERSION (322): whether a broker has to register; "no" counts as its sign of life."""
    address = request.header.broker_addr
    changed = nameserver.route_info.is_changed(
        address, _decoded(request.body, DataVersion.decode_request, DataVersion())
    )
    if not changed:
        nameserver.route_info.refresh(address)
    known = nameserver.route_info.data_version_of(address)
    return Reply(header=QueryDataVersionResponseHeader(changed=changed), body=b"" if known is None else known.encode())


def get_broker_cluster_info(nameserver: Nameserver, request: Request[NoHeader]) -> Reply:
    """GET_BROKER_CLUSTER_INFO (106): all clusters and brokers."""
    return Reply(body=nameserver.route_info.cluster_info().encode())


def wipe_write_perm_of_broker(
    nameserver: Nameserver, request: Request[WipeWritePermOfBrokerRequestHeader]
) -> Reply | InSlices:
    """WIPE_WRITE_PERM_OF_BROKER (205): producers leave a broker name before it is shut down."""
    return in_slices(_wipe_write_perm(nameserver, request.header.broker_name))


def _wipe_write_perm(nameserver: Nameserver, broker_name: str) -> Steps[Reply]:
    count = yield from nameserver.route_info.wipe_write_permission_steps(broker_name)
    return Reply(header=WipeWritePermOfBrokerResponseHeader(wipe_topic_count=count))


def add_write_perm_of_broker(
    nameserver: Nameserver, request: Request[WipeWritePermOfBrokerRequestHeader]
) -> Reply | InSlices:
    """ADD_WRITE_PERM_OF_BROKER (327, since 4.9): undoes WIPE_WRITE_PERM_OF_BROKER."""
    return in_slices(_add_write_perm(nameserver, request.header.broker_name))


def _add_write_perm(nameserver: Nameserver, broker_name: str) -> Steps[Reply]:
    count = yield from nameserver.route_info.add_write_permission_steps(broker_name)
    return Reply(header=AddWritePermOfBrokerResponseHeader(add_topic_count=count))


# --- topics ---------------------------------------------------------------------------------------------------------


def get_route_info_by_topic(nameserver: Nameserver, request: Request[GetRouteInfoRequestHeader]) -> Reply:
    """GET_ROUTEINTO_BY_TOPIC (105): brokers and queues of a topic, in JSON that strict parsers read too."""
    topic = request.header.topic
    encoded = nameserver.route_info.encoded_route(topic, nameserver.order_topic_conf(topic))
    if encoded is None:
        remark = (
            f"No topic route info in name server for the topic: {topic}"
            "\nSee http://rocketmq.apache.org/docs/faq/ for further details."
        )
        return Reply(ResponseCode.TOPIC_NOT_EXIST, remark)
    return Reply(body=encoded)


def get_all_topic_list_from_nameserver(nameserver: Nameserver, request: Request[NoHeader]) -> Reply | InSlices:
    """GET_ALL_TOPIC_LIST_FROM_NAMESERVER (206)."""
    return _topic_list(nameserver.route_info.topics())


def get_topics_by_cluster(
    nameserver: Nameserver, request: Request[GetTopicsByClusterRequestHeader]
) -> Reply | InSlices:
    """GET_TOPICS_BY_CLUSTER (224): empty for an unknown cluster."""
    return _topic_list(nameserver.route_info.topics_of_cluster(request.header.cluster))


def get_system_topic_list_from_ns(nameserver: Nameserver, request: Request[NoHeader]) -> Reply | InSlices:
    """GET_SYSTEM_TOPIC_LIST_FROM_NS (304): topics named like clusters and brokers, and a broker to ask for more."""
    clusters = nameserver.route_info.cluster_info().cluster_addr_table
    names = [each for cluster_name, broker_names in clusters.items() for each in (cluster_name, *broker_names)]
    return _topic_list(names, nameserver.route_info.any_broker_addr())


def get_unit_topic_list(nameserver: Nameserver, request: Request[NoHeader]) -> Reply | InSlices:
    """GET_UNIT_TOPIC_LIST (311)."""
    return _topic_list(nameserver.route_info.topics_by_flag(lambda flag: bool(flag & TOPIC_SYS_FLAG_UNIT)))


def get_has_unit_sub_topic_list(nameserver: Nameserver, request: Request[NoHeader]) -> Reply | InSlices:
    """GET_HAS_UNIT_SUB_TOPIC_LIST (312)."""
    return _topic_list(nameserver.route_info.topics_by_flag(lambda flag: bool(flag & TOPIC_SYS_FLAG_UNIT_SUB)))


def get_has_unit_sub_ununit_topic_list(nameserver: Nameserver, request: Request[NoHeader]) -> Reply | InSlices:
    """GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST (313)."""
    both = TOPIC_SYS_FLAG_UNIT | TOPIC_SYS_FLAG_UNIT_SUB
    return _topic_list(nameserver.route_info.topics_by_flag(lambda flag: flag & both == TOPIC_SYS_FLAG_UNIT_SUB))


def _topic_list(topics: list[str], broker_addr: str | None = None) -> Reply | InSlices:
    return in_slices(_encoded(TopicList(topic_list=topics, broker_addr=broker_addr)))


def _encoded(body: TopicList) -> Steps[Reply]:
    encoded = yield from body.encode_steps()
    return Reply(body=encoded)


def delete_topic_in_namesrv(nameserver: Nameserver, request: Request[DeleteTopicInNamesrvRequestHeader]) -> Reply:
    """DELETE_TOPIC_IN_NAMESRV (216); since 4.9 for one cluster."""
    nameserver.route_info.delete_topic(request.header.topic, request.header.cluster_name or None)
    return Reply()


# --- KV table -------------------------------------------------------------------------------------------------------


def put_kv_config(nameserver: Nameserver, request: Request[PutKVConfigRequestHeader]) -> Reply | AfterWrite:
    """PUT_KV_CONFIG (100)."""
    header = request.header
    nameserver.budgets.check_pair(nameserver.kv_config, header.namespace, header.key, header.value)
    _on_disk(lambda: nameserver.kv_config.put(header.namespace, header.key, header.value))
    return _kv_written(nameserver, header.namespace)


def get_kv_config(nameserver: Nameserver, request: Request[GetKVConfigRequestHeader]) -> Reply:
    """GET_KV_CONFIG (101)."""
    namespace, key = request.header.namespace, request.header.key
    value = nameserver.kv_config.get(namespace, key)
    if value is None:
        remark = f"No config item, Namespace: {namespace} Key: {key}"
        return Reply(ResponseCode.QUERY_NOT_FOUND, remark, GetKVConfigResponseHeader())
    return Reply(header=GetKVConfigResponseHeader(value=value))


def delete_kv_config(nameserver: Nameserver, request: Request[DeleteKVConfigRequestHeader]) -> Reply | AfterWrite:
    """DELETE_KV_CONFIG (102)."""
    header = request.header
    _on_disk(lambda: nameserver.kv_config.delete(header.namespace, header.key))
    return _kv_written(nameserver, header.namespace)


def _kv_written(nameserver: Nameserver, namespace: str) -> Reply | AfterWrite:
    outcome: Reply | AfterWrite = after_write(nameserver.kv_config, Reply(), [namespace])
    return outcome


def get_kvlist_by_namespace(nameserver: Nameserver, request: Request[GetKVListByNamespaceRequestHeader]) -> Reply:
    """GET_KVLIST_BY_NAMESPACE (219)."""
    namespace = request.header.namespace
    pairs = nameserver.kv_config.namespace(namespace)
    if pairs is None:
        return Reply(ResponseCode.QUERY_NOT_FOUND, f"No config item, Namespace: {namespace}")
    return Reply(body=KVTable(table=pairs).encode())


# --- configuration --------------------------------------------------------------------------------------------------


def update_namesrv_config(nameserver: Nameserver, request: Request[NoHeader]) -> Reply:
    """UPDATE_NAMESRV_CONFIG (318). Differs from Java, which drops unknown keys and bad values silently."""
    try:
        changes = parse_properties(request.body, "update").as_mapping()
        _on_disk(lambda: nameserver.update_config(changes))
    except ConfigError as error:
        raise RequestError(ResponseCode.SYSTEM_ERROR, "; ".join(error.problems)) from None
    except NotChangeable as error:
        raise RequestError(ResponseCode.NO_PERMISSION, str(error)) from None
    return Reply()


def get_namesrv_config(nameserver: Nameserver, request: Request[NoHeader]) -> Reply:
    """GET_NAMESRV_CONFIG (319): properties text; secrets are `***`."""
    return Reply(body=render_properties(masked_properties(config_properties(nameserver.config))).encode())


def get_runtime_info(nameserver: Nameserver, request: Request[NoHeader]) -> Reply:
    """GET_BROKER_RUNTIME_INFO (28): figures of this nameserver. Differs: a broker's request in RocketMQ 4.5.2."""
    return Reply(body=KVTable(table=nameserver.meter.table()).encode())


def _on_disk(change: Callable[[], None]) -> None:
    """Make a change that is written to a file; a full or broken disk is an answer, not a defect."""
    try:
        change()
    except OSError as error:
        logger.error("file not written reason=%s", error)
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"not changed, the file can't be written: {error}") from None
