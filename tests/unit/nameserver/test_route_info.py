"""The route table as a state machine: who registers, leaves or falls silent, and what the routes say then."""

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rmqnode.nameserver.route_info import BROKER_CHANNEL_EXPIRED_MS, MasterOf, Registration, RouteInfoManager
from rmqnode.protocol.bodies import DataVersion, TopicConfig, TopicConfigSerializeWrapper

A0, A1, B0 = "10.0.0.1:10911", "10.0.0.1:10921", "10.0.0.2:10911"


class Clock:
    def __init__(self) -> None:
        self.now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


def topics_of(*names: str, counter: int = 1, **fields: Any) -> TopicConfigSerializeWrapper:
    table = {name: TopicConfig(topic_name=name, read_queue_nums=4, write_queue_nums=4, **fields) for name in names}
    return TopicConfigSerializeWrapper(topic_config_table=table, data_version=DataVersion(timestamp=5, counter=counter))


def registration(
    address: str = A0,
    *,
    name: str = "broker-a",
    broker_id: int = 0,
    cluster: str = "c",
    topics: TopicConfigSerializeWrapper | None = None,
    filter_servers: list[str] | None = None,
    connection: object = None,
) -> Registration:
    return Registration(
        cluster_name=cluster,
        broker_name=name,
        broker_addr=address,
        broker_id=broker_id,
        ha_server_addr=f"{address}-ha",
        topics=topics_of("t") if topics is None else topics,
        filter_servers=[] if filter_servers is None else filter_servers,
        connection=connection,
    )


def route(table: RouteInfoManager, topic: str = "t", order_topic_conf: str | None = None) -> Any:
    encoded = table.encoded_route(topic, order_topic_conf)
    return None if encoded is None else json.loads(encoded)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> RouteInfoManager:
    return RouteInfoManager(clock)


def test_a_route_is_compact_json_with_quoted_ids_and_both_names_of_the_flag(table: RouteInfoManager) -> None:
    table.register_broker(registration(topics=topics_of("t", topic_sys_flag=1)))
    table.register_broker(registration(A1, broker_id=1))
    assert table.encoded_route("t", None) == (
        b'{"brokerDatas":[{"brokerAddrs":{"0":"10.0.0.1:10911","1":"10.0.0.1:10921"},"brokerName":"broker-a",'
        b'"cluster":"c"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,'
        b'"topicSynFlag":1,"topicSysFlag":1,"writeQueueNums":4}]}'
    )


def test_an_unknown_topic_has_no_route(table: RouteInfoManager) -> None:
    table.register_broker(registration())
    assert route(table, "unknown") is None


def test_a_slave_learns_its_master_and_a_master_nothing(table: RouteInfoManager) -> None:
    assert table.register_broker(registration(A1, broker_id=1)) == MasterOf()
    assert table.register_broker(registration(A0)) == MasterOf()
    assert table.register_broker(registration(A1, broker_id=1)) == MasterOf(f"{A0}-ha", A0)


def test_topics_come_from_the_master_alone(table: RouteInfoManager) -> None:
    table.register_broker(registration(A1, broker_id=1, topics=topics_of("from-slave")))
    assert table.topics() == []
    table.register_broker(registration(topics=topics_of("from-master")))
    assert table.topics() == ["from-master"]


def test_topics_are_taken_over_only_with_a_new_data_version(table: RouteInfoManager) -> None:
    table.register_broker(registration(topics=topics_of("t", perm=6)))
    table.register_broker(registration(topics=topics_of("t", perm=4)))
    assert route(table)["queueDatas"][0]["perm"] == 6
    table.register_broker(registration(topics=topics_of("t", perm=4, counter=2)))
    assert route(table)["queueDatas"][0]["perm"] == 4


def test_topics_missing_in_a_registration_stay(table: RouteInfoManager) -> None:
    table.register_broker(registration(topics=topics_of("t", "u")))
    table.register_broker(registration(topics=topics_of("v", counter=2)))
    assert sorted(table.topics()) == ["t", "u", "v"]


def test_a_slave_that_becomes_master_leaves_its_old_id(table: RouteInfoManager) -> None:
    table.register_broker(registration(A0))
    table.register_broker(registration(A1, broker_id=1))
    table.register_broker(registration(A1, broker_id=0))
    assert route(table)["brokerDatas"][0]["brokerAddrs"] == {"0": A1}


def test_a_closed_connection_removes_its_brokers_and_no_others(table: RouteInfoManager) -> None:
    first, second = object(), object()
    table.register_broker(registration(A0, connection=first))
    table.register_broker(registration(A1, broker_id=1, connection=first))
    table.register_broker(registration(B0, name="broker-b", connection=second))
    table.connection_closed(object())
    assert len(route(table)["brokerDatas"]) == 2
    table.connection_closed(first)
    assert [each["brokerName"] for each in route(table)["brokerDatas"]] == ["broker-b"]
    assert table.cluster_info().cluster_addr_table == {"c": ["broker-b"]}


