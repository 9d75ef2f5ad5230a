"""Consumer groups: built in, created when first seen, configured by tools, and how far they are."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.protocol.bodies import (
    ConsumeStats,
    GroupList,
    SubscriptionGroupConfig,
    SubscriptionGroupList,
    SubscriptionGroupWrapper,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import (
    DeleteSubscriptionGroupRequestHeader,
    GetConsumeStatsRequestHeader,
    TopicRequestHeader,
)

UPDATE = RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
BUILT_IN = {
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
}


def test_the_built_in_groups_are_apaches(rig: Any) -> None:
    assert rig.broker.groups.wrapper().subscription_group_table.keys() == BUILT_IN


def test_several_groups_are_created_at_once_or_none(rig: Any) -> None:
    code = RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST
    g, h = SubscriptionGroupConfig(group_name="g", retry_max_times=3), SubscriptionGroupConfig(group_name="h")
    illegal = SubscriptionGroupConfig(group_name="../x")
    refused = rig.ask(code, body=SubscriptionGroupList(group_config_list=[g, illegal]).encode())
    assert refused.code == ResponseCode.SYSTEM_ERROR
    assert rig.broker.groups.get("g") is None
    counter = rig.broker.groups.data_version.counter
    assert rig.ask(code, body=SubscriptionGroupList(group_config_list=[g, h]).encode()).code == ResponseCode.SUCCESS
    assert (rig.broker.groups.get("g"), rig.broker.groups.get("h")) == (g, h)
    assert rig.broker.groups.data_version.counter == counter + 1


def test_an_unknown_group_is_created_with_javas_defaults(rig: Any) -> None:
    assert rig.broker.groups.find("g") == SubscriptionGroupConfig(
        group_name="g",
        consume_enable=True,
        consume_from_min_enable=True,
        consume_broadcast_enable=True,
        retry_queue_nums=1,
        retry_max_times=16,
        broker_id=0,
        which_broker_when_consume_slowly=1,
        notify_consumer_ids_changed_enable=True,
    )
    assert rig.broker.groups.data_version.counter == 1


def test_without_auto_creation_only_system_groups_are_created(make_rig: Callable[..., Any]) -> None:
    groups = make_rig(auto_create_subscription_group=False).broker.groups
    assert groups.find("g") is None
    assert groups.find("CID_RMQ_SYS_TRANS") is not None
    assert groups.find("TOOLS_CONSUMER") is not None


@pytest.mark.parametrize("name", ["", "..", "a/b", "g\0", "组", "x" * 256], ids=repr)
def test_an_illegal_name_never_becomes_a_group(rig: Any, name: str) -> None:
    assert rig.broker.groups.find(name) is None
    reply = rig.ask(UPDATE, body=SubscriptionGroupConfig(group_name=name).encode())
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, f"illegal name of a consumer group: {name!r}")
    assert rig.broker.groups.wrapper().subscription_group_table.keys() == BUILT_IN


def test_a_tool_configures_a_group_and_it_survives_a_restart(rig: Any) -> None:
    group = SubscriptionGroupConfig(group_name="g", consume_enable=False, retry_max_times=3)
    assert rig.ask(UPDATE, body=group.encode()).code == ResponseCode.SUCCESS
    version = rig.broker.groups.data_version
    again = rig.reopen()
    assert again.broker.groups.find("g") == group
    assert again.broker.groups.data_version == version
    again.close()


def test_more_retry_queues_than_a_topic_may_have_are_refused(rig: Any) -> None:
    reply = rig.ask(UPDATE, body=SubscriptionGroupConfig(group_name="g", retry_queue_nums=2**31 - 1).encode())
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert "g" not in rig.broker.groups.wrapper().subscription_group_table


def test_all_groups_are_answered_with_their_version(rig: Any) -> None:
    rig.broker.groups.find("g")
    wrapper = SubscriptionGroupWrapper.decode(rig.ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG).body)
    assert wrapper.subscription_group_table.keys() == BUILT_IN | {"g"}
    assert wrapper.data_version == rig.broker.groups.data_version


@pytest.mark.parametrize(("fields", "kept"), [({}, 5), ({"remove_offset": True}, None), ({"clean_offset": True}, None)])
def test_deleting_a_group_takes_its_offsets_only_when_asked(
    rig: Any, fields: dict[str, bool], kept: int | None
) -> None:
    rig.broker.groups.find("g")
    rig.broker.offsets.commit("g", "t", 0, 5)
    rig.broker.offsets.commit("other", "t", 0, 6)
    header = DeleteSubscriptionGroupRequestHeader(group_name="g", **fields)
    assert rig.ask(RequestCode.DELETE_SUBSCRIPTIONGROUP, header).code == ResponseCode.SUCCESS
    assert "g" not in rig.broker.groups.wrapper().subscription_group_table
    assert rig.broker.offsets.find("g", "t", 0) == kept
    assert rig.broker.offsets.find("other", "t", 0) == 6


def positions(rig: Any, topic: str | None = None) -> dict[tuple[str, int], tuple[int, int, int]]:
    reply = rig.ask(RequestCode.GET_CONSUME_STATS, GetConsumeStatsRequestHeader("g", topic))
    return {
        (queue.topic, queue.queue_id): (at.broker_offset, at.consumer_offset, at.last_timestamp)
        for queue, at in ConsumeStats.decode(reply.body).offset_table.items()
    }


def test_consume_stats_show_each_read_queue(rig: Any) -> None:
    rig.create_topic("t", read_queue_nums=2, write_queue_nums=1)
    rig.send("t")
    rig.clock.now_ms += 10
    rig.send("t")
    rig.broker.offsets.commit("g", "t", 0, 1)
    stored_first = rig.clock.now_ms - 10
    assert positions(rig) == {("t", 0): (2, 1, stored_first), ("t", 1): (0, 0, 0)}
    assert positions(rig, "t") == positions(rig)
    assert positions(rig, "missing") == {}


def test_consume_stats_leave_out_topics_that_an_online_group_gave_up(rig: Any) -> None:
    rig.create_topic("old", read_queue_nums=1)
    rig.broker.offsets.commit("g", "old", 0, 1)
    rig.heartbeat("g", topics={"t": "*"})
    assert positions(rig) == {}


def test_consume_stats_survive_offsets_that_make_no_sense(rig: Any) -> None:
    rig.create_topic("t", read_queue_nums=1)
    for offset in (-1, -(2**63), 2**63 - 1):
        rig.broker.offsets.commit("g", "t", 0, offset)
        assert positions(rig)[("t", 0)] == (0, max(0, offset), 0)


def test_who_consumes_a_topic_are_those_online_and_those_with_offsets(rig: Any) -> None:
    rig.heartbeat("online", topics={"t": "*", "u": "*"})
    rig.broker.offsets.commit("offline", "t", 0, 1)
    rig.broker.offsets.commit("elsewhere", "u2", 0, 1)
    reply = rig.ask(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, TopicRequestHeader("t"))
    assert GroupList.decode(reply.body).group_list == ["offline", "online"]
