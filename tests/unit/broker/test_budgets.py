"""Tables that clients fill: each has a bound that the refusal names; who holds most gives way, who is known goes on."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.broker.budgets import Shares
from rmqnode.net.slices import finish
from rmqnode.protocol.bodies import (
    LockBatchRequestBody,
    LockBatchResponseBody,
    MessageQueue,
    SubscriptionGroupConfig,
    UnlockBatchRequestBody,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import CreateTopicRequestHeader, UpdateConsumerOffsetRequestHeader
from rmqnode.protocol.headers.administration import CloneGroupOffsetRequestHeader

MakeRig = Callable[..., Any]


def commit(rig: Any, group: str, topic: str = "t", queue_id: int = 0, offset: int = 1) -> Any:
    header = UpdateConsumerOffsetRequestHeader(
        consumer_group=group, topic=topic, queue_id=queue_id, commit_offset=offset
    )
    return rig.ask(RequestCode.UPDATE_CONSUMER_OFFSET, header)


def lock(rig: Any, client_id: str, *queue_ids: int, group: str = "g", topic: str = "t") -> list[int]:
    queues = [MessageQueue(topic, "broker-a", each) for each in queue_ids]
    body = LockBatchRequestBody(consumer_group=group, client_id=client_id, mq_set=queues)
    reply = rig.ask(RequestCode.LOCK_BATCH_MQ, body=body.encode())
    return sorted(queue.queue_id for queue in LockBatchResponseBody.decode(reply.body).lock_ok_mq_set)


def info(rig: Any) -> dict[str, str]:
    return dict(rig.broker.budgets.table())


# --- consumer offsets ---


def test_a_full_table_of_offsets_refuses_groups_that_nobody_knows_and_serves_those_that_exist(
    make_rig: MakeRig,
) -> None:
    rig = make_rig(consumer_offsets_max=100)
    rig.create_topic()
    assert commit(rig, "before", "never-made").code == ResponseCode.SUCCESS
    for number in range(99):
        assert commit(rig, f"fake{number}", "fake").code == ResponseCode.SUCCESS
    refused = commit(rig, "fake", "t")
    assert refused.code == ResponseCode.SYSTEM_ERROR
    assert "(consumerOffsetsMax)" in refused.remark
    assert "group fake in queue 0 of topic t" in refused.remark
    assert commit(rig, "before", "never-made", offset=7).code == ResponseCode.SUCCESS, "it is there already"
    rig.broker.groups.put(SubscriptionGroupConfig(group_name="mine"))
    assert commit(rig, "mine").code == ResponseCode.SUCCESS
    assert commit(rig, "mine", queue_id=4).code == ResponseCode.SYSTEM_ERROR, "t has four queues"
    assert commit(rig, "mine", "fake").code == ResponseCode.SYSTEM_ERROR
    rig.heartbeat("online")
    assert commit(rig, "online").code == ResponseCode.SUCCESS
    assert info(rig)["consumerOffsets"] == "102"
    assert info(rig)["consumerOffsetsRefused"] == "3"
    assert rig.broker.limitations.table()["limited.memory"].startswith("consumerOffsetsMax=100 is reached")


def test_offsets_are_counted_again_after_a_restart_and_after_they_are_forgotten(make_rig: MakeRig) -> None:
    rig = make_rig()
    for number in range(5):
        commit(rig, "g", "t", number)
        commit(rig, "h", "u", number)
    assert info(rig)["consumerOffsets"] == "10"
    rig.broker.offsets.clone("g", "copy", "t")
    rig.broker.offsets.forget_topic("u")
    assert info(rig)["consumerOffsets"] == "10"
    again = rig.reopen()
    assert info(again)["consumerOffsets"] == "10"
    again.broker.offsets.forget_group("g")
    assert info(again)["consumerOffsets"] == "5"
    again.store.close()


def test_a_pull_that_commits_beyond_the_limit_is_answered_all_the_same(make_rig: MakeRig) -> None:
    rig = make_rig(consumer_offsets_max=1)
    rig.create_topic()
    rig.send(body=b"one")
    commit(rig, "fake", "fake")
    reply = rig.pull(sys_flag=1 | 4, commit_offset=1, consumer_group="CID_ONS-HTTP-PROXY")
    assert reply.code == ResponseCode.SUCCESS


def test_names_of_groups_and_topics_are_not_kept_beyond_255_characters(rig: Any) -> None:
    assert commit(rig, "g" * 256).code == ResponseCode.SYSTEM_ERROR
    assert commit(rig, "g", "t" * 500_000).code == ResponseCode.SYSTEM_ERROR
    header = CloneGroupOffsetRequestHeader(src_group="g", dest_group="d" * 256, topic="t", offline=True)
    assert rig.ask(RequestCode.CLONE_GROUP_OFFSET, header).code == ResponseCode.SYSTEM_ERROR
    assert info(rig)["consumerOffsets"] == "0"


# --- topics and groups ---


def test_a_topic_beyond_the_limit_is_refused_and_retry_topics_of_groups_are_not(make_rig: MakeRig) -> None:
    rig = make_rig(topics_max=20)
    present = int(info(rig)["topics"])
    for number in range(20 - present):
        assert rig.send(topic=f"t{number}").code == ResponseCode.SUCCESS
    refused = rig.send(topic="one-more")
    assert refused.code == ResponseCode.SYSTEM_ERROR
    assert refused.remark == "topic one-more refused: no more than 20 are kept (topicsMax)"
    header = CreateTopicRequestHeader(
        topic="by-hand", default_topic="TBW102", read_queue_nums=1, write_queue_nums=1, perm=6,
        topic_filter_type="SINGLE_TAG", topic_sys_flag=0, order=False,
    )  # fmt: skip
    assert "(topicsMax)" in rig.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, header).remark
    assert rig.send(topic="t0").code == ResponseCode.SUCCESS
    rig.heartbeat("g", topics={"t0": "*"})
    assert rig.broker.topics.get("%RETRY%g") is not None
    assert info(rig)["topics"] == "20"


def test_a_group_beyond_the_limit_is_refused_and_those_there_are_go_on(make_rig: MakeRig) -> None:
    rig = make_rig(groups_max=20)
    rig.create_topic()
    present = int(info(rig)["groups"])
    for number in range(20 - present):
        rig.heartbeat(f"g{number}")
    assert rig.pull(consumer_group="one-more").code == ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST
    body = b'{"groupName":"by-hand"}'
    refused = rig.ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body=body)
    assert refused.remark == "group by-hand refused: no more than 20 are kept (groupsMax)"
    assert rig.pull(consumer_group="g0").code != ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST
    assert info(rig)["groupsRefused"] == "2"


# --- clients ---


def test_the_connection_in_most_groups_gives_way_to_one_in_few(
    make_rig: MakeRig, new_connection: Callable[..., Any]
) -> None:
    rig = make_rig(clients_max=20)
    greedy, good, other = (new_connection(f"10.0.0.{number}:1") for number in (9, 1, 2))
    rig.heartbeat("mine", producers=("p",), connection=good)
    rig.heartbeat(producers=tuple(f"p{number}" for number in range(18)), connection=greedy)
    assert info(rig)["clients"] == "20"
    assert "(clientsMax)" in rig.heartbeat("one-more", connection=greedy).remark
    assert not greedy.is_closed
    assert rig.heartbeat("others", connection=other).code == ResponseCode.SUCCESS
    assert greedy.is_closed
    assert not good.is_closed
    assert (info(rig)["clients"], info(rig)["clientsClosed"]) == ("3", "1")
    rig.broker.clients.connection_closed(greedy)
    assert info(rig)["clients"] == "3"


def test_a_renewed_heartbeat_takes_no_place_and_leaving_gives_them_back(rig: Any) -> None:
    for _ in range(3):
        rig.heartbeat("a", "b", producers=("p",), topics={"t": "*", "u": "*"})
    assert (info(rig)["clients"], info(rig)["subscriptions"]) == ("3", "4")
    rig.broker.clients.connection_closed(rig.connection)
    assert (info(rig)["clients"], info(rig)["subscriptions"]) == ("0", "0")


def test_subscriptions_beyond_the_limit_are_refused_and_the_group_with_most_gives_way(
    make_rig: MakeRig, new_connection: Callable[..., Any]
) -> None:
    rig = make_rig(subscriptions_max=30)
    greedy, good = new_connection("10.0.0.9:1"), new_connection("10.0.0.1:1")
    rig.heartbeat("greedy", topics={f"t{number}": "*" for number in range(29)}, connection=greedy)
    refused = rig.heartbeat(
        "greedy", topics={f"t{number}": "*" for number in range(40)}, connection=greedy, sub_version=2
    )
    assert "11 more subscriptions of group greedy refused" in refused.remark
    assert rig.heartbeat("good", topics={"a": "*", "b": "*"}, connection=good).code == ResponseCode.SUCCESS
    assert greedy.is_closed
    assert info(rig)["subscriptions"] == "2"


def test_a_subscription_of_many_characters_counts_more_than_once(rig: Any) -> None:
    rig.heartbeat("g", topics={"t": "a" * 10_240})
    assert int(info(rig)["subscriptions"]) >= 11


# --- locks of queues ---


def test_locks_are_forgotten_when_their_time_is_over(rig: Any, clock: Any) -> None:
    lock(rig, "c1", *range(1000))
    clock.now_ms += 50_000
    assert lock(rig, "c1", 7) == [7]
    clock.now_ms += 20_000
    rig.broker.locks.expire()
    assert info(rig)["queueLocks"] == "1"
    assert lock(rig, "c2", 7, 8) == [8]


def test_a_client_that_locks_everything_gives_way_and_gets_no_more(make_rig: MakeRig) -> None:
    rig = make_rig(queue_locks_max=100)
    assert len(lock(rig, "greedy", *range(200), group="fake")) == 100
    assert lock(rig, "greedy", 5000) == []
    assert lock(rig, "good", 1, 2) == [1, 2]
    assert info(rig)["queueLocks"] == "2"
    assert lock(rig, "good", 1, 2, 3) == [1, 2, 3]


def test_unlocking_gives_places_back_and_only_the_owner_may(rig: Any) -> None:
    lock(rig, "c1", 1, 2)
    for client_id in ("", "c2", "c1"):
        queues = [MessageQueue("t", "broker-a", each) for each in (1, 2, 3)]
        body = UnlockBatchRequestBody(consumer_group="g", client_id=client_id, mq_set=queues)
        assert rig.ask(RequestCode.UNLOCK_BATCH_MQ, body=body.encode()).code == ResponseCode.SUCCESS
        assert info(rig)["queueLocks"] == ("0" if client_id == "c1" else "2")
    assert rig.broker.locks._locks == {}


def test_names_in_locks_are_not_kept_beyond_255_characters(rig: Any) -> None:
    body = LockBatchRequestBody(consumer_group="g", client_id="c", mq_set=[MessageQueue("t" * 500_000, "broker-a", 0)])
    assert rig.ask(RequestCode.LOCK_BATCH_MQ, body=body.encode()).code == ResponseCode.SYSTEM_ERROR
    assert rig.broker.locks._locks == {}


# --- filters and the whole ---


def test_filters_beyond_the_limit_are_not_registered(make_rig: MakeRig) -> None:
    rig = make_rig(enable_property_filter=True, filters_max=3)
    from rmqnode.protocol.bodies import SubscriptionData

    for number in range(5):
        data = SubscriptionData(topic=f"t{number}", sub_string="a = 1", expression_type="SQL92", sub_version=1)
        finish(rig.broker.filters.register(f"g{number}", [data]))
    assert info(rig)["filters"] == "3"
    assert rig.broker.filters.find("t4", "g4") is None
    assert info(rig)["filtersRefused"] == "2"


def test_a_limit_is_reported_while_it_is_met_and_taken_back_when_it_was_not_for_a_look(rig: Any) -> None:
    budgets, limitations = rig.broker.budgets, rig.broker.limitations
    budgets.held_pulls.refuse()
    budgets.full(_connections(budgets))
    assert set(limitations.table()) == {"limited.memory", "limited.descriptors"}
    budgets.look()
    assert set(limitations.table()) == {"limited.memory", "limited.descriptors"}
    budgets.held_pulls.refuse()
    budgets.look()
    assert set(limitations.table()) == {"limited.memory"}
    budgets.look()
    assert limitations.table() == {}


def _connections(budgets: Any) -> Any:
    from rmqnode.net.budgets import Budget

    return Budget("connections", 8, budgets.full)


def test_every_budget_is_shown_with_its_limit_and_what_it_refused(rig: Any) -> None:
    shown = rig.ask(RequestCode.GET_BROKER_RUNTIME_INFO).body.decode()
    for name in ("heldPulls", "topics", "groups", "consumerOffsets", "clients", "subscriptions", "queueLocks"):
        for end in ("", "Max", "Refused", "Closed"):
            assert f'"{name}{end}":"' in shown.replace(" ", "")


@pytest.mark.parametrize(
    ("held", "newcomer", "worst"),
    [
        ({"a": 90, "b": 10}, "c", "a"),
        ({"a": 95, "b": 5}, "b", "a"),
        ({"a": 50, "b": 50}, "c", "a"),
        ({"a": 34, "b": 33, "c": 33}, "d", None),
        ({"a": 100}, "a", None),
        ({}, "a", None),
    ],
)
def test_who_gives_way_has_half_as_much_again_as_the_fair_share(
    held: dict[str, int], newcomer: str, worst: str | None
) -> None:
    assert Shares(held).worst_but(newcomer, 100) == worst
