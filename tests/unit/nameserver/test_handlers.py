"""Every request of the nameserver's table: called directly, bytes in and bytes out."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from rmqnode.config import NameserverConfig, load_nameserver_config, overlay_path, parse_properties, read_overlay
from rmqnode.nameserver.routes import ROUTES
from rmqnode.nameserver.state import Nameserver
from rmqnode.net.dispatch import RequestError
from rmqnode.net.slices import InSlices, finish
from rmqnode.protocol import headers
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import Header
from rmqnode.protocol.routes import Reply, Request

ADDRESS = "10.0.0.1:10911"
HANDLERS = {route.code: route.handler for route in ROUTES}
TOPIC = {"topicName": "t", "readQueueNums": 4, "writeQueueNums": 2, "perm": 6, "topicSysFlag": 1}
WRAPPER = {"dataVersion": {"timestamp": 5, "counter": 1}, "topicConfigTable": {"t": TOPIC}}
BODY = json.dumps({"filterServerList": [], "topicConfigSerializeWrapper": WRAPPER}).encode()


@pytest.fixture
def nameserver(tmp_path: Path) -> Nameserver:
    config = NameserverConfig(
        kv_config_path=tmp_path / "namesrv" / "kvConfig.json", config_store_path=tmp_path / "nameserver.conf"
    )
    return Nameserver(config, lambda: 0.0)


def call(nameserver: Nameserver, code: RequestCode, header: Header, body: bytes = b"", version: int = 317) -> Reply:
    request = Request(code=code, header=header, body=body, version=version, connection="connection")
    try:
        reply = HANDLERS[code](nameserver, request)
        if isinstance(reply, InSlices):
            # No loop turns here.
            reply = finish(reply.steps)
    except RequestError as error:
        return Reply(error.code, error.remark)
    assert isinstance(reply, Reply)
    return reply


def body_of(reply: Reply) -> Any:
    assert isinstance(reply.body, bytes)
    return json.loads(reply.body)


def register(nameserver: Nameserver, body: bytes = BODY, version: int = 317, **fields: Any) -> Reply:
    usual: dict[str, Any] = {
        "broker_name": "broker-a",
        "broker_addr": ADDRESS,
        "cluster_name": "c",
        "ha_server_addr": "10.0.0.1:10912",
        "broker_id": 0,
    }
    header = headers.RegisterBrokerRequestHeader(**usual | fields)
    return call(nameserver, RequestCode.REGISTER_BROKER, header, body, version)


def get_route(nameserver: Nameserver, topic: str = "t") -> Reply:
    return call(nameserver, RequestCode.GET_ROUTEINTO_BY_TOPIC, headers.GetRouteInfoRequestHeader(topic=topic))


def put(nameserver: Nameserver, namespace: str, key: str, value: str) -> Reply:
    header = headers.PutKVConfigRequestHeader(namespace=namespace, key=key, value=value)
    return call(nameserver, RequestCode.PUT_KV_CONFIG, header)


def update(nameserver: Nameserver, text: str) -> Reply:
    return call(nameserver, RequestCode.UPDATE_NAMESRV_CONFIG, headers.NoHeader(), text.encode())


def compressed(*, attributes: str = "", tail: bytes = b"") -> bytes:
    def text(value: str) -> bytes:
        return struct.pack(">i", len(value)) + value.encode()

    line = f"t 4 2 6 SINGLE_TAG{attributes}"
    parts = [text('{"counter":1,"timestamp":5}'), struct.pack(">i", 1), text(line), text("[]"), tail]
    return zlib.compress(b"".join(parts), 9)


def test_the_table_has_all_codes_of_4_5_2_and_327_and_28_for_its_figures() -> None:
    assert sorted(HANDLERS) == sorted(
        [28, 100, 101, 102, 103, 104, 105, 106, 205, 206, 216, 219, 224, 304, 311, 312, 313, 318, 319, 322, 327]
    )


def test_a_registration_makes_a_route(nameserver: Nameserver) -> None:
    reply = register(nameserver)
    assert (reply.code, reply.header, reply.body) == (0, headers.RegisterBrokerResponseHeader(), b"")
    (queues,) = body_of(get_route(nameserver))["queueDatas"]
    assert (queues["readQueueNums"], queues["writeQueueNums"], queues["topicSynFlag"]) == (4, 2, 1)


@pytest.mark.parametrize(
    ("body", "fields", "version"),
    [
        (json.dumps(WRAPPER).encode(), {}, 36),
        (compressed(), {"compressed": True}, 317),
        (compressed(attributes=' {"k":"v"}', tail=struct.pack(">i", 0)), {"compressed": True}, 477),
        (BODY, {"body_crc32": zlib.crc32(BODY) & 0x7FFFFFFF}, 317),
        (compressed(), {"compressed": True, "body_crc32": zlib.crc32(compressed()) & 0x7FFFFFFF}, 317),
    ],
    ids=["before-3.0.11", "compressed", "compressed-5.3", "crc", "compressed-crc"],
)
def test_every_form_of_a_registration_is_understood(
    nameserver: Nameserver, body: bytes, fields: dict[str, Any], version: int
) -> None:
    assert register(nameserver, body, version, **fields).code == 0
    assert body_of(get_route(nameserver))["queueDatas"][0]["readQueueNums"] == 4


def test_a_wrong_crc_is_refused_and_changes_nothing(nameserver: Nameserver) -> None:
    reply = register(nameserver, body_crc32=1)
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, "crc32 not match")
    assert get_route(nameserver).code == ResponseCode.TOPIC_NOT_EXIST


@pytest.mark.parametrize(("body", "packed"), [(b"{", False), (b"[]", False), (b"x", True), (zlib.compress(b"x"), True)])
def test_a_body_that_cannot_be_read_is_refused_with_a_remark(nameserver: Nameserver, body: bytes, packed: bool) -> None:
    reply = register(nameserver, body, compressed=packed)
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert "Failed to decode the body" in (reply.remark or "")
    assert nameserver.route_info.any_broker_addr() is None


def test_a_registration_without_body_has_no_topics_and_version_zero(nameserver: Nameserver) -> None:
    assert register(nameserver, b"").code == 0
    header = headers.QueryDataVersionRequestHeader("broker-a", ADDRESS, "c", 0)
    reply = call(nameserver, RequestCode.QUERY_DATA_VERSION, header, b'{"counter":0,"timestamp":0}')
    assert reply.header == headers.QueryDataVersionResponseHeader(changed=False)
    assert body_of(reply) == {"counter": 0, "timestamp": 0}


def test_a_slave_gets_its_master_and_the_order_table(nameserver: Nameserver) -> None:
    register(nameserver)
    put(nameserver, "ORDER_TOPIC_CONFIG", "t", "broker-a:4")
    reply = register(nameserver, broker_id=1, broker_addr="10.0.0.2:10911")
    assert reply.header == headers.RegisterBrokerResponseHeader("10.0.0.1:10912", ADDRESS)
    assert reply.body == b'{"table":{"t":"broker-a:4"}}'


def test_query_data_version_says_whether_to_register(nameserver: Nameserver) -> None:
    header = headers.QueryDataVersionRequestHeader("broker-a", ADDRESS, "c", 0)
    unknown = call(nameserver, RequestCode.QUERY_DATA_VERSION, header, b'{"counter":1,"timestamp":5}')
    assert (unknown.header, unknown.body) == (headers.QueryDataVersionResponseHeader(changed=True), b"")
    register(nameserver)
    same = call(nameserver, RequestCode.QUERY_DATA_VERSION, header, b'{"counter":1,"timestamp":5}')
    other = call(nameserver, RequestCode.QUERY_DATA_VERSION, header, b'{"counter":2,"timestamp":5}')
    assert same.header == headers.QueryDataVersionResponseHeader(changed=False)
    assert other.header == headers.QueryDataVersionResponseHeader(changed=True)
    assert body_of(other) == {"counter": 1, "timestamp": 5}


def test_unregistering_removes_the_route(nameserver: Nameserver) -> None:
    register(nameserver)
    header = headers.UnregisterBrokerRequestHeader("broker-a", ADDRESS, "c", 0)
    assert call(nameserver, RequestCode.UNREGISTER_BROKER, header).code == 0
    assert get_route(nameserver).code == ResponseCode.TOPIC_NOT_EXIST


def test_a_topic_without_route_gets_the_remark_that_clients_match(nameserver: Nameserver) -> None:
    reply = get_route(nameserver, "nope")
    assert (reply.code, reply.remark) == (
        17,
        "No topic route info in name server for the topic: nope"
        "\nSee http://rocketmq.apache.org/docs/faq/ for further details.",
    )


def test_order_configuration_is_in_routes_only_when_enabled(nameserver: Nameserver) -> None:
    register(nameserver)
    put(nameserver, "ORDER_TOPIC_CONFIG", "t", "broker-a:4")
    assert "orderTopicConf" not in body_of(get_route(nameserver))
    assert update(nameserver, "orderMessageEnable=true").code == 0
    assert body_of(get_route(nameserver))["orderTopicConf"] == "broker-a:4"
    put(nameserver, "ORDER_TOPIC_CONFIG", "t", "broker-a:8")
    assert body_of(get_route(nameserver))["orderTopicConf"] == "broker-a:8"


def test_cluster_info_has_brokers_by_name_and_cluster(nameserver: Nameserver) -> None:
    register(nameserver)
    assert body_of(call(nameserver, RequestCode.GET_BROKER_CLUSTER_INFO, headers.NoHeader())) == {
        "brokerAddrTable": {"broker-a": {"brokerAddrs": {"0": ADDRESS}, "brokerName": "broker-a", "cluster": "c"}},
        "clusterAddrTable": {"c": ["broker-a"]},
    }


def test_write_permission_is_wiped_and_added(nameserver: Nameserver) -> None:
    register(nameserver)
    header = headers.WipeWritePermOfBrokerRequestHeader("broker-a")
    wiped = call(nameserver, RequestCode.WIPE_WRITE_PERM_OF_BROKER, header)
    assert wiped.header == headers.WipeWritePermOfBrokerResponseHeader(1)
    assert body_of(get_route(nameserver))["queueDatas"][0]["perm"] == 4
    added = call(nameserver, RequestCode.ADD_WRITE_PERM_OF_BROKER, header)
    assert added.header == headers.AddWritePermOfBrokerResponseHeader(1)
    assert body_of(get_route(nameserver))["queueDatas"][0]["perm"] == 6


def test_topic_lists(nameserver: Nameserver) -> None:
    register(nameserver)
    none = headers.NoHeader()
    for code, expected in [
        (RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, ["t"]),
        (RequestCode.GET_UNIT_TOPIC_LIST, ["t"]),
        (RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST, []),
        (RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, []),
    ]:
        assert body_of(call(nameserver, code, none)) == {"topicList": expected}
    for cluster, expected in [("c", ["t"]), ("unknown", [])]:
        header = headers.GetTopicsByClusterRequestHeader(cluster)
        assert body_of(call(nameserver, RequestCode.GET_TOPICS_BY_CLUSTER, header)) == {"topicList": expected}
    assert body_of(call(nameserver, RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, none)) == {
        "brokerAddr": ADDRESS,
        "topicList": ["c", "broker-a"],
    }


@pytest.mark.parametrize(("cluster", "left"), [(None, []), ("", []), ("c", []), ("other", ["t"])])
def test_a_topic_is_deleted_everywhere_or_in_one_cluster(
    nameserver: Nameserver, cluster: str | None, left: list[str]
) -> None:
    register(nameserver)
    header = headers.DeleteTopicInNamesrvRequestHeader("t", cluster)
    assert call(nameserver, RequestCode.DELETE_TOPIC_IN_NAMESRV, header).code == 0
    assert nameserver.route_info.topics() == left


def test_the_kv_table_survives_a_restart(nameserver: Nameserver) -> None:
    put(nameserver, "ns", "k", "v")
    put(nameserver, "ns", "gone", "v")
    delete = headers.DeleteKVConfigRequestHeader("ns", "gone")
    assert call(nameserver, RequestCode.DELETE_KV_CONFIG, delete).code == 0
    assert call(nameserver, RequestCode.DELETE_KV_CONFIG, delete).code == 0
    assert json.loads(nameserver.config.kv_config_path.read_bytes()) == {"configTable": {"ns": {"k": "v"}}}
    again = Nameserver(nameserver.config, lambda: 0.0)
    reply = call(again, RequestCode.GET_KV_CONFIG, headers.GetKVConfigRequestHeader("ns", "k"))
    assert reply.header == headers.GetKVConfigResponseHeader("v")
    listed = call(again, RequestCode.GET_KVLIST_BY_NAMESPACE, headers.GetKVListByNamespaceRequestHeader("ns"))
    assert listed.body == b'{"table":{"k":"v"}}'


def test_missing_kv_items_have_the_remarks_of_java(nameserver: Nameserver) -> None:
    item = call(nameserver, RequestCode.GET_KV_CONFIG, headers.GetKVConfigRequestHeader("ns", "k"))
    assert (item.code, item.remark) == (22, "No config item, Namespace: ns Key: k")
    table = call(nameserver, RequestCode.GET_KVLIST_BY_NAMESPACE, headers.GetKVListByNamespaceRequestHeader("ns"))
    assert (table.code, table.remark) == (22, "No config item, Namespace: ns")


def test_a_kv_change_that_cannot_be_written_is_refused_and_not_kept(nameserver: Nameserver) -> None:
    nameserver.config.kv_config_path.parent.write_text("a file where the folder should be")
    reply = put(nameserver, "ns", "k", "v")
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert "can't be written" in (reply.remark or "")
    assert nameserver.kv_config.get("ns", "k") is None


def test_a_configuration_update_is_effective_and_kept_beside_the_file(nameserver: Nameserver) -> None:
    path = nameserver.config.config_store_path
    path.write_text("# mine\nserverWorkerThreads=9\nproductEnvName=old\n")
    assert update(nameserver, "productEnvName=测试\norderMessageEnable=true\n").code == 0
    assert nameserver.config.product_env_name == "测试"
    assert path.read_text() == "# mine\nserverWorkerThreads=9\nproductEnvName=old\n"
    assert read_overlay(path) == {"productEnvName": "测试", "orderMessageEnable": "true"}
    loaded = load_nameserver_config(path).config
    assert (loaded.product_env_name, loaded.order_message_enable) == ("测试", True)
    text = call(nameserver, RequestCode.GET_NAMESRV_CONFIG, headers.NoHeader()).body
    assert isinstance(text, bytes)
    shown = parse_properties(text).as_mapping()
    assert (shown["productEnvName"], shown["listenPort"]) == ("测试", "9876")


@pytest.mark.parametrize(
    ("text", "code", "remark"),
    [
        ("listenPort=1234", ResponseCode.NO_PERMISSION, "listenPort cannot be changed over the network"),
        ("configStorePath=/tmp/x\nproductEnvName=* * * * * root", ResponseCode.NO_PERMISSION, "configStorePath cannot"),
        ("configStorePathName=/tmp/x", ResponseCode.NO_PERMISSION, "cannot be changed"),
        ("rocketmqHome=/tmp/x", ResponseCode.NO_PERMISSION, "rocketmqHome cannot be changed"),
        ("configBlackList=", ResponseCode.NO_PERMISSION, "configBlackList cannot be changed"),
        ("brokerConfigPath=/tmp/x", ResponseCode.NO_PERMISSION, "brokerConfigPath cannot be changed"),
        ("productEnvName=a\\nkvConfigPath=/tmp/x", ResponseCode.SYSTEM_ERROR, "must not contain control characters"),
        ("scanNotActiveBrokerInterval=1", ResponseCode.SYSTEM_ERROR, "must be 100..3600000 ms"),
        ("kvConfigPath=/etc/passwd", ResponseCode.NO_PERMISSION, "kvConfigPath cannot be changed"),
        ("serverWorkerThreads=3", ResponseCode.NO_PERMISSION, "serverWorkerThreads cannot be changed"),
        ("orderMessageEnabled=true", ResponseCode.SYSTEM_ERROR, "did you mean 'orderMessageEnable'?"),
        ("orderMessageEnable=maybe", ResponseCode.SYSTEM_ERROR, "orderMessageEnable must be true or false"),
        ("productEnvName=\\u12", ResponseCode.SYSTEM_ERROR, "\\u must be followed by four"),
        ("productEnvName=x\nlistenPort=1234", ResponseCode.NO_PERMISSION, "listenPort cannot be changed"),
    ],
)
def test_a_configuration_update_that_is_not_safe_changes_nothing(
    nameserver: Nameserver, text: str, code: ResponseCode, remark: str
) -> None:
    before = nameserver.config
    reply = update(nameserver, text)
    assert reply.code == code
    assert remark in (reply.remark or "")
    assert nameserver.config == before
    assert list(before.config_store_path.parent.glob("nameserver*")) == []


def test_a_start_of_a_nameserver_sets_aside_what_it_cannot_take_from_its_overlay(nameserver: Nameserver) -> None:
    path = nameserver.config.config_store_path
    path.write_text("productEnvName=mine\n")
    overlay_path(path).write_text("kvConfigPath=/etc/passwd\norderMessageEnable=true\nscanNotActiveBrokerInterval=0\n")
    loaded = load_nameserver_config(path)
    assert [each.key for each in loaded.set_aside] == ["kvConfigPath", "scanNotActiveBrokerInterval"]
    assert loaded.config.order_message_enable is True
    assert str(loaded.config.kv_config_path) != "/etc/passwd"


def test_sending_the_present_configuration_back_is_no_change(nameserver: Nameserver) -> None:
    text = call(nameserver, RequestCode.GET_NAMESRV_CONFIG, headers.NoHeader()).body
    assert isinstance(text, bytes)
    assert update(nameserver, text.decode()).code == 0
    assert update(nameserver, "").code == 0
    assert not nameserver.config.config_store_path.exists()
