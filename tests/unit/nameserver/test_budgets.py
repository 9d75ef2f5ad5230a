"""What brokers and operators make a nameserver keep has bounds; what is there is never dropped for a newcomer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmqnode.config import NameserverConfig
from rmqnode.nameserver.budgets import FILTER_SERVERS_MAX, VALUE_LENGTH_MAX
from rmqnode.nameserver.route_info import Registration
from rmqnode.nameserver.state import Nameserver
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.bodies import TopicConfig, TopicConfigSerializeWrapper

Make = Callable[..., Nameserver]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A nameserver with limits."""

    def make(**limits: Any) -> Nameserver:
        config = NameserverConfig(kv_config_path=tmp_path / "kv.json", config_store_path=tmp_path / "n.conf", **limits)
        return Nameserver(config, lambda: 0.0)

    return make


def registration(name: str = "broker-a", address: str = "10.0.0.1:10911", topics: int = 1, **fields: Any) -> Any:
    table = {f"t{number}": TopicConfig(topic_name=f"t{number}") for number in range(topics)}
    values: dict[str, Any] = {
        "cluster_name": "c",
        "broker_id": 0,
        "ha_server_addr": "10.0.0.1:10912",
        "topics": TopicConfigSerializeWrapper(topic_config_table=table),
        "filter_servers": None,
        "connection": object(),
    }
    return Registration(broker_name=name, broker_addr=address, **values | fields)


def register(nameserver: Nameserver, *args: Any, **fields: Any) -> str:
    """Register; return the remark of a refusal."""
    wanted = registration(*args, **fields)
    try:
        nameserver.budgets.check_registration(nameserver.route_info, wanted)
    except RequestError as error:
        return error.remark
    nameserver.route_info.register_broker(wanted)
    return ""


def test_a_broker_beyond_the_limit_is_refused_and_known_ones_register_again(make: Make) -> None:
    nameserver = make(brokers_max=3)
    for number in range(3):
        assert register(nameserver, f"b{number}", f"10.0.0.{number}:1") == ""
    refused = register(nameserver, "b3", "10.0.0.3:1")
    assert refused == "broker b3 at 10.0.0.3:1 refused: no more than 3 are kept (brokersMax)"
    assert register(nameserver, "b0", "10.0.0.0:1") == ""
    nameserver.route_info.unregister_broker("b0", "10.0.0.0:1")
    assert register(nameserver, "b3", "10.0.0.3:1") == ""


@pytest.mark.parametrize("changing", ["cluster_name", "broker_id", "address", "name"])
def test_no_table_of_brokers_grows_beyond_the_limit_whatever_changes_in_a_registration(
    make: Make, changing: str
) -> None:
    nameserver = make(brokers_max=10)
    for number in range(50):
        fields: dict[str, Any] = {changing: number if changing == "broker_id" else f"x{number}"}
        register(nameserver, **fields)
    assert nameserver.route_info.address_count <= 10


def test_topics_beyond_the_limit_are_refused_and_one_broker_name_has_half_of_the_places(make: Make) -> None:
    nameserver = make(routes_max=100)
    assert register(nameserver, "a", topics=40) == ""
    refused = register(nameserver, "greedy", "10.0.0.9:1", topics=60)
    assert refused.endswith("no more than 50 are kept (routesMax)")
    assert register(nameserver, "greedy", "10.0.0.9:1", topics=50) == ""
    assert register(nameserver, "c", "10.0.0.3:1", topics=11).endswith("no more than 100 are kept (routesMax)")
    assert register(nameserver, "c", "10.0.0.3:1", topics=10) == ""
    assert register(nameserver, "a", topics=40) == "", "it brings nothing new"
    table = nameserver.budgets.table(nameserver.route_info, nameserver.kv_config)
    assert (table["routes"], table["routesMax"], table["routesRefused"], table["brokers"]) == ("100", "100", "2", "3")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x" * 256},
        {"address": "x" * 256},
        {"cluster_name": "x" * 500_000},
        {"ha_server_addr": "x" * 256},
        {"filter_servers": ["x" * 256]},
        {"topics": TopicConfigSerializeWrapper(topic_config_table={"x" * 256: TopicConfig(topic_name="x" * 256)})},
    ],
    ids=["name", "address", "cluster", "ha", "filter server", "topic"],
)
def test_names_are_not_kept_beyond_255_characters(make: Make, fields: dict[str, Any]) -> None:
    nameserver = make()
    if isinstance(fields.get("topics"), TopicConfigSerializeWrapper):
        wrapper = fields["topics"]
        with pytest.raises(RequestError, match="256 characters refused"):
            nameserver.budgets.check_registration(nameserver.route_info, _with_topics(wrapper))
        return
    assert "characters refused: the longest has 255" in register(nameserver, **fields)
    assert nameserver.route_info.address_count == 0


def _with_topics(wrapper: TopicConfigSerializeWrapper) -> Registration:
    from msgspec.structs import replace

    wanted: Registration = replace(registration(), topics=wrapper)
    return wanted


def test_a_broker_has_no_more_than_so_many_filter_servers(make: Make) -> None:
    remark = register(make(), filter_servers=["10.0.0.1:1"] * (FILTER_SERVERS_MAX + 1))
    assert remark == "65 filter servers refused: a broker has 64 at most"


def test_keys_beyond_the_limit_are_refused_and_known_ones_change(make: Make) -> None:
    nameserver = make(kv_config_max=2)

    def put(key: str, value: str = "v", namespace: str = "n") -> None:
        nameserver.budgets.check_pair(nameserver.kv_config, namespace, key, value)
        nameserver.kv_config.put(namespace, key, value)

    put("a")
    put("b", namespace="m")
    with pytest.raises(RequestError, match=r"no more than 2 are kept \(kvConfigMax\)"):
        put("c")
    put("a", "w")
    with pytest.raises(RequestError, match="longest has 65536"):
        put("a", "v" * (VALUE_LENGTH_MAX + 1))
    with pytest.raises(RequestError, match="longest has 255"):
        put("k" * 256)
    assert nameserver.kv_config.get("n", "a") == "w"
