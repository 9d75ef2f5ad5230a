"""Clients: heartbeats, who is told of a change, leaving, silence, and orderly consumers' locks."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.protocol.bodies import (
    CheckClientRequestBody,
    ConsumeFromWhere,
    ConsumerConnection,
    ConsumeType,
    GetConsumerListByGroupResponseBody,
    LockBatchRequestBody,
    LockBatchResponseBody,
    MessageModel,
    MessageQueue,
    ProducerConnection,
    ProducerTableInfo,
    SubscriptionData,
    SubscriptionGroupConfig,
    UnlockBatchRequestBody,
)
from rmqnode.protocol.codes import LanguageCode, RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_ONEWAY
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.headers import (
    GetConsumerListByGroupRequestHeader,
    GetProducerConnectionListRequestHeader,
    UnregisterClientRequestHeader,
)

Connect = Callable[..., Any]


def members(rig: Any, group: str = "g") -> Any:
    reply = rig.ask(RequestCode.GET_CONSUMER_LIST_BY_GROUP, GetConsumerListByGroupRequestHeader(group))
    return GetConsumerListByGroupResponseBody.decode(reply.body).consumer_id_list if not reply.code else reply.remark


def test_a_heartbeat_creates_group_and_retry_topic(rig: Any) -> None:
    rig.ask(
        RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
        body=SubscriptionGroupConfig(group_name="g", retry_queue_nums=3).encode(),
    )
    assert rig.heartbeat("g", "h").code == ResponseCode.SUCCESS
    assert rig.broker.topics.get("%RETRY%g").write_queue_nums == 3
    assert rig.broker.topics.get("%RETRY%h").write_queue_nums == 1
    assert rig.broker.topics.get("%RETRY%h").perm == 6
    assert members(rig, "g") == members(rig, "h") == ["c1"]


def test_a_group_that_may_not_be_created_gets_no_retry_topic(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(auto_create_subscription_group=False)
    assert rig.heartbeat("g").code == ResponseCode.SUCCESS
    assert rig.broker.topics.get("%RETRY%g") is None
    assert members(rig) == ["c1"]


@pytest.mark.parametrize("group", ["", "..", "../../etc", "a/b", "g\0", "组"], ids=repr)
def test_a_heartbeat_with_an_illegal_group_name_leaves_nothing_on_disk(rig: Any, group: str) -> None:
    assert rig.heartbeat(group).code == ResponseCode.SUCCESS
    assert rig.broker.groups.find(group) is None
    assert not [name for name in rig.broker.topics.all if name.startswith("%RETRY%")]
    rig.broker.clients.connection_closed(rig.connection)
    assert rig.broker.clients.consumer_group(group) is None


LONG = "x" * 256


@pytest.mark.parametrize(
    "heartbeat",
    [
        {"groups": [LONG]},
        {"groups": ["g"], "client_id": LONG},
        {"groups": ["g"], "topics": {LONG: "*"}},
        {"groups": [], "producers": (LONG,)},
    ],
    ids=["group", "client", "topic", "producer group"],
)
def test_a_heartbeat_with_a_name_of_256_characters_is_refused_whole(rig: Any, heartbeat: dict[str, Any]) -> None:
    reply = rig.heartbeat(*heartbeat.pop("groups"), **heartbeat)
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert reply.remark.endswith("of 256 characters refused: the longest has 255")
    assert rig.broker.budgets.clients.used == 0


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"consumerDataSet":[5]}', b"[" * 100_000])
def test_a_heartbeat_that_is_none_changes_nothing(rig: Any, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        rig.ask(RequestCode.HEART_BEAT, body=body)
    assert rig.broker.clients._consumers == {}


def test_nobody_online_is_named(rig: Any) -> None:
    reply = rig.ask(RequestCode.GET_CONSUMER_LIST_BY_GROUP, GetConsumerListByGroupRequestHeader("g"))
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, "no consumer for this group, g")


def notified(connection: Any) -> list[tuple[int, int, dict[str, str]]]:
    return [(each.code, each.flag, each.ext_fields) for each in connection.pushed]


NOTICE = (RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, FLAG_ONEWAY, {"consumerGroup": "g"})


def test_a_new_member_is_told_to_all_members_once(rig: Any, new_connection: Connect) -> None:
    first, second = new_connection(), new_connection()
    rig.heartbeat("g", connection=first)
    assert notified(first) == [NOTICE]
    rig.heartbeat("g", connection=first)
    assert len(first.pushed) == 1
    rig.heartbeat("g", connection=second, client_id="c2")
    assert notified(first) == [NOTICE, NOTICE]
    assert notified(second) == [NOTICE]
    assert sorted(members(rig)) == ["c1", "c2"]


def test_changed_topics_are_told_changed_tags_are_not(rig: Any) -> None:
    rig.heartbeat("g", topics={"t": "*"})
    rig.heartbeat("g", topics={"t": "a"}, sub_version=2)
    assert len(rig.connection.pushed) == 1
    rig.heartbeat("g", topics={"t": "a", "u": "*"}, sub_version=2)
    rig.heartbeat("g", topics={"u": "*"}, sub_version=2)
    assert len(rig.connection.pushed) == 3


def test_a_newer_subscription_replaces_an_older_one_only(rig: Any) -> None:
    for tags, version in (("a", 5), ("b", 4), ("c", 5)):
        rig.heartbeat("g", topics={"t": tags}, sub_version=version)
        assert rig.broker.clients.consumer_group("g").subscriptions["t"].sub_string == "a"
    rig.heartbeat("g", topics={"t": "d"}, sub_version=6)
    assert rig.broker.clients.consumer_group("g").subscriptions["t"].sub_string == "d"


def test_broker_and_group_can_switch_the_notice_off(make_rig: Callable[..., Any]) -> None:
    silent = make_rig(notify_consumer_ids_changed_enable=False)
    silent.heartbeat("g")
    assert silent.connection.pushed == []
    rig = make_rig()
    group = SubscriptionGroupConfig(group_name="g", notify_consumer_ids_changed_enable=False)
    rig.ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body=group.encode())
    rig.heartbeat("g")
    assert rig.connection.pushed == []


def test_leaving_tells_the_others(rig: Any, new_connection: Connect) -> None:
    other = new_connection()
    rig.heartbeat("g", connection=other, client_id="c2")
    rig.heartbeat("g", producers=("p",))
    before = len(other.pushed)
    header = UnregisterClientRequestHeader("c1", "p", "g")
    reply = rig.ask(RequestCode.UNREGISTER_CLIENT, header)
    assert reply.code == ResponseCode.SUCCESS
    assert reply.header is not None
    assert members(rig) == ["c2"]
    assert len(other.pushed) == before + 1
    assert not rig.broker.clients.producers("p")


def test_leaving_over_another_connection_removes_nothing(rig: Any, new_connection: Connect) -> None:
    rig.heartbeat("g", producers=("p",))
    header = UnregisterClientRequestHeader("c1", "p", "g")
    reply = rig.ask(RequestCode.UNREGISTER_CLIENT, header, connection=new_connection())
    assert reply.code == ResponseCode.SUCCESS
    assert members(rig) == ["c1"]
    assert rig.broker.clients.producers("p")


def test_leaving_what_one_never_joined_succeeds(rig: Any) -> None:
    for header in (UnregisterClientRequestHeader("c1"), UnregisterClientRequestHeader("c1", "..", "..")):
        assert rig.ask(RequestCode.UNREGISTER_CLIENT, header).code == ResponseCode.SUCCESS


def test_a_closed_connection_leaves_all_its_groups(rig: Any, new_connection: Connect) -> None:
    other = new_connection()
    rig.heartbeat("g", connection=other, client_id="c2")
    rig.heartbeat("g", "h", producers=("p", "q"))
    before = len(other.pushed)
    rig.broker.clients.connection_closed(rig.connection)
    assert members(rig) == ["c2"]
    assert members(rig, "h") == "no consumer for this group, h"
    assert len(other.pushed) == before + 1
    assert not rig.broker.clients.producers("p")


def test_a_client_is_silent_after_120_seconds_without_heartbeat(rig: Any, new_connection: Connect) -> None:
    consumer, producer, lively = new_connection(), new_connection(), new_connection()
    rig.heartbeat("g", connection=consumer)
    rig.heartbeat(producers=("p",), connection=producer)
    rig.heartbeat("g", connection=lively, client_id="c3")
    rig.clock.now_ms += 119_999
    assert rig.broker.clients.silent_connections() == []
    rig.heartbeat("g", connection=lively, client_id="c3")
    rig.clock.now_ms += 2
    assert set(rig.broker.clients.silent_connections()) == {consumer, producer}


def test_the_connections_of_a_consumer_group_are_listed(rig: Any) -> None:
    rig.heartbeat(
        "g",
        topics={"t": "a || b"},
        consume_type=ConsumeType.CONSUME_PASSIVELY,
        message_model=MessageModel.CLUSTERING,
        consume_from_where=ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
    )
    reply = rig.ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, GetConsumerListByGroupRequestHeader("g"))
    found = ConsumerConnection.decode(reply.body)
    (connection,) = found.connection_set
    assert (connection.client_id, connection.client_addr) == ("c1", "10.1.2.3:4567")
    assert (connection.language, connection.version) == (LanguageCode.JAVA, 317)
    assert found.subscription_table["t"].sub_string == "a || b"
    assert found.consume_type is ConsumeType.CONSUME_PASSIVELY
    assert found.message_model is MessageModel.CLUSTERING
    assert found.consume_from_where is ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET


def test_groups_that_are_not_online_are_named(rig: Any) -> None:
    reply = rig.ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, GetConsumerListByGroupRequestHeader("g"))
    assert (reply.code, reply.remark) == (ResponseCode.CONSUMER_NOT_ONLINE, "the consumer group[g] not online")
    reply = rig.ask(RequestCode.GET_PRODUCER_CONNECTION_LIST, GetProducerConnectionListRequestHeader("p"))
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, "the producer group[p] not exist")


def test_the_connections_of_a_producer_group_are_listed(rig: Any) -> None:
    rig.heartbeat(producers=("p",))
    reply = rig.ask(RequestCode.GET_PRODUCER_CONNECTION_LIST, GetProducerConnectionListRequestHeader("p"))
    (connection,) = ProducerConnection.decode(reply.body).connection_set
    assert (connection.client_id, connection.client_addr) == ("c1", "10.1.2.3:4567")


@pytest.mark.parametrize(
    ("expression_type", "remark"),
    [("TAG", None), ("SQL92", "The broker does not support consumer to filter message by SQL92")],
)
def test_a_client_learns_which_filters_there_are(rig: Any, expression_type: str, remark: str | None) -> None:
    body = CheckClientRequestBody(subscription_data=SubscriptionData(expression_type=expression_type, sub_string="x"))
    reply = rig.ask(RequestCode.CHECK_CLIENT_CONFIG, body=body.encode())
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR if remark else ResponseCode.SUCCESS, remark)


QUEUES = [MessageQueue(topic="t", broker_name="broker-a", queue_id=number) for number in range(3)]


def lock(rig: Any, client_id: str, *queues: int, group: str = "g") -> set[int]:
    body = LockBatchRequestBody(consumer_group=group, client_id=client_id, mq_set=[QUEUES[each] for each in queues])
    reply = rig.ask(RequestCode.LOCK_BATCH_MQ, body=body.encode())
    assert reply.code == ResponseCode.SUCCESS
    return {queue.queue_id for queue in LockBatchResponseBody.decode(reply.body).lock_ok_mq_set}


def unlock(rig: Any, client_id: str, *queues: int) -> None:
    body = UnlockBatchRequestBody(consumer_group="g", client_id=client_id, mq_set=[QUEUES[each] for each in queues])
    assert rig.ask(RequestCode.UNLOCK_BATCH_MQ, body=body.encode()).code == ResponseCode.SUCCESS


def test_a_queue_is_locked_by_one_client_of_a_group(rig: Any) -> None:
    assert lock(rig, "c1", 0, 1) == {0, 1}
    assert lock(rig, "c2", 0, 1, 2) == {2}
    assert lock(rig, "c1", 0, 1, 2) == {0, 1}
    assert lock(rig, "c2", 0, group="other") == {0}


def test_a_lock_expires_after_more_than_60_seconds_unless_renewed(rig: Any) -> None:
    lock(rig, "c1", 0, 1)
    rig.clock.now_ms += 60_000
    assert lock(rig, "c2", 0) == set()
    assert lock(rig, "c1", 1) == {1}
    rig.clock.now_ms += 1
    assert lock(rig, "c2", 0, 1) == {0}
    assert lock(rig, "c1", 0) == set()


def test_only_the_holder_unlocks(rig: Any) -> None:
    lock(rig, "c1", 0)
    unlock(rig, "c2", 0, 1)
    assert lock(rig, "c2", 0) == set()
    unlock(rig, "c1", 0, 2)
    assert lock(rig, "c2", 0) == {0}


def test_locks_outlive_a_connection(rig: Any) -> None:
    rig.heartbeat("g")
    lock(rig, "c1", 0)
    rig.broker.clients.connection_closed(rig.connection)
    assert lock(rig, "c2", 0) == set()


def test_a_lock_request_without_queues_locks_nothing(rig: Any) -> None:
    assert lock(rig, "c1") == set()
    assert rig.ask(RequestCode.LOCK_BATCH_MQ, body=b"{}").code == ResponseCode.SUCCESS


def test_all_producers_are_named_by_group(rig: Any, new_connection: Connect) -> None:
    rig.heartbeat(producers=("p", "q"), client_id="c1")
    rig.clock.now_ms += 3000
    rig.heartbeat(producers=("p",), client_id="c2", connection=new_connection("10.0.0.9:1"))
    table = ProducerTableInfo.decode(rig.ask(RequestCode.GET_ALL_PRODUCER_INFO).body).data
    assert {group: [each.client_id for each in members] for group, members in table.items()} == {
        "p": ["c1", "c2"],
        "q": ["c1"],
    }
    first, second = table["p"]
    assert (first.remote_ip, first.language, first.version) == ("10.1.2.3:4567", LanguageCode.JAVA, 317)
    assert (first.last_update_timestamp, second.last_update_timestamp) == (rig.clock.now_ms - 3000, rig.clock.now_ms)