def test_the_old_connection_of_a_broker_that_came_back_removes_nothing(table: RouteInfoManager) -> None:
    old, new = object(), object()
    table.register_broker(registration(connection=old))
    table.register_broker(registration(connection=new))
    table.connection_closed(old)
    assert route(table) is not None


def test_topics_survive_the_master_while_a_slave_lives(table: RouteInfoManager) -> None:
    master = object()
    table.register_broker(registration(connection=master))
    table.register_broker(registration(A1, broker_id=1, connection=object()))
    table.connection_closed(master)
    assert route(table)["brokerDatas"][0]["brokerAddrs"] == {"1": A1}


def test_the_last_broker_of_a_name_takes_its_topics_and_cluster_along(table: RouteInfoManager) -> None:
    table.register_broker(registration())
    table.unregister_broker("broker-a", A0)
    assert (table.topics(), route(table), table.any_broker_addr()) == ([], None, None)
    assert table.cluster_info().cluster_addr_table == {}


def test_unregistering_does_not_remove_who_took_the_id_over(table: RouteInfoManager) -> None:
    table.register_broker(registration(A0))
    table.register_broker(registration(A1))
    table.unregister_broker("broker-a", A0)
    assert route(table)["brokerDatas"][0]["brokerAddrs"] == {"0": A1}


def test_a_silent_broker_is_removed_after_two_minutes(table: RouteInfoManager, clock: Clock) -> None:
    connection = object()
    table.register_broker(registration(connection=connection))
    clock.now_ms = BROKER_CHANNEL_EXPIRED_MS
    assert table.remove_expired() == []
    clock.now_ms += 1
    assert table.remove_expired() == [connection]
    assert route(table) is None


def test_an_unchanged_data_version_is_a_sign_of_life(table: RouteInfoManager, clock: Clock) -> None:
    table.register_broker(registration())
    clock.now_ms = BROKER_CHANNEL_EXPIRED_MS
    table.refresh(A0)
    clock.now_ms += BROKER_CHANNEL_EXPIRED_MS
    assert table.remove_expired() == []


def test_an_unknown_broker_counts_as_changed(table: RouteInfoManager) -> None:
    assert table.is_changed(A0, DataVersion())
    table.register_broker(registration())
    assert not table.is_changed(A0, DataVersion(timestamp=5, counter=1))
    assert table.is_changed(A0, DataVersion(timestamp=5, counter=2))


def test_wiped_write_permission_lasts_until_a_changed_registration(table: RouteInfoManager) -> None:
    table.register_broker(registration(topics=topics_of("t", "u", perm=7)))
    assert table.wipe_write_permission("unknown") == 0
    assert table.wipe_write_permission("broker-a") == 2
    table.register_broker(registration(topics=topics_of("t", "u", perm=7)))
    assert route(table)["queueDatas"][0]["perm"] == 5
    assert table.add_write_permission("broker-a") == 2
    assert route(table)["queueDatas"][0]["perm"] == 7


def test_a_deleted_topic_comes_back_with_the_next_registration_of_a_broker_that_has_it(table: RouteInfoManager) -> None:
    table.register_broker(registration())
    assert route(table) is not None
    table.delete_topic("t")
    table.delete_topic("unknown")
    assert route(table) is None
    table.register_broker(registration(topics=topics_of("t", perm=4)))
    assert route(table)["queueDatas"][0]["perm"] == 4
    assert table.topics() == ["t"]


def test_queues_of_one_broker_name_come_back_beside_those_of_another(table: RouteInfoManager) -> None:
    table.register_broker(registration())
    table.register_broker(registration(B0, name="broker-b", cluster="d"))
    table.delete_topic("t", "c")
    table.register_broker(registration(B0, name="broker-b", cluster="d"))
    assert [queues["brokerName"] for queues in route(table)["queueDatas"]] == ["broker-b"]
    table.register_broker(registration())
    assert sorted(queues["brokerName"] for queues in route(table)["queueDatas"]) == ["broker-a", "broker-b"]


def test_what_is_wiped_stays_so_when_another_topic_comes_back(table: RouteInfoManager) -> None:
    table.register_broker(registration(topics=topics_of("t", "u", perm=6)))
    table.wipe_write_permission("broker-a")
    table.delete_topic("u")
    for _ in range(2):
        table.register_broker(registration(topics=topics_of("t", "u", perm=6)))
        assert route(table, "t")["queueDatas"][0]["perm"] == 4
        assert route(table, "u") is not None


