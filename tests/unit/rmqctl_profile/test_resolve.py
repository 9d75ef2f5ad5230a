"""From a profile to the nodes: ports, roles, properties, and who wins when several speak."""

from pathlib import Path

import pytest

from rmqctl.errors import UsageError
from rmqctl.profile.library import load_profile
from rmqctl.profile.model import ClusterModel, Role
from rmqctl.profile.resolve import Circumstances, resolve
from rmqctl.profile.schema import Profile, parse_profile
from rmqctl.profile.settings import parse_set_options
from rmqnode.config import check_properties

FOLDER = Path("/homes/with space/rmqctl")


def resolved(
    profile: str | Profile, *set_options: str, offset: int = 0, ports: dict[str, int] | None = None
) -> ClusterModel:
    named = load_profile(profile).profile if isinstance(profile, str) else profile
    return resolve(
        named,
        Circumstances(
            folder=FOLDER,
            cluster="rmqctl",
            source="p",
            broker_ip="10.1.2.3",
            broker_ip_reason="given",
            port_offset=offset,
            settings=tuple(parse_set_options(set_options)),
            stored_ports=ports or {},
        ),
    )


def properties(model: ClusterModel, name: str) -> dict[str, str]:
    node = model.node(name)
    assert node is not None
    return node.properties


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("single", {"nameserver-0": 9876, "broker-a-0": 10911}),
        ("1m-1s", {"nameserver-0": 9876, "broker-a-0": 10911, "broker-a-1": 10921}),
        ("2m-noslave", {"nameserver-0": 9876, "nameserver-1": 9877, "broker-a-0": 10911, "broker-b-0": 10931}),
        (
            "2m-2s",
            {
                "nameserver-0": 9876,
                "nameserver-1": 9877,
                "broker-a-0": 10911,
                "broker-b-0": 10931,
                "broker-a-1": 10921,
                "broker-b-1": 10941,
            },
        ),
    ],
)
def test_profile_gives_the_documented_nodes_and_ports(profile: str, expected: dict[str, int]) -> None:
    model = resolved(profile)
    assert {node.name: node.listen_port for node in model.nodes} == expected
    assert list(expected) == [node.name for node in model.nodes], "nodes are in start order"


def test_broker_ports_are_listen_vip_and_ha() -> None:
    node = resolved("single").node("broker-a-0")
    assert node is not None
    assert node.ports == {"listen": 10911, "vip": 10909, "ha": 10912}


def test_further_slaves_get_ports_of_their_own() -> None:
    profile = parse_profile(b'[[brokers]]\nname = "a"\nslaves = 3\n[[brokers]]\nname = "b"\nslaves = 2\n', "p")
    ports = {node.name: node.listen_port for node in resolved(profile).brokers}
    assert ports == {"a-0": 10911, "a-1": 10921, "b-0": 10931, "b-1": 10941, "a-2": 10951, "a-3": 10961, "b-2": 10971}


def test_port_offset_moves_every_port() -> None:
    moved = resolved("2m-2s", offset=300)
    for before, after in zip(resolved("2m-2s").nodes, moved.nodes, strict=True):
        assert {use: port + 300 for use, port in before.ports.items()} == after.ports
    assert moved.nameserver_addresses == ("10.1.2.3:10176", "10.1.2.3:10177")


@pytest.mark.parametrize("engine", ["embedded", "apache"])
def test_brokers_filter_by_sql_unless_told_otherwise(engine: str) -> None:
    profile = parse_profile(f'[cluster]\nengine = "{engine}"\n[[brokers]]\nname = "a"\nslaves = 1\n'.encode(), "p")
    assert {broker.properties["enablePropertyFilter"] for broker in resolved(profile).brokers} == {"true"}
    model = resolved(profile, "masters:enablePropertyFilter=false")
    assert [broker.properties["enablePropertyFilter"] for broker in model.brokers] == ["false", "true"]


@pytest.mark.parametrize("offset", [50, -100, 1])
def test_port_offset_that_is_no_multiple_of_100_is_refused(offset: int) -> None:
    with pytest.raises(UsageError, match="is not 0, 100, 200"):
        resolved("single", offset=offset)


def test_port_offset_beyond_the_last_port_is_refused_by_its_own_name() -> None:
    with pytest.raises(UsageError, match="--port-offset 70000 leaves no room"):
        resolved("single", offset=70_000)


def test_stored_ports_are_used_again() -> None:
    assert resolved("single", ports={"broker-a-0": 12345}).brokers[0].listen_port == 12345


@pytest.mark.parametrize("port", ["10912", "10909", "10914", "9876"])
def test_plan_in_which_two_ports_meet_is_refused(port: str) -> None:
    with pytest.raises(UsageError, match="is planned twice"):
        resolved("1m-1s", f"broker-a-1:listenPort={port}")


def test_listen_port_of_one_node_can_be_set_and_reaches_the_brokers_that_need_it() -> None:
    model = resolved("single", "nameserver-0:listenPort=19876")
    assert properties(model, "broker-a-0")["namesrvAddr"] == "10.1.2.3:19876"
    assert model.nameserver_addresses == ("10.1.2.3:19876",)


def test_every_node_listens_on_its_address_and_loopback_only() -> None:
    assert {node.properties["bindAddress"] for node in resolved("2m-2s").nodes} == {"10.1.2.3;127.0.0.1"}


def test_roles_follow_the_profile() -> None:
    plain, sync = resolved("2m-2s"), resolved("2m-2s-sync")
    assert {node.properties["brokerRole"] for node in plain.brokers if node.role is Role.MASTER} == {"ASYNC_MASTER"}
    assert {node.properties["brokerRole"] for node in sync.brokers if node.role is Role.MASTER} == {"SYNC_MASTER"}
    assert {node.properties["brokerRole"] for node in sync.brokers if node.role is Role.SLAVE} == {"SLAVE"}


@pytest.mark.parametrize("profile", ["single", "1m-1s", "2m-noslave", "2m-2s", "2m-2s-sync"])
def test_configuration_of_every_node_is_accepted_by_the_node(profile: str) -> None:
    for node in resolved(profile).nodes:
        check_properties(node.kind, node.properties, node.conf_name)


def test_store_moves_with_its_commit_log() -> None:
    moved = properties(resolved("single", "broker-a-0:storePathRootDir=/data/a b"), "broker-a-0")
    assert moved["storePathCommitLog"] == "/data/a b/commitlog"


def test_narrower_setting_wins_and_the_command_line_beats_the_profile() -> None:
    text = b"""
[[brokers]]
name = "broker-a"
slaves = 1
[properties.cluster]
fileReservedTime = 1
[properties.masters]
fileReservedTime = 2
[properties.nodes.broker-a-1]
fileReservedTime = 3
flushDiskType = "SYNC_FLUSH"
"""
    profile = parse_profile(text, "p")
    model = resolved(profile)
    assert properties(model, "broker-a-0")["fileReservedTime"] == "2"
    assert properties(model, "broker-a-1")["fileReservedTime"] == "3"
    model = resolved(profile, "slaves:fileReservedTime=9", "broker-a-0:flushDiskType=SYNC_FLUSH")
    assert properties(model, "broker-a-0")["flushDiskType"] == "SYNC_FLUSH"
    assert properties(model, "broker-a-1")["fileReservedTime"] == "9", "the command line beats the profile"
    model = resolved(profile, "broker-a-1:fileReservedTime=8", "fileReservedTime=7")
    assert properties(model, "broker-a-1")["fileReservedTime"] == "8", "a node is narrower than the cluster"
    assert properties(model, "broker-a-0")["fileReservedTime"] == "7"


def test_cluster_wide_key_goes_to_the_nodes_that_know_it() -> None:
    model = resolved("single", "orderMessageEnable=true", "brokerPermission=4")
    assert "orderMessageEnable" in properties(model, "nameserver-0")
    assert "orderMessageEnable" not in properties(model, "broker-a-0")
    assert properties(model, "broker-a-0")["brokerPermission"] == "4"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("brokerIp1=10.0.0.1", "--set brokerIp1=10.0.0.1: unknown key 'brokerIp1': did you mean 'brokerIP1'?"),
        ("listenPort=5x", "--set listenPort=5x: listenPort must be"),
        ("broker-a-0:brokerPermission=abc", "--set broker-a-0:brokerPermission=abc: brokerPermission must be"),
        ("aclEnable=true", "--set aclEnable=true: aclEnable=true is refused"),
        ("broker-c-0:listenPort=1", "--set broker-c-0:listenPort=1: this cluster has no node 'broker-c-0'"),
        ("brokerName=x", "--set brokerName=x: brokerName is not set by hand"),
        ("masters:brokerRole=SLAVE", "--set masters:brokerRole=SLAVE: brokerRole=SLAVE needs a brokerId above 0"),
        ("slaves:brokerRole=SYNC_MASTER", "--set slaves:brokerRole=SYNC_MASTER: broker-a-1 is a slave"),
        ("nonsense", "--set 'nonsense' is not a setting"),
    ],
)
def test_wrong_setting_is_refused_where_it_was_said(option: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolved("1m-1s", option)
    assert caught.value.what.startswith(message)


def test_wrong_property_in_a_profile_names_the_profile_and_the_key_path() -> None:
    profile = parse_profile(b'[[brokers]]\nname = "a"\n[properties.masters]\nflushDiskType = "SOMETIMES"\n', "p")
    with pytest.raises(UsageError, match=r"^p: properties\.masters\.flushDiskType: flushDiskType must be"):
        resolved(profile)


@pytest.mark.parametrize("where", ["cluster", "nameservers"])
def test_engine_that_is_not_there_is_refused_in_one_sentence(where: str) -> None:
    with pytest.raises(UsageError, match=rf"p: {where}\.engine: expected one of embedded, apache, found 'java'"):
        parse_profile(f'[{where}]\nengine = "java"\n[[brokers]]\nname = "a"\n'.encode(), "p")