def test_a_slave_brings_no_topic_back(table: RouteInfoManager) -> None:
    table.register_broker(registration())
    table.register_broker(registration(A1, broker_id=1))
    table.delete_topic("t")
    table.register_broker(registration(A1, broker_id=1))
    assert route(table) is None


def test_a_topic_is_deleted_from_the_brokers_of_one_cluster(table: RouteInfoManager) -> None:
    table.register_broker(registration())
    table.register_broker(registration(B0, name="broker-b", cluster="d"))
    table.delete_topic("t", "unknown")
    table.delete_topic("t", "c")
    assert [each["brokerName"] for each in route(table)["queueDatas"]] == ["broker-b"]
    assert (table.topics_of_cluster("c"), table.topics_of_cluster("d")) == ([], ["t"])


def test_filter_servers_are_replaced_kept_or_removed(table: RouteInfoManager) -> None:
    table.register_broker(registration(filter_servers=["f"]))
    assert route(table)["filterServerTable"] == {A0: ["f"]}
    told_nothing = registration()
    table.register_broker(
        Registration(
            **{name: getattr(told_nothing, name) for name in told_nothing.__struct_fields__} | {"filter_servers": None}
        )
    )
    assert route(table)["filterServerTable"] == {A0: ["f"]}
    table.register_broker(registration())
    assert route(table)["filterServerTable"] == {}


def test_order_configuration_follows_the_caller(table: RouteInfoManager) -> None:
    table.register_broker(registration())
    assert route(table, order_topic_conf="broker-a:4")["orderTopicConf"] == "broker-a:4"
    assert "orderTopicConf" not in route(table)


def test_topics_are_found_by_flag(table: RouteInfoManager) -> None:
    for counter, flag in enumerate((0, 1, 2, 3)):
        table.register_broker(registration(topics=topics_of(f"t{flag}", counter=counter, topic_sys_flag=flag)))
    assert table.topics_by_flag(lambda flag: flag & 3 == 2) == ["t2"]


@settings(max_examples=60, stateful_step_count=30, deadline=None)
class CacheMachine(RuleBasedStateMachine):
    """After any sequence of events the cached routes equal freshly computed ones, and the tables agree."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.table = RouteInfoManager(self.clock)
        self.connections = [object() for _ in range(3)]

    @rule(
        name=st.sampled_from("ab"),
        cluster=st.sampled_from("cd"),
        broker_id=st.integers(0, 2),
        port=st.integers(1, 3),
        names=st.sets(st.sampled_from("tuv")),
        counter=st.integers(0, 2),
        perm=st.integers(0, 7),
        filters=st.none() | st.lists(st.just("f"), max_size=1),
        at=st.integers(0, 2),
    )
    def register(
        self,
        name: str,
        cluster: str,
        broker_id: int,
        port: int,
        names: set[str],
        counter: int,
        perm: int,
        filters: list[str] | None,
        at: int,
    ) -> None:
        self.table.register_broker(
            Registration(
                cluster_name=cluster,
                broker_name=name,
                broker_addr=f"{name}:{port}",
                broker_id=broker_id,
                ha_server_addr="h",
                topics=topics_of(*names, counter=counter, perm=perm),
                filter_servers=filters,
                connection=self.connections[at],
            )
        )

    @rule(name=st.sampled_from("ab"), port=st.integers(1, 3))
    def unregister(self, name: str, port: int) -> None:
        self.table.unregister_broker(name, f"{name}:{port}")

    @rule(at=st.integers(0, 2))
    def close(self, at: int) -> None:
        self.table.connection_closed(self.connections[at])

    @rule(ms=st.sampled_from([1, BROKER_CHANNEL_EXPIRED_MS // 2]))
    def wait(self, ms: int) -> None:
        self.clock.now_ms += ms
        self.table.remove_expired()

    @rule(name=st.sampled_from("ab"), add=st.booleans())
    def change_permission(self, name: str, add: bool) -> None:
        (self.table.add_write_permission if add else self.table.wipe_write_permission)(name)

    @rule(topic=st.sampled_from("tuv"), cluster=st.none() | st.sampled_from("cd"))
    def delete(self, topic: str, cluster: str | None) -> None:
        self.table.delete_topic(topic, cluster)

    @invariant()
    def cached_routes_are_true(self) -> None:
        for topic in "tuv":
            cached = self.table.encoded_route(topic, None)
            fresh = self.table._route(topic, None)
            assert cached == (None if fresh is None else fresh.encode())

    @invariant()
    def no_topic_is_without_queues_and_no_name_without_address(self) -> None:
        info = self.table.cluster_info()
        for topic in self.table.topics():
            assert route(self.table, topic) is not None
        assert all(broker.broker_addrs for broker in info.broker_addr_table.values())
        assert {name for names in info.cluster_addr_table.values() for name in names} == set(info.broker_addr_table)


TestCache = CacheMachine.TestCase
